"""Saved views of the list of orders: save the present filters, rename, delete."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.accounts import staff
from shop.accounts.permissions import Permission, permissions_of
from shop.core.errors import Refusal
from shop.http_kit.access import requires
from shop.ops import acts, lists
from shop.order_search import filters as filters_of
from shop.order_search import views
from shop.order_search.models import SavedView
from shop.payments.providers import registry

bp = Blueprint("order_views", __name__)


@bp.get("/orders/views")
@requires(Permission.ORDER_READ)
def index() -> str:
    """All saved views, with forms for those that the reader may change."""
    return _page()


@bp.post("/orders/views")
@requires(Permission.ORDER_READ)
def save() -> ResponseReturnValue:
    """Save the filters in the address as a view."""
    filters = filters_of.parse(lists.given(), registry.all_providers())
    try:
        view = views.save(request.form.get("name", ""), filters, by=acts.reader())
    except Refusal as refusal:
        return _page(refusal), refusal.status
    flash(f"The view {view.name} is saved. All staff can open it.")
    return redirect(address(view), 303)


@bp.post("/orders/views/<int:view_id>/name")
@requires(Permission.ORDER_READ)
def rename(view_id: int) -> ResponseReturnValue:
    """Give a view another name."""
    name = request.form.get("name", "")
    return _done(lambda: views.rename(view_id, name, by=acts.reader()), "The view has its new name.")


@bp.post("/orders/views/<int:view_id>/delete")
@requires(Permission.ORDER_READ)
def delete(view_id: int) -> ResponseReturnValue:
    """Delete a view. The orders stay."""
    return _done(lambda: views.remove(view_id, by=acts.reader()), "The view is deleted.")


def address(view: SavedView) -> str:
    """The address of the list with the filters of a view."""
    return f"{url_for('ops.orders.index')}?{view.query}"


def _done(act: acts.Act, message: str) -> ResponseReturnValue:
    return acts.done(act, message, url_for("ops.order_views.index"), _page)


def _page(refusal: Refusal | None = None) -> str:
    found = views.every()
    manages = Permission.SAVED_VIEW_MANAGE in permissions_of(current_user.roles)
    return render_template(
        "ops/order_views.html",
        views=found,
        address=address,
        names=staff.labels(view.saved_by for view in found),
        changeable={view.id for view in found if views.is_changeable(view, acts.reader(), manages=manages)},
        longest=views.LONGEST_NAME,
        most=views.MOST,
        refusal=refusal,
    )
