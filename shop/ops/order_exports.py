"""Exports of orders: request one for the present filters, see its progress, download the file."""

from __future__ import annotations

from flask import Blueprint, Response, abort, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core.errors import Refusal
from shop.http_kit.access import requires
from shop.ops import acts, lists
from shop.ops.formats import zone
from shop.ops.navigation import Link
from shop.order_search import exports
from shop.order_search import filters as filters_of
from shop.order_search.models import OrderExport
from shop.payments.providers import registry

bp = Blueprint("order_exports", __name__)
LINKS = (Link("Exports", "ops.order_exports.index", Permission.ORDER_EXPORT),)


@bp.post("/orders/export")
@requires(Permission.ORDER_EXPORT)
def start() -> ResponseReturnValue:
    """Request an export of the orders that match the filters in the address."""
    filters = filters_of.parse(lists.given(), registry.all_providers())
    try:
        export_id = exports.request(filters, zone(), by=acts.reader(), export_id=request.form.get("export", ""))
    except Refusal as refusal:
        return _list(refusal), refusal.status
    return redirect(url_for("ops.order_exports.show", export_id=export_id), 303)


@bp.get("/exports")
@requires(Permission.ORDER_EXPORT)
def index() -> str:
    """The newest exports."""
    return _list()


@bp.get("/exports/<export_id>")
@requires(Permission.ORDER_EXPORT)
def show(export_id: str) -> str:
    """An export and its progress; for htmx the progress alone."""
    template = "ops/_export.html" if "HX-Request" in request.headers else "ops/order_export.html"
    return _page(template, export_id)


@bp.post("/exports/<export_id>/again")
@requires(Permission.ORDER_EXPORT)
def start_again(export_id: str) -> ResponseReturnValue:
    """Continue a failed export."""
    _existing(export_id)
    return acts.done(
        lambda: exports.start_again(export_id, by=acts.reader()),
        "The export is continued.",
        url_for("ops.order_exports.show", export_id=export_id),
        lambda refusal: _page("ops/order_export.html", export_id, refusal),
    )


@bp.get("/exports/<export_id>/file")
@requires(Permission.ORDER_EXPORT, fresh=True)
def download(export_id: str) -> ResponseReturnValue:
    """The file of an export that is done. Each download is in the audit log."""
    export = _existing(export_id)
    try:
        parts = exports.download(export_id, by=acts.reader())
    except Refusal as refusal:
        return _page("ops/order_export.html", export_id, refusal), refusal.status
    name = f"orders-{export.requested_at.astimezone(zone()):%Y-%m-%d-%H%M}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(stream_with_context(parts), mimetype="text/csv", headers=headers)


def _existing(export_id: str) -> OrderExport:
    found = exports.find(export_id)
    if found is None:
        abort(404, "There is no such export. Files are deleted after some days; export the orders again.")
    return found


def _page(template: str, export_id: str, refusal: Refusal | None = None) -> str:
    export = _existing(export_id)
    return render_template(
        template,
        export=export,
        by=staff.label(export.requested_by),
        deleted_at=export.requested_at + exports.kept(),
        orders=_orders(export),
        refusal=refusal,
    )


def _list(refusal: Refusal | None = None) -> str:
    found = exports.newest()
    return render_template(
        "ops/order_exports.html",
        exports=found,
        names=staff.labels(export.requested_by for export in found),
        orders=_orders,
        kept=exports.kept(),
        most=exports.MOST,
        refusal=refusal,
    )


def _orders(export: OrderExport) -> str:
    """The address of the list with the filters of an export."""
    here = url_for("ops.orders.index")
    return f"{here}?{export.query}" if export.query else here
