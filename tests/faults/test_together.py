"""Eight at once, on both databases: what goes back goes back once, and a job that runs eight times is done once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from shop.core import clock
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.jobs import work
from shop.ledger import book, chart
from shop.orders.models import Order
from shop.payments import disputes, refunds
from shop.payments.models import Capture, Refund
from shop.payments.provider import DisputeFact
from tests.shop_fixtures import PEN, Race, Shop

ROUNDS = 2


def paid(shop: Shop) -> tuple[Order, int]:
    """A paid order and the capture that paid it."""
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.hear(payment)
    db.session.rollback()
    return order, db.session.scalars(db.select(Capture.id).where(Capture.payment_id == payment.id)).one()


def share(order: Order, percent: int) -> Money:
    return Money(order.total_amount * percent // 100, order.currency)


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(r.code if isinstance(r, Refusal) else type(r).__name__ for r in results)


def gone_back(shop: Shop) -> int:
    """Minor units that the acquirer has sent back."""
    return sum(money.amount for _, money, state in shop.acquirer.refunds.values() if state == "DONE")


def test_eight_refunds_of_30_percent_at_once_are_exactly_three(shop: Shop, race: Race) -> None:
    """Fault 37."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        before, part = gone_back(shop), share(order, 30)
        results = race(lambda _, c=capture, p=part: refunds.request(c, p, reason="", by="sam").id)
        assert kinds(results) == {"str": 3, "not_refundable": 5}
        shop.sweep()
        assert gone_back(shop) - before == 3 * part.amount
        assert shop.state(order) == "PARTIALLY_REFUNDED"


def test_eight_forms_that_show_the_same_number_refund_once(shop: Shop, race: Race) -> None:
    """Fault 37, and attack 23: a form with stale numbers is refused, however little it asks for."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        part, shown = share(order, 10), order.total_amount
        results = race(
            lambda n, c=capture, p=part, s=shown: refunds.request(c, p, reason="", by=f"s{n}", expected_refundable=s).id
        )
        assert kinds(results) == {"str": 1, "not_refundable": 7}
        shop.sweep()


def test_eight_who_send_one_refund_send_it_once(shop: Shop, race: Race) -> None:
    """Faults 17 and 22: RQ runs a job again that was done, or that a worker that hung still does."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        refund = refunds.request(capture, share(order, 100), reason="", by="sam").id
        assert not [r for r in race(lambda _, r=refund: work.batch("refund", [r])) if isinstance(r, Exception)]
        assert shop.acquirer.calls.count(("refund", refund)) == 1
        assert shop.state(order) == "REFUNDED"
        assert shop.moves(order).count("REFUNDED") == 1


def test_a_batch_that_eight_workers_have_asks_about_each_payment_once(shop: Shop, race: Race) -> None:
    """Fault 22."""
    orders = [shop.order((PEN, 1)) for _ in range(5)]
    due = [shop.payment(order).id for order in orders]
    for payment in due:
        shop.acquirer.capture(payment)
    for order in orders:
        shop.make_due(shop.payment(order))
    asked = Counter(call for call in shop.acquirer.calls if call[0] == "query")
    assert not [r for r in race(lambda _: work.batch("poll", due)) if isinstance(r, Exception)]
    now = Counter(call for call in shop.acquirer.calls if call[0] == "query")
    assert [now[("query", p)] - asked[("query", p)] for p in due] == [1] * 5
    assert {shop.state(order) for order in orders} == {"PAID"}


def test_of_eight_who_approve_a_large_refund_at_once_one_does_and_never_the_one_who_asked(
    shop: Shop, race: Race
) -> None:
    """Case 29 and attack 23, as far as refunds go."""
    shop.app.config["REFUND_NEEDS_TWO"] = 1000
    order, capture = paid(shop)
    refund = refunds.request(capture, order.total, reason="", by="s0").id
    assert kinds(race(lambda _: refunds.approve(refund, "s0"))) == {"not_to_approve": 8}
    results = race(lambda n: refunds.approve(refund, f"s{n % 4}"))
    assert kinds(results) == {"NoneType": 1, "not_to_approve": 7}
    db.session.rollback()
    assert db.session.get_one(Refund, refund).approved_by in {"s1", "s2", "s3"}
    shop.sweep()
    assert (shop.state(order), len(shop.acquirer.refunds)) == ("REFUNDED", 1)


def test_a_refund_that_eight_hear_is_done_at_once_is_booked_once(shop: Shop, race: Race) -> None:
    """Fault 38: webhook, poll and answer together."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        refund = refunds.request(capture, order.total, reason="", by="sam").id
        verdicts = race(lambda _, r=refund: refunds.hear(r, "DONE", "webhook"))
        assert Counter(verdicts) == {"applied": 1, "duplicate": 7}
        shop.sweep()
        assert shop.state(order) == "REFUNDED"
    assert book.balance(chart.receivable("fakepay"), "TWD") == Money(0, "TWD")


def test_buyer_staff_and_the_shop_itself_send_one_late_capture_back_once(shop: Shop, race: Race) -> None:
    """Fault 37: the automatic refund against people who saw the money too."""
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.turn(minutes=31)
    shop.acquirer.capture(payment.id)
    webhook = shop.acquirer.webhook(payment.id, "evt-1")
    shop.receive(*webhook)
    db.session.rollback()
    capture = db.session.scalars(db.select(Capture.id).where(Capture.payment_id == payment.id)).one()
    whole = order.total
    results = race(lambda n: work.sweep() if n % 2 else refunds.request(capture, whole, reason="", by="sam"))
    assert kinds(results) == {"dict": 4, "not_refundable": 4}
    assert gone_back(shop) == whole.amount
    assert (shop.state(order), shop.captures(order)) == ("EXPIRED", ["late"])


def disputed(shop: Shop, order: Order, state: str) -> str:
    """The customer's bank takes the whole payment back, or has given it back."""
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    name = f"dp-{order.number}"
    fact = DisputeFact(name, theirs.id, "chargeback", state, theirs.money, clock.now(), "fraudulent")
    return disputes.hear("fakepay", fact, "webhook")


REPORTS: dict[str, Callable[[Shop, Order, str], object]] = {
    "refund done": lambda shop, order, refund: refunds.hear(refund, "DONE", "webhook"),
    "failed late": lambda shop, order, refund: shop.hear(shop.payment(order), state="FAILED", captures=[]),
    "chargeback": lambda shop, order, refund: disputed(shop, order, "OPEN"),
    "chargeback won": lambda shop, order, refund: disputed(shop, order, "WON"),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_refund_late_failure_and_chargeback_in_any_order_end_the_same(shop: Shop) -> None:
    """Fault 38: 60 % went back, the dispute was won; what is owed to us is the rest."""
    owed = 0
    for order_of_hearing in list(itertools.permutations(REPORTS))[::3]:
        shop.restock(PEN)
        order, capture = paid(shop)
        refund = refunds.request(capture, share(order, 60), reason="", by="sam").id
        for report in order_of_hearing:
            REPORTS[report](shop, order, refund)
        shop.sweep()
        owed += share(order, 40).amount
        assert (shop.state(order), shop.captures(order)) == ("PARTIALLY_REFUNDED", ["paid"]), order_of_hearing
        assert book.balance(chart.receivable("fakepay"), "TWD").amount == owed, order_of_hearing
        assert book.balance(chart.DISPUTES, "TWD").amount == 0, order_of_hearing
