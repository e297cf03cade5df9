"""Payouts: settled money goes out when two people agree. One conditional UPDATE decides each time."""

from __future__ import annotations

from sqlalchemy import select, update

from shop.core import clock, ids, logs
from shop.core.db import changed, db, insert, retried, writing
from shop.core.errors import BadInput, Refusal
from shop.core.later import after_commit
from shop.core.money import CURRENCIES, Money
from shop.ledger import book, chart
from shop.ledger.models import Funds, Payout

log = logs.get()


class NotEnoughFunds(Refusal):
    """Less has been settled, and not promised to others, than was to go out. `details["available"]` in minor units."""

    def __init__(self, available: Money) -> None:
        message = f"Only {available.format()} can be paid out."
        super().__init__("not_enough_funds", message, available=available.amount)


def received(money: Money) -> None:
    """An acquirer has handed over `money`, or taken it back when negative; in the unit that posts it to SETTLED."""
    db.session.execute(
        insert(Funds)
        .values(currency=money.currency, settled=money.amount, promised=0)
        .on_conflict_do_update(index_elements=["currency"], set_={"settled": Funds.settled + money.amount})
    )


def available(currency: str) -> Money:
    """What a payout may ask for now."""
    free = db.session.scalar(select(Funds.settled - Funds.promised).where(Funds.currency == currency))
    return Money(max(0, free or 0), currency)


def waiting() -> list[Payout]:
    """Payouts that nobody has decided about, oldest first."""
    return list(db.session.scalars(select(Payout).where(Payout.state == "REQUESTED").order_by(Payout.asked_at)))


def request(money: Money, *, by: str, note: str = "") -> Payout:
    """Ask for `money` to be paid out; somebody else has to agree. Raises BadInput for no amount, NotEnoughFunds."""
    if money.currency not in CURRENCIES or money.amount <= 0:
        raise BadInput("bad_amount", "Please give an amount above nothing, in a currency of the shop.")
    payout_id = ids.payout_id()

    def unit() -> None:
        with writing():
            promised = update(Funds).where(
                Funds.currency == money.currency, Funds.settled - Funds.promised >= money.amount
            )
            if not changed(promised.values(promised=Funds.promised + money.amount)):
                raise NotEnoughFunds(available(money.currency))
            values = {"currency": money.currency, "amount": money.amount, "asked_by": by, "note": note}
            db.session.add(Payout(id=payout_id, state="REQUESTED", asked_at=clock.now(), **values))
            after_commit(lambda: log.info("payout.requested", payout=payout_id))

    retried(unit)
    return db.session.get_one(Payout, payout_id)


def approve(payout_id: str, *, by: str) -> None:
    """The second person agrees and the money goes out.

    Raises Refusal: `not_to_decide` for who asked for it or when it is decided, NotEnoughFunds when an acquirer has
    taken money back meanwhile; then it still waits.
    """

    def unit() -> None:
        with writing():
            payout = _decide(payout_id, "APPROVED", by, not_by_asker=True)
            funds = update(Funds).where(Funds.currency == payout.currency, Funds.settled >= payout.amount)
            if not changed(
                funds.values(settled=Funds.settled - payout.amount, promised=Funds.promised - payout.amount)
            ):
                settled = db.session.scalar(select(Funds.settled).where(Funds.currency == payout.currency)) or 0
                raise NotEnoughFunds(Money(max(0, settled), payout.currency))
            book.transfer(f"payout:{payout_id}", "payout", payout.money, debit=chart.PAID_OUT, credit=chart.SETTLED)

    retried(unit)


def reject(payout_id: str, *, by: str) -> None:
    """Anybody, also who asked for it, calls it off. Raises Refusal `not_to_decide` when it is decided."""

    def unit() -> None:
        with writing():
            payout = _decide(payout_id, "REJECTED", by, not_by_asker=False)
            freed = update(Funds).where(Funds.currency == payout.currency)
            db.session.execute(freed.values(promised=Funds.promised - payout.amount))

    retried(unit)


def _decide(payout_id: str, target: str, by: str, *, not_by_asker: bool) -> Payout:
    """Of several decisions at once the first one counts."""
    guard = update(Payout).where(Payout.id == payout_id, Payout.state == "REQUESTED")
    if not_by_asker:
        guard = guard.where(Payout.asked_by != by)
    if not changed(guard.values(state=target, decided_by=by, decided_at=clock.now())):
        raise _not_to_decide(db.session.scalar(select(Payout.state).where(Payout.id == payout_id)))
    after_commit(lambda: log.info(f"payout.{target.lower()}", payout=payout_id))
    return db.session.get_one(Payout, payout_id, populate_existing=True)


def _not_to_decide(state: str | None) -> Refusal:
    sentences = {
        None: "There is no such payout.",
        "REQUESTED": "Somebody else than who asked for a payout has to approve it.",
    }
    return Refusal("not_to_decide", sentences.get(state, "This payout has been decided."))
