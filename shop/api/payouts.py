"""Payouts: request, list, show, approve, reject."""

from __future__ import annotations

from typing import Any

from shop.accounts.permissions import Permission
from shop.api import idempotency, paging
from shop.api.access import api_access, caller
from shop.api.idempotency import idempotent
from shop.api.problems import problems
from shop.api.resource import ROOT, Resource
from shop.api.schemas import payouts as schemas
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.payouts import payouts
from shop.payouts.models import Payout, PayoutState

bp = Resource("Payouts", __name__, "/payouts", "Payouts of settled money. One person requests, another one approves.")
READ, REQUEST, APPROVE = Permission.PAYOUT_READ, Permission.PAYOUT_REQUEST, Permission.PAYOUT_APPROVE
_ID = {"description": "`id` of the payout.", "schema": {"type": "string", "maxLength": 40}}
PARAMETERS = [{"in": "path", "name": "payout_id", "required": True} | _ID]


@bp.route("", methods=["GET"])
@api_access(READ)
@paging.lists(bp, schemas.PayoutQuery, schemas.PayoutPageSchema, schemas.EXAMPLE)
def index(query: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """List payouts, the newest first

    Those that were rejected or have lapsed are in it, too.
    """
    page = paging.wanted(query)
    state = PayoutState(query["state"]) if "state" in query else None
    rows, total = payouts.listed(state, limit=page.limit, offset=page.offset)
    return paging.answer([schemas.payout(one) for one in rows], total, page)


@bp.route("", methods=["POST"])
@api_access(REQUEST)
@idempotent()
@problems("not_enough_funds", "bad_amount")
@bp.arguments(schemas.NewPayoutSchema, example=schemas.NEW_PAYOUT)
@bp.response(
    201,
    schemas.PayoutSchema,
    example=schemas.EXAMPLE,
    headers={"Location": {"description": "Address of the payout.", "schema": {"type": "string"}}},
)
def create(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Request a payout

    Another person approves it. Until then its amount is kept back from other payouts.
    """
    payout_id = idempotency.resumed() or _requested(body)
    return _body(payout_id), {"Location": f"{ROOT}/payouts/{payout_id}"}


def _requested(body: dict[str, Any]) -> str:
    money, by = Money(body["amount"], body["currency"]), caller().actor(REQUEST)
    return payouts.request(money, by=by, note=body["note"], created=idempotency.claim).id


@bp.route("/<payout_id>", methods=["GET"], parameters=PARAMETERS)
@api_access(READ)
@problems("unknown_payout")
@bp.response(200, schemas.PayoutSchema, example=schemas.EXAMPLE)
def show(payout_id: str) -> dict[str, Any]:
    """Show a payout

    With the two people who have requested and decided it.
    """
    return _body(payout_id)


@bp.route("/<payout_id>/approve", methods=["POST"], parameters=PARAMETERS)
@api_access(APPROVE)
@idempotent()
@problems("unknown_payout", "not_to_decide", "not_enough_funds", "request_lapsed")
@bp.response(200, schemas.PayoutSchema, example=schemas.EXAMPLE | {"state": "APPROVED"})
def approve(payout_id: str) -> dict[str, Any]:
    """Approve a payout as the second person; the money is paid out

    The second person is another account than the one that requested it.
    """
    _body(payout_id)
    payouts.approve(payout_id, by=caller().actor(APPROVE))
    return _body(payout_id)


@bp.route("/<payout_id>/reject", methods=["POST"], parameters=PARAMETERS)
@api_access(REQUEST)
@idempotent(required=False)
@problems("unknown_payout", "not_to_decide")
@bp.arguments(schemas.RejectSchema, example={"reason": "Wrong amount"})
@bp.response(200, schemas.PayoutSchema, example=schemas.EXAMPLE | {"state": "REJECTED"})
def reject(body: dict[str, Any], payout_id: str) -> dict[str, Any]:
    """Reject a payout, or withdraw one's own

    Its amount can be paid out again.
    """
    _body(payout_id)
    payouts.reject(payout_id, by=caller().actor(REQUEST), reason=body["reason"])
    return _body(payout_id)


def _body(payout_id: str) -> dict[str, Any]:
    """The body of a payout as it is now. Raises Refusal `unknown_payout`."""
    found = db.session.get(Payout, payout_id, populate_existing=True)
    if found is None:
        raise Refusal("unknown_payout", "There is no such payout.")
    return schemas.payout(found)
