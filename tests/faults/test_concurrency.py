"""Eight concurrent callers, on both databases: each refund is made once, and a job that runs eight times acts once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.jobs import work
from shop.ledger import book, chart
from shop.orders.models import Order
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.records.models import Capture, Refund
from shop.payments.refunds import apply, requests
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN, Shop

ROUNDS = 2


def paid(shop: Shop) -> tuple[Order, int]:
    """A paid order and the capture that paid it."""
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    db.session.rollback()
    return order, db.session.scalars(db.select(Capture.id).where(Capture.payment_id == payment.id)).one()


def share(order: Order, percent: int) -> Money:
    return Money(order.total_amount * percent // 100, order.currency)


def kinds(results: list[Any]) -> Counter[str]:
    return Counter(r.code if isinstance(r, Refusal) else type(r).__name__ for r in results)


def returned(shop: Shop) -> int:
    """Minor units that the acquirer has refunded."""
    return sum(money.amount for _, money, state in shop.acquirer.refunds.values() if state == "DONE")


def test_eight_refunds_of_30_percent_at_once_are_exactly_three(shop: Shop, race: Race) -> None:
    """Fault 37."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        before, part = returned(shop), share(order, 30)
        results = race(lambda _, c=capture, p=part: requests.request(c, p, reason="", by=shop.sam).id)
        assert kinds(results) == {"str": 3, "not_refundable": 5}
        shop.sweep()
        assert returned(shop) - before == 3 * part.amount
        assert shop.state(order) == "PARTIALLY_REFUNDED"


def test_eight_forms_that_show_the_same_number_refund_once(shop: Shop, race: Race) -> None:
    """Fault 37, and attack 23: a form with outdated numbers is refused, however small its amount."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        part, shown = share(order, 10), order.total_amount
        people = [shop.colleague(f"s{n}") for n in range(8)]
        results = race(
            lambda n, c=capture, p=part, s=shown, by=people: (
                requests.request(c, p, reason="", by=by[n], expected_refundable=s).id
            )
        )
        assert kinds(results) == {"str": 1, "not_refundable": 7}
        shop.sweep()


def test_eight_concurrent_senders_send_one_refund_once(shop: Shop, race: Race) -> None:
    """Faults 17 and 22: RQ repeats a finished job, or one that a hanging worker still runs."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        refund = requests.request(capture, share(order, 100), reason="", by=shop.sam).id
        assert not [r for r in race(lambda _, r=refund: work.batch("refund", [r])) if isinstance(r, Exception)]
        assert shop.acquirer.calls.count(("refund", refund)) == 1
        assert shop.state(order) == "REFUNDED"
        assert shop.moves(order).count("REFUNDED") == 1


def test_a_batch_in_eight_workers_polls_each_payment_once(shop: Shop, race: Race) -> None:
    """Fault 22."""
    orders = [shop.order((PEN, 1)) for _ in range(5)]
    due = [shop.payment(order).id for order in orders]
    for payment in due:
        shop.acquirer.capture(payment)
    for order in orders:
        shop.make_due(shop.payment(order))
    requested = Counter(call for call in shop.acquirer.calls if call[0] == "query")
    assert not [r for r in race(lambda _: work.batch("poll", due)) if isinstance(r, Exception)]
    now = Counter(call for call in shop.acquirer.calls if call[0] == "query")
    assert [now[("query", p)] - requested[("query", p)] for p in due] == [1] * 5
    assert {shop.state(order) for order in orders} == {"PAID"}


def test_of_eight_concurrent_approvals_of_a_large_refund_one_succeeds_and_never_the_requesters(
    shop: Shop, race: Race
) -> None:
    """Case 29 and attack 23, for refunds."""
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    order, capture = paid(shop)
    refund = requests.request(capture, order.total, reason="", by=shop.sam).id
    assert kinds(race(lambda _: requests.approve(refund, shop.sam))) == {"not_to_approve": 8}
    people = [shop.sam, shop.kim, shop.colleague("ada"), shop.colleague("lee")]
    results = race(lambda n: requests.approve(refund, people[n % 4]))
    assert kinds(results) == {"NoneType": 1, "not_to_approve": 7}
    db.session.rollback()
    assert db.session.get_one(Refund, refund).approved_by in people[1:]
    shop.sweep()
    assert (shop.state(order), len(shop.acquirer.refunds)) == ("REFUNDED", 1)


def test_a_refund_reported_as_done_by_eight_sources_at_once_is_booked_once(shop: Shop, race: Race) -> None:
    """Fault 38: webhook, poll and response at the same time."""
    for _ in range(ROUNDS):
        order, capture = paid(shop)
        refund = requests.request(capture, order.total, reason="", by=shop.sam).id
        verdicts = race(lambda _, r=refund: apply.result(r, "DONE", Actor.of_source("webhook")))
        assert Counter(verdicts) == {"applied": 1, "duplicate": 7}
        shop.sweep()
        assert shop.state(order) == "REFUNDED"
    assert book.balance(chart.receivable("fakepay"), "TWD") == Money(0, "TWD")


def test_customer_staff_and_the_shop_refund_one_late_capture_once(shop: Shop, race: Race) -> None:
    """Fault 37: the automatic refund and staff who refund the same capture."""
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.turn(minutes=31)
    shop.acquirer.capture(payment.id)
    webhook = shop.acquirer.webhook(payment.id, "evt-1")
    shop.receive(*webhook)
    db.session.rollback()
    capture = db.session.scalars(db.select(Capture.id).where(Capture.payment_id == payment.id)).one()
    whole = order.total
    results = race(lambda n: work.sweep() if n % 2 else requests.request(capture, whole, reason="", by=shop.sam))
    assert kinds(results) == {"dict": 4, "not_refundable": 4}
    assert returned(shop) == whole.amount
    assert (shop.state(order), shop.captures(order)) == ("EXPIRED", ["late"])


def disputed(shop: Shop, order: Order, state: str) -> str:
    """A chargeback of the whole payment, open or won."""
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    name = f"dp-{order.number}"
    fact = DisputeFact(name, theirs.id, "chargeback", state, theirs.money, clock.now(), "fraudulent")
    return disputes.apply("fakepay", fact, "webhook")


REPORTS: dict[str, Callable[[Shop, Order, str], object]] = {
    "refund done": lambda shop, order, refund: apply.result(refund, "DONE", Actor.of_source("webhook")),
    "failed late": lambda shop, order, refund: shop.deliver_webhook(shop.payment(order), state="FAILED", captures=[]),
    "chargeback": lambda shop, order, refund: disputed(shop, order, "OPEN"),
    "chargeback won": lambda shop, order, refund: disputed(shop, order, "WON"),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_refund_late_failure_and_chargeback_in_any_order_end_the_same(shop: Shop) -> None:
    """Fault 38: 60 % was refunded, the dispute was won; the rest is receivable."""
    owed = 0
    for order_of_hearing in list(itertools.permutations(REPORTS))[::3]:
        shop.restock(PEN)
        order, capture = paid(shop)
        refund = requests.request(capture, share(order, 60), reason="", by=shop.sam).id
        for report in order_of_hearing:
            REPORTS[report](shop, order, refund)
        shop.sweep()
        owed += share(order, 40).amount
        assert (shop.state(order), shop.captures(order)) == ("PARTIALLY_REFUNDED", ["pays_order"]), order_of_hearing
        assert book.balance(chart.receivable("fakepay"), "TWD").amount == owed, order_of_hearing
        assert book.balance(chart.DISPUTES, "TWD").amount == 0, order_of_hearing
