"""Manual refunds by bank transfer: one person sends it, another one confirms it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from shop.alerts.models import Alert
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.explain.order_rows import OrderRows
from shop.explain.why import why
from shop.integrity import invariants
from shop.integrity.invariants import acquirer as rules
from shop.ledger import book, chart
from shop.orders.models import Order
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.records.models import Refund
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.refunds import requests
from shop.payments.settlement import reconcile
from tests.payments.trading import QUIET, Trading
from tests.race_fixtures import Race
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]
DEBTS = (chart.UNALLOCATED_FUNDS, chart.REFUNDS, chart.MANUAL_REFUNDS, chart.receivable("fakepay"))


@pytest.fixture
def stuck(shop: Shop) -> Order:
    """An order of a guest, whose late capture the acquirer does not refund."""
    order = shop.order()
    shop.turn(minutes=31)
    shop.acquirer.capture(shop.payment(order).id)
    shop.acquirer.misbehave("refund", "refuse")
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    assert ([r.state for r in shop.refunds(order)], shop.order_status(order).key) == (["REJECTED"], "review")
    return order


def by_hand(shop: Shop, order: Order, amount: int = PRICE) -> str:
    """Sam asks to send money by hand; the id of the refund."""
    return requests.request(shop.capture(order), Money(amount, "TWD"), reason="", by=shop.sam, to="bank").id


def state_of(refund: str) -> str:
    db.session.rollback()
    return db.session.get_one(Refund, refund, populate_existing=True).state


def balances() -> list[int]:
    """The balance of the account of manual refunds."""
    db.session.rollback()
    return [book.balance(account, "TWD").amount for account in DEBTS]


@pytest.mark.whole_sweep
def test_a_late_capture_that_an_acquirer_does_not_refund_is_refunded_by_hand(shop: Shop, stuck: Order) -> None:
    refund = by_hand(shop, stuck)
    shop.turn(days=2)
    assert (state_of(refund), shop.order_status(stuck).key) == ("REQUESTED", "review"), "nobody has agreed yet"
    assert balances() == [-PRICE, 0, 0, PRICE]
    with pytest.raises(Refusal, match="by another person than the one who requested it"):
        requests.approve(refund, shop.sam)
    requests.approve(refund, shop.kim)
    shop.sweep()
    status = shop.order_status(stuck)
    assert (state_of(refund), status.key, status.final) == ("DONE", "late", True)
    assert status.order.review_since is None
    assert balances() == [0, 0, -PRICE, PRICE], "the acquirer has the money still"
    shop.turn(minutes=5)
    db.session.rollback()
    assert set(db.session.scalars(db.select(Alert.state))) == {"RESOLVED"}


def test_a_mismatch_that_was_refunded_by_hand_ends_the_review(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(PRICE - 100, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    refund = by_hand(shop, order, PRICE - 100)
    shop.sweep()
    assert shop.order_status(order).key == "review"
    requests.approve(refund, shop.kim)
    shop.sweep()
    assert (shop.order_status(order).key, balances()[:3]) == ("choose", [0, 0, 100 - PRICE])


def test_the_smallest_amount_needs_two_when_it_goes_by_hand(shop: Shop) -> None:
    order = shop.paid_order()
    refund = by_hand(shop, order, 1)
    shop.sweep()
    assert state_of(refund) == "REQUESTED"
    rest = requests.request(shop.capture(order), Money(PRICE - 1, "TWD"), reason="", by=shop.sam)
    assert not rest.needs_two, "to the acquirer one person may send that much"
    requests.approve(refund, shop.kim)
    shop.sweep()
    assert (shop.state(order), balances()) == ("REFUNDED", [0, PRICE, -1, 1])


def test_an_order_is_refunded_by_hand_and_its_credit_is_returned(shop: Shop) -> None:
    ada = shop.customer(credit=20000)
    order = shop.paid_order(customer=ada, credit=20000)
    sent, credit = requests.request_all(order.id, reason="", by=shop.sam, to="bank")
    assert (sent.destination, credit.destination, credit.needs_two) == ("bank", "store_credit", False)
    requests.approve(sent.id, shop.kim)
    shop.sweep()
    assert (shop.state(order), shop.credit(ada), balances()[2]) == ("REFUNDED", 20000, 20000 - PRICE)


def test_a_manual_refund_that_was_not_sent_is_declined_and_reviewed_again(shop: Shop, stuck: Order) -> None:
    refund = by_hand(shop, stuck)
    with pytest.raises(Refusal, match="Nothing can be refunded any more"):
        by_hand(shop, stuck, 1)
    requests.decline(refund, shop.sam)
    assert (state_of(refund), shop.order_status(stuck).key) == ("REJECTED", "review")
    again = by_hand(shop, stuck)
    requests.approve(again, shop.kim)
    shop.sweep()
    assert (shop.order_status(stuck).key, balances()[2]) == ("late", -PRICE)


@pytest.mark.whole_sweep
def test_a_transfer_that_bounced_is_not_sent_and_goes_another_way(shop: Shop, stuck: Order) -> None:
    refund = by_hand(shop, stuck)
    requests.approve(refund, shop.kim)
    shop.sweep()
    requests.bounced(refund, shop.kim)
    shop.sweep()
    assert (state_of(refund), shop.order_status(stuck).key, balances()) == ("REJECTED", "review", [-PRICE, 0, 0, PRICE])
    failed = db.select(Alert).where(Alert.rule == "OPS_REFUND_FAILED_LATER")
    assert db.session.scalars(failed).one().state == "NEW"
    again = by_hand(shop, stuck)
    requests.approve(again, shop.kim)
    shop.sweep()
    assert (state_of(again), shop.order_status(stuck).key, balances()) == ("DONE", "late", [0, 0, -PRICE, PRICE])
    shop.turn(minutes=5)
    db.session.rollback()
    assert set(db.session.scalars(db.select(Alert.state))) == {"RESOLVED"}


def test_an_order_whose_bank_transfer_bounced_is_paid_again(shop: Shop) -> None:
    order = shop.paid_order()
    part, rest = by_hand(shop, order, 1), by_hand(shop, order, PRICE - 1)
    for refund in (part, rest):
        requests.approve(refund, shop.kim)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"
    requests.bounced(rest, shop.kim)
    assert (shop.state(order), balances()) == ("PARTIALLY_REFUNDED", [0, 1, -1, PRICE])
    reported = (
        r"Partially refunded because refund \w+ of NT\$1,199\.99 failed after completion .+, "
        r"reported by kim@example.com; NT\$0\.01 of"
    )
    assert re.match(reported, why(OrderRows(shop.order_status(order).order)))
    requests.bounced(part, shop.kim)
    assert (shop.state(order), balances()) == ("PAID", [0, 0, 0, PRICE])


def test_only_what_was_booked_as_sent_to_a_bank_can_bounce_and_only_once(shop: Shop, race: Race) -> None:
    order = shop.paid_order()
    theirs = requests.request(shop.capture(order), Money(1, "TWD"), reason="", by=shop.sam).id
    ours = by_hand(shop, order, 2)
    shop.sweep()
    for refund in (theirs, ours, "nope"):
        with pytest.raises(Refusal, match="booked as sent to a bank"):
            requests.bounced(refund, shop.kim)
    requests.approve(ours, shop.kim)
    shop.sweep()
    message = race(lambda _: requests.bounced(ours, shop.kim))
    assert Counter(type(one) for one in message) == {type(None): 1, Refusal: 7}
    assert (state_of(theirs), state_of(ours), balances()) == ("DONE", "REJECTED", [0, 1, 0, PRICE - 1])


def test_the_acquirer_is_not_queried_about_a_manual_refund_and_its_reports_are_ignored(
    shop: Shop, stuck: Order
) -> None:
    refund, payment = by_hand(shop, stuck), shop.payment(stuck)
    reported: dict[str, object] = {"state": None, "captures": [], "decline": None, "show": None}
    shop.deliver_webhook(payment, refund=[refund, "DONE"], **reported)
    at, line = clock.now(), ["l-1", "refund", refund, payment.id, f"cap-{payment.id}-1", -PRICE, 0, "TWD"]
    reconcile.reconcile(
        "fakepay", at.date(), json.dumps([[*line, at.isoformat()]]).encode(), by=Actor.operator(), fetched=True
    )
    assert state_of(refund) == "REQUESTED", "nobody has sent it"
    requests.approve(refund, shop.kim)
    shop.sweep()
    shop.deliver_webhook(payment, refund=[refund, "REJECTED"], **reported)
    shop.turn(days=2)
    assert state_of(refund) == "DONE"
    assert refund not in {about for _, about in shop.acquirer.calls}


def test_a_manual_refund_needs_no_settlement_line(shop: Shop) -> None:
    order = shop.paid_order()
    day, at = clock.now().date(), clock.now().isoformat()
    capture = f"cap-{shop.payment(order).id}-1"
    file = [["l-1", "capture", capture, shop.payment(order).id, capture, PRICE, 0, "TWD", at]]
    requests.approve(by_hand(shop, order), shop.kim)
    shop.sweep()
    shop.turn(days=1)
    reconcile.reconcile("fakepay", day, json.dumps(file).encode(), by=Actor.operator(), fetched=True)
    reconcile.reconcile("fakepay", day + timedelta(days=1), b"[]", by=Actor.operator(), fetched=True)
    assert shop.count(Discrepancy) == 0
    assert balances() == [0, PRICE, -PRICE, 0]


def test_a_sent_manual_refund_is_booked_although_the_capture_is_disputed(shop: Shop, stuck: Order) -> None:
    refund = by_hand(shop, stuck)
    theirs = shop.acquirer.payments[shop.payment(stuck).id].captures[0]
    fact = DisputeFact("dp_1", theirs.id, "chargeback", "OPEN", theirs.money, clock.now(), "fraudulent")
    disputes.apply("fakepay", fact, "webhook")
    requests.approve(refund, shop.kim)
    shop.sweep()
    assert (state_of(refund), balances()) == ("DONE", [0, 0, -PRICE, 0])


def test_a_manual_refund_that_the_ledger_lacks_is_found(shop: Shop, stuck: Order) -> None:
    requests.approve(by_hand(shop, stuck), shop.kim)
    shop.sweep()
    move = db.text("UPDATE ledger_entries SET account = :to WHERE account = :source")
    for source, to, broken in (
        (chart.MANUAL_REFUNDS, chart.GOODWILL, ["6 ledger"]),
        (chart.GOODWILL, chart.MANUAL_REFUNDS, []),
    ):
        db.session.execute(move, {"source": source, "to": to})
        db.session.commit()
        assert [found.name for found in invariants.check(with_acquirers=False) if not found.holds] == broken


def test_what_the_acquirer_has_is_compared_while_a_refund_by_hand_waits_and_after_it(
    shop: Shop, make_acquirer: Callable[..., RealAcquirer]
) -> None:
    trading = Trading(shop, make_acquirer(**QUIET))
    order = trading.paid("kpay")
    trading.day_is_over()
    shop.sweep()
    refund = by_hand(shop, order)
    assert rules.captured_as_there(invariants.EVERYTHING) == []
    for change in (1, -1):
        db.session.execute(db.text("UPDATE captures SET amount = amount + :change"), {"change": change})
        db.session.commit()
        assert len(rules.captured_as_there(invariants.EVERYTHING)) == (change == 1)
    requests.approve(refund, shop.kim)
    shop.sweep()
    assert (shop.state(order), rules.captured_as_there(invariants.EVERYTHING)) == ("REFUNDED", [])
