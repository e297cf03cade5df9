"""Search: an exact id of any kind, or the beginning of an e-mail address."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core.errors import BadInput
from shop.http_kit.access import requires
from shop.order_search import lookup
from shop.order_search.lookup import Hit
from shop.payments.providers import registry

bp = Blueprint("search", __name__)


@bp.get("/search")
@requires(Permission.ORDER_READ)
def show() -> ResponseReturnValue:
    """Orders with the id or address `q`; the only one is opened at once."""
    if unknown := [name for name in request.args if name != "q"]:
        raise BadInput("unknown_filter", f"There is no parameter {unknown[0][:40]!r}. The only one is q.")
    typed = request.args.get("q", "")
    hits = lookup.find(typed, registry.all_providers())
    if len({hit.number for hit in hits}) == 1:
        return redirect(_address(hits[0]), 303)
    return render_template(
        "ops/search.html",
        searched=typed,
        hits=[(hit, _address(hit)) for hit in hits[: lookup.MOST]],
        are_more=len(hits) > lookup.MOST,
        kinds=lookup.HitKind,
    )


def _address(hit: Hit) -> str:
    """The page of the order; that of the inbox for a webhook event about no order."""
    if hit.number is None:
        return url_for("ops.webhooks.index", event=hit.found)
    return url_for("ops.order.show", number=hit.number)
