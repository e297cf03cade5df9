"""Payouts of settled money, approved by a second person. One conditional UPDATE decides each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import func, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, ids, key_pages, logs
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, changed, db, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.key_pages import FIRST, Page, Place
from shop.core.keyset import ON_A_PAGE
from shop.core.money import CURRENCIES, Money
from shop.ledger import funds
from shop.payouts.models import Payout, PayoutState

log = logs.get()
_ACTS = {PayoutState.APPROVED: Act.PAYOUT_APPROVED, PayoutState.REJECTED: Act.PAYOUT_REJECTED}


class NotEnoughFunds(Refusal):
    """Less settled and unpromised money is available than requested. `details["available"]` in minor units."""

    def __init__(self, available: Money) -> None:
        message = f"Only {available.with_code()} can be paid out."
        super().__init__("not_enough_funds", message, available=available.amount)


def waiting() -> list[Payout]:
    """Undecided payouts, oldest first."""
    return list(
        db.session.scalars(select(Payout).where(Payout.state == PayoutState.REQUESTED).order_by(Payout.requested_at))
    )


def listed(state: PayoutState | None, *, limit: int, offset: int = 0) -> tuple[Sequence[Payout], int]:
    """A page of the payouts, of one state if given, the newest first; and the number of all."""
    which = [Payout.state == state] if state else []
    total = db.session.scalar(select(func.count()).select_from(Payout).where(*which)) or 0
    newest = select(Payout).where(*which).order_by(Payout.requested_at.desc(), Payout.id.desc())
    return db.session.scalars(newest.limit(limit).offset(offset)).all(), total


def page(place: Place = FIRST, *, limit: int = ON_A_PAGE) -> Page[Payout]:
    """A page of the payouts, the newest first. One statement."""
    found = db.session.scalars(key_pages.at(select(Payout), Payout.id, place, limit, descending=True)).all()
    return key_pages.page(found, place, limit, lambda payout: payout.id)


def request(
    money: Money, *, by: Actor, note: str = "", created: Callable[[str], None] = lambda _payout_id: None
) -> Payout:
    """Request a payout of `money`; another person has to approve. `created` is called with its id in the transaction
    that writes it. Raises BadInput for no amount, NotEnoughFunds.
    """
    if money.currency not in CURRENCIES or money.amount <= 0:
        raise BadInput("bad_amount", "Enter an amount greater than zero in a currency of the shop.")
    payout_id = ids.payout_id()
    _request(payout_id, money, by, note, created)
    return db.session.get_one(Payout, payout_id)


@transactional
def _request(payout_id: str, money: Money, by: Actor, note: str, created: Callable[[str], None]) -> None:
    rights.demand(by, Permission.PAYOUT_REQUEST)
    if not funds.promise(money):
        raise NotEnoughFunds(funds.available(money.currency))
    values = {"currency": money.currency, "amount": money.amount, "requested_by": by, "note": note}
    db.session.add(Payout(id=payout_id, state=PayoutState.REQUESTED, requested_at=clock.now(), **values))
    created(payout_id)
    audit.record(by, Act.PAYOUT_REQUESTED, Subject(SubjectKind.PAYOUT, payout_id), after={"money": money}, reason=note)
    after_commit(lambda: log.info("payout.requested", payout=payout_id))


@transactional
def approve(payout_id: str, *, by: Actor) -> None:
    """Approve a payout as the second person; the money is paid out.

    Raises Refusal: `not_to_decide` for its requester or when it is decided, Lapsed when the requester may not request
    it any more, NotEnoughFunds when an acquirer has taken money back meanwhile; the payout then stays undecided.
    """
    rights.demand(by, Permission.PAYOUT_APPROVE)
    payout = _decide(payout_id, PayoutState.APPROVED, by, not_by_requester=True)
    rights.demand_of_requester(payout.requested_by, Permission.PAYOUT_REQUEST)
    if not funds.pay_out(payout.money, key=f"payout:{payout_id}"):
        raise NotEnoughFunds(funds.settled(payout.currency))


@transactional
def reject(payout_id: str, *, by: Actor, reason: str = "") -> None:
    """Reject a payout; its requester may do so too. Raises Refusal `not_to_decide` when it is decided."""
    rights.demand(by, Permission.PAYOUT_REQUEST)
    payout = _decide(payout_id, PayoutState.REJECTED, by, not_by_requester=False, reason=reason)
    funds.withdraw_promise(payout.money)


def _decide(payout_id: str, target: PayoutState, by: Actor, *, not_by_requester: bool, reason: str = "") -> Payout:
    """Of several concurrent decisions the first one counts."""
    requested_by = db.session.scalar(select(Payout.requested_by).where(Payout.id == payout_id))
    if not_by_requester and requested_by is not None and not by.may_approve(requested_by):
        raise _not_to_decide(db.session.scalar(select(Payout.state).where(Payout.id == payout_id)))
    guard = update(Payout).where(Payout.id == payout_id, Payout.state == PayoutState.REQUESTED)
    if not changed(guard.values(state=target, decided_by=by, decided_at=clock.now())):
        raise _not_to_decide(db.session.scalar(select(Payout.state).where(Payout.id == payout_id)))
    payout = db.session.get_one(Payout, payout_id, populate_existing=True)
    states = {"state": PayoutState.REQUESTED}, {"state": target, "money": payout.money}
    subject = Subject(SubjectKind.PAYOUT, payout_id)
    audit.record(by, _ACTS[target], subject, before=states[0], after=states[1], reason=reason)
    after_commit(lambda: log.info(f"payout.{target.lower()}", payout=payout_id))
    return payout


def _not_to_decide(state: PayoutState | None) -> Refusal:
    sentences = {
        None: "There is no such payout.",
        PayoutState.REQUESTED: "A payout must be approved by another person than the one who requested it.",
    }
    return Refusal("not_to_decide", sentences.get(state, "This payout has already been decided."))
