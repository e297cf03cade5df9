"""Search: an exact id of any kind, or the beginning of an e-mail address."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.accounts import account_search
from shop.accounts.permissions import Permission, permissions_of
from shop.core.filter_values import refuse_unknown
from shop.http_kit.access import requires
from shop.order_search import lookup
from shop.order_search.lookup import Hit, HitKind
from shop.payments.providers import registry

bp = Blueprint("search", __name__)


@bp.get("/search")
@requires(Permission.ORDER_READ)
def show() -> ResponseReturnValue:
    """Orders with the id or address `q`, and accounts of customers with the address; the only one is opened at once."""
    refuse_unknown(request.args, ("q",), "parameter")
    typed = request.args.get("q", "")
    hits = lookup.find(typed, registry.all_providers())
    permissions = permissions_of(current_user.roles)
    with_staff = Permission.USER_READ in permissions
    may_read = Permission.CUSTOMER_READ in permissions
    customers = account_search.by_email(typed, with_staff=with_staff) if may_read else []
    if len(customers) == 1 and not hits:
        return redirect(url_for("ops.customers.show", user_id=customers[0].id), 303)
    if len({hit.number for hit in hits}) == 1 and not customers:
        return redirect(_address(hits[0]), 303)
    shown = hits[: lookup.MOST]
    orders = lookup.about(shown)
    return render_template(
        "ops/search.html",
        searched=typed,
        hits=[(hit, _address(hit), orders.get(hit.number or "")) for hit in shown],
        customers=customers[: account_search.MOST],
        are_more=len(hits) > lookup.MOST,
        kinds=lookup.HitKind,
    )


def _address(hit: Hit) -> str:
    """The page of the order; the list of unmatched lines, or the inbox for a webhook event about no order."""
    if hit.kind is HitKind.UNMATCHED_LINE:
        return url_for("ops.reconciliation.index")
    if hit.number is None:
        return url_for("ops.webhooks.index", event=hit.found)
    return url_for("ops.order.show", number=hit.number)
