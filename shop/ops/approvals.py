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
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift
from shop.http_kit.access import requires
from shop.ops import acts, waiting
from shop.ops.formats import words
from shop.ops.navigation import Group, Link
from shop.payments.records.models import Refund, ShortfallRequest
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests
from shop.payments.updates import apply as updates
from shop.payouts import payouts
from shop.payouts.models import Payout

bp = Blueprint("approvals", __name__)
LINKS = (Link("Approvals", "ops.approvals.index", Permission.ORDER_READ, Group.MONEY),)


@bp.get("/approvals")
@requires(Permission.ORDER_READ)
def index() -> str:
    """List of requests that wait for a second person, oldest first."""
    return _page()


@bp.post("/approvals/refunds/<refund_id>/approve")
@requires(Permission.REFUND_APPROVE, fresh=True)
def approve_refund(refund_id: str) -> ResponseReturnValue:
    """Approve a refund; for one to a bank, confirm that the money was sent."""
    return _decide(REFUND, refund_id, "approved", lambda: _approve_refund(refund_id))


@bp.post("/approvals/refunds/<refund_id>/decline")
@requires(Permission.REFUND_REQUEST, fresh=True)
def decline_refund(refund_id: str) -> ResponseReturnValue:
    """Decline a refund, or withdraw one's own."""
    return _decide(
        REFUND, refund_id, "declined", lambda: requests.decline(refund_id, acts.reader(), reason=acts.reason())
    )


@bp.post("/approvals/shortfalls/<request_id>/approve")
@requires(Permission.PAYMENT_ACCEPT_AMOUNT, fresh=True)
def approve_shortfall(request_id: str) -> ResponseReturnValue:
    """Accept less than the price of an order."""
    return _decide(SHORTFALL, request_id, "approved", lambda: updates.approve_shortfall(request_id, by=acts.reader()))


@bp.post("/approvals/shortfalls/<request_id>/decline")
@requires(Permission.PAYMENT_ACCEPT_AMOUNT, fresh=True)
def decline_shortfall(request_id: str) -> ResponseReturnValue:
    """Decline to accept less than the price, or withdraw one's own request."""
    return _decide(
        SHORTFALL,
        request_id,
        "declined",
        lambda: updates.decline_shortfall(request_id, by=acts.reader(), reason=acts.reason()),
    )


@bp.post("/approvals/credit/<gift_id>/approve")
@requires(Permission.STORE_CREDIT_APPROVE, fresh=True)
def approve_gift(gift_id: str) -> ResponseReturnValue:
    """Approve a gift of store credit."""
    return _decide(GIFT, gift_id, "approved", lambda: gifts.approve(gift_id, by=acts.reader()))


@bp.post("/approvals/credit/<gift_id>/decline")
@requires(Permission.STORE_CREDIT_REQUEST, fresh=True)
def decline_gift(gift_id: str) -> ResponseReturnValue:
    """Decline a gift of store credit, or withdraw one's own."""
    return _decide(GIFT, gift_id, "declined", lambda: gifts.decline(gift_id, by=acts.reader(), reason=acts.reason()))


@bp.post("/approvals/payouts/<payout_id>/approve")
@requires(Permission.PAYOUT_APPROVE, fresh=True)
def approve_payout(payout_id: str) -> ResponseReturnValue:
    """Approve a payout."""
    return _decide(PAYOUT, payout_id, "approved", lambda: payouts.approve(payout_id, by=acts.reader()))


@bp.post("/approvals/payouts/<payout_id>/reject")
@requires(Permission.PAYOUT_REQUEST, fresh=True)
def reject_payout(payout_id: str) -> ResponseReturnValue:
    """Reject a payout, or withdraw one's own."""
    return _decide(
        PAYOUT, payout_id, "rejected", lambda: payouts.reject(payout_id, by=acts.reader(), reason=acts.reason())
    )


def _approve_refund(refund_id: str) -> None:
    refund = db.session.get(Refund, refund_id)
    if refund and refund.destination == RefundDestination.BANK and "sent" not in request.form:
        raise BadInput("not_checked", "Check that the money was sent to the customer's bank account, and confirm it.")
    requests.approve(refund_id, acts.reader())


@dataclass(frozen=True)
class Kind:
    """A kind of request: its name in sentences, its table, and the column with the person who decided."""

    name: str
    model: Any
    decided_by: str


REFUND = Kind("refund", Refund, "approved_by")
SHORTFALL = Kind("shortfall", ShortfallRequest, "decided_by")
GIFT = Kind("gift of store credit", CreditGift, "decided_by")
PAYOUT = Kind("payout", Payout, "decided_by")


def _decide(kind: Kind, request_id: str, word: str, act: Callable[[], None]) -> ResponseReturnValue:
    """Decide one request. A refused decision shows the list as it is now, and who decided before."""
    message = f"The {kind.name} {request_id} is {word}."
    return acts.done(
        act, message, url_for("ops.approvals.index"), lambda refusal: _page(refusal, _decided_before(kind, request_id))
    )


def _decided_before(kind: Kind, request_id: str) -> str:
    """Sentence that names the person who decided a request before; empty if it is undecided."""
    row = db.session.get(kind.model, request_id, populate_existing=True)
    by = row and getattr(row, kind.decided_by)
    word = "approved" if kind is REFUND else row and words(row.state)
    return f"{staff.label(by)} has {word} the {kind.name} {request_id}." if by else ""


def _page(refusal: Refusal | None = None, decided_before: str = "") -> str:
    return render_template(
        "ops/approvals.html",
        requests=waiting.requests(acts.reader()),
        refusal=refusal,
        decided_before=decided_before,
    )
