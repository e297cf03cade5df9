"""Approvals: refunds, shortfalls, gifts of store credit and payouts that wait for a second person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.keyset import FIRST, Place
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift
from shop.http_kit.access import requires
from shop.ops import acts, lists, waiting
from shop.ops.formats import words
from shop.ops.navigation import Group, Link
from shop.payments.records.models import Refund, ShortfallRequest
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests
from shop.payments.updates import apply as updates
from shop.payouts import payouts
from shop.payouts.models import Payout

bp = Blueprint("approvals", __name__)
HERE = "ops.approvals.index"
LINKS = (Link("Approvals", HERE, Permission.ORDER_READ, Group.MONEY),)


@bp.get("/approvals")
@requires(Permission.ORDER_READ)
def index() -> str:
    """List of requests that wait for a second person, oldest first; `after`, `before` and `page=last` are positions of
    pages.
    """
    return _page(Place.parse(request.args, named=True))


def _approve_refund(refund_id: str) -> None:
    refund = db.session.get(Refund, refund_id)
    if refund and refund.destination == RefundDestination.BANK and "sent" not in request.form:
        raise BadInput("not_checked", "Check that the money was sent to the customer's bank account, and confirm it.")
    requests.approve(refund_id, acts.reader())


@dataclass(frozen=True)
class Kind:
    """A kind of request: the part of its addresses, its names in a heading and in a sentence, its table with the column
    of the person who decided, the rights to approve and to decline or withdraw it, and both acts on a request by id.
    """

    path: str
    title: str
    name: str
    model: Any
    decided_by: str
    may_approve: Permission
    may_decline: Permission
    approve: Callable[[str], Any]
    decline: Callable[[str], Any]


KINDS = {
    "refund": Kind(
        *("refunds", "Refund", "refund", Refund, "approved_by"),
        *(Permission.REFUND_APPROVE, Permission.REFUND_REQUEST),
        _approve_refund,
        lambda id: requests.decline(id, acts.reader(), reason=acts.reason()),
    ),
    "shortfall": Kind(
        *("shortfalls", "Accepted shortfall", "shortfall", ShortfallRequest, "decided_by"),
        *(Permission.PAYMENT_ACCEPT_AMOUNT, Permission.PAYMENT_ACCEPT_AMOUNT),
        lambda id: updates.approve_shortfall(id, by=acts.reader()),
        lambda id: updates.decline_shortfall(id, by=acts.reader(), reason=acts.reason()),
    ),
    "store credit": Kind(
        *("credit", "Store credit", "gift of store credit", CreditGift, "decided_by"),
        *(Permission.STORE_CREDIT_APPROVE, Permission.STORE_CREDIT_REQUEST),
        lambda id: gifts.approve(id, by=acts.reader()),
        lambda id: gifts.decline(id, by=acts.reader(), reason=acts.reason()),
    ),
    "payout": Kind(
        *("payouts", "Payout", "payout", Payout, "decided_by"),
        *(Permission.PAYOUT_APPROVE, Permission.PAYOUT_REQUEST),
        lambda id: payouts.approve(id, by=acts.reader()),
        lambda id: payouts.reject(id, by=acts.reader(), reason=acts.reason()),
    ),
}
"""Kinds by the `kind` of `waiting.Request`."""


def _route(kind: Kind, word: str, permission: Permission, act: Callable[[str], Any], done: str) -> None:
    """Add the view that decides a request of this kind: each route declares its own permission."""

    @requires(permission, fresh=True)
    def view(request_id: str) -> ResponseReturnValue:
        return _decide(kind, request_id, done, lambda: act(request_id))

    own = "" if word == "approve" else ", or withdraw one's own"
    view.__doc__ = f"{word.capitalize()} a {kind.name}{own}."
    bp.add_url_rule(f"/approvals/{kind.path}/<request_id>/{word}", f"{word}_{kind.path}", view, methods=["POST"])


for _kind in KINDS.values():
    _route(_kind, "approve", _kind.may_approve, _kind.approve, "approved")
    _route(_kind, "decline", _kind.may_decline, _kind.decline, "declined")


def _decide(kind: Kind, request_id: str, word: str, act: Callable[[], Any]) -> ResponseReturnValue:
    """Decide one request. A refused decision shows the requests from this one on as they are now, or who decided it
    before.
    """
    message = f"The {kind.name} {request_id} is {word}."
    return acts.done(act, message, url_for(HERE), lambda refusal: _refused(kind, request_id, refusal))


def _refused(kind: Kind, request_id: str, refusal: Refusal) -> str:
    row = db.session.get(kind.model, request_id, populate_existing=True)
    by = row and getattr(row, kind.decided_by)
    if row is None or by is None:
        at = row and (row.created_at if kind.model is Refund else row.requested_at)
        return _page(Place(after=waiting.before(request_id, at)) if at else FIRST, refusal)
    word = "approved" if kind.model is Refund else words(row.state)
    return _page(FIRST, refusal, f"{staff.label(by)} has {word} the {kind.name} {request_id}.")


def _page(place: Place, refusal: Refusal | None = None, decided_before: str = "") -> str:
    page = waiting.requests(acts.reader(), place)
    if not page.rows and place != FIRST:  # no request is before the oldest, or those there were decided meanwhile
        page = waiting.requests(acts.reader(), FIRST)
    return render_template(
        "ops/approvals.html",
        requests=page.rows,
        links=lists.links(HERE, [], page),
        kinds=KINDS,
        refusal=refusal,
        decided_before=decided_before,
    )
