"""Payouts: what can be paid out, requests by staff, and the payouts so far."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts.permissions import Permission
from shop.core.errors import BadInput, Refusal
from shop.core.key_pages import Place
from shop.core.money import CURRENCIES, Money
from shop.http_kit.access import requires
from shop.ledger import funds
from shop.ops import acts, lists, waiting
from shop.ops.navigation import Group, Link
from shop.payouts import payouts

bp = Blueprint("payouts", __name__)
LINKS = (Link("Payouts", "ops.payouts.index", Permission.PAYOUT_READ, Group.MONEY),)


@bp.get("/payouts")
@requires(Permission.PAYOUT_READ)
def index() -> str:
    """The newest payouts, and what can be paid out now; `after`, `before` and `page=last` are positions of pages."""
    return _page()


@bp.post("/payouts")
@requires(Permission.PAYOUT_REQUEST, fresh=True)
def create() -> ResponseReturnValue:
    """Request a payout; another person approves it."""
    return acts.done(
        _request, "You have requested the payout. Another person approves it.", url_for("ops.payouts.index"), _page
    )


def _request() -> None:
    currency = request.form.get("currency", "")
    if currency not in CURRENCIES:
        raise BadInput("bad_currency", f"Choose one of {', '.join(CURRENCIES)}.")
    try:
        money = Money.parse(request.form.get("amount", "").strip(), currency)
    except ValueError as error:
        raise BadInput("bad_amount", f"{error}.") from error
    payouts.request(money, by=acts.reader(), note=acts.reason())


def _page(refusal: Refusal | None = None) -> str:
    page = payouts.page(Place.parse(request.args))
    actors = {actor for one in page.rows for actor in (one.requested_by, one.decided_by) if actor is not None}
    return render_template(
        "ops/payouts.html",
        payouts=page.rows,
        links=lists.links("ops.payouts.index", [], page),
        whom=waiting.names(actors),
        request_page=waiting.address,
        available=[(currency, *amounts) for currency, amounts in funds.by_currency().items()],
        refusal=refusal,
        typed=request.form if refusal else {},
    )
