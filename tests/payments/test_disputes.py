"""Disputes: stored and booked once, whatever the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from shop.alerts.models import Alert
from shop.core import clock
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.ledger import book, chart
from shop.orders import events
from shop.orders.models import Order
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact, Malformed
from shop.payments.records.models import WebhookEventRow
from shop.payments.records.settlement_models import Dispute
from shop.payments.refunds import requests
from shop.payments.updates.apply import accept
from tests.parts.waiting import until
from tests.payments.trading import QUIET, Trading
from tests.race_fixtures import Race
from tests.real_acquirer_fixtures import RealAcquirer, WebhookReceiver
from tests.shop_fixtures import Shop


@pytest.fixture
def trading(shop: Shop, make_acquirer: Callable[..., RealAcquirer], receiver: WebhookReceiver) -> Iterator[Trading]:
    """The acquirer's webhooks wait at `receiver` until the test posts them to the shop."""
    hook = f"{receiver.url}/webhooks"
    reported = {
        "ACQUIRER_WEBHOOK_TARGETS": receiver.url,
        "ACQUIRER_KPAY_WEBHOOK_URL": hook,
        "ACQUIRER_STRIPE_WEBHOOK_URL": hook,
    }
    shop.app.config["SHOP_URL"] = receiver.url
    day = Trading(shop, make_acquirer(**QUIET, **reported))
    yield day
    shop.sweep()


def fact(shop: Shop, order: Order, state: str = "OPEN", kind: str = "chargeback", name: str = "dp_1") -> DisputeFact:
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    return DisputeFact(name, theirs.id, kind, state, theirs.money, clock.now(), "fraudulent")


def paid(shop: Shop) -> Order:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    return order


def apply_disputes(shop: Shop, order: Order, *states: str, kind: str = "chargeback") -> list[str]:
    return [disputes.apply("fakepay", fact(shop, order, state, kind), "webhook") for state in states]


def booked() -> int:
    """The balance of the account of disputes."""
    db.session.rollback()
    return book.balance(chart.DISPUTES, "TWD").amount


def state() -> tuple[str, str]:
    db.session.rollback()
    found = db.session.scalars(db.select(Dispute)).one()
    return found.kind, found.state


def test_a_chargeback_is_booked_once_and_the_order_stays_paid(shop: Shop) -> None:
    order = paid(shop)
    assert apply_disputes(shop, order, "OPEN", "OPEN") == ["applied", "duplicate"]
    assert (state(), booked(), shop.state(order)) == (("chargeback", "OPEN"), 120000, "PAID")


@pytest.mark.parametrize(
    ("states", "verdicts", "ends", "stands"),
    [
        (("OPEN", "WON"), ["applied", "applied"], "WON", 0),
        (("OPEN", "LOST"), ["applied", "applied"], "LOST", 120000),
        (("WON", "OPEN"), ["applied", "stale"], "WON", 0),
        (("LOST", "OPEN", "LOST"), ["applied", "stale", "duplicate"], "LOST", 120000),
        (("OPEN", "LOST", "WON"), ["applied", "applied", "stale"], "LOST", 120000),
        (("WON", "WON"), ["applied", "duplicate"], "WON", 0),
    ],
)
def test_its_end_is_booked_whatever_comes_first(
    shop: Shop, states: tuple[str, ...], verdicts: list[str], ends: str, stands: int
) -> None:
    assert apply_disputes(shop, paid(shop), *states) == verdicts
    assert (state()[1], booked()) == (ends, stands)


def test_an_inquiry_takes_no_money_until_it_becomes_a_chargeback(shop: Shop) -> None:
    order = paid(shop)
    assert apply_disputes(shop, order, "OPEN", kind="inquiry") == ["applied"]
    assert booked() == 0
    assert apply_disputes(shop, order, "OPEN") == ["applied"]
    assert (state(), booked()) == (("chargeback", "OPEN"), 120000)
    assert apply_disputes(shop, order, "OPEN", kind="inquiry") == ["duplicate"]
    assert state()[0] == "chargeback"


def test_an_inquiry_that_becomes_a_chargeback_books_the_amount_of_the_chargeback(shop: Shop) -> None:
    order = paid(shop)
    apply_disputes(shop, order, "OPEN", kind="inquiry")
    part = replace(fact(shop, order), money=Money(50000, "TWD"))
    disputes.apply("fakepay", part, "webhook")
    assert booked() == 50000
    disputes.apply("fakepay", replace(part, state="WON"), "webhook")
    assert booked() == 0


WITH_THE_BANK = {
    "OPEN": "NT$500 is in dispute and cannot be refunded while the dispute is open.",
    "LOST": "The customer's bank has taken back NT$500.",
}


@pytest.mark.parametrize("end", ["OPEN", "LOST"])
def test_a_charged_back_amount_is_not_refunded_as_well(shop: Shop, end: str) -> None:
    ada = shop.customer()
    order = shop.paid_order(customer=ada)
    part = replace(fact(shop, order, end), money=Money(50000, "TWD"))
    disputes.apply("fakepay", part, "webhook")
    for to in ("provider", "store_credit"):
        with pytest.raises(Refusal) as refused:
            requests.request(shop.capture(order), order.total, reason="", by=shop.sam, to=to)
        assert refused.value.message == f"{WITH_THE_BANK[end]} Only NT$700 can still be refunded."
    requests.request_all(order.id, reason="", by=shop.sam, to="store_credit")
    with pytest.raises(Refusal) as refused:
        requests.request_all(order.id, reason="", by=shop.sam)
    assert refused.value.message == f"{WITH_THE_BANK[end]} Nothing else can be refunded."
    shop.sweep()
    assert (shop.credit(ada), shop.state(order)) == (70000, "PARTIALLY_REFUNDED")


def test_while_a_dispute_is_open_the_rest_is_refunded_by_the_number_that_was_shown(shop: Shop) -> None:
    order = paid(shop)
    disputes.apply("fakepay", replace(fact(shop, order), money=Money(50000, "TWD")), "webhook")
    with pytest.raises(Refusal) as refused:
        requests.request(shop.capture(order), order.total, reason="", by=shop.sam)
    shown = refused.value.details
    assert (shown["refundable"], shown["disputed"]) == (70000, 50000)
    rest = Money(shown["refundable"], "TWD")
    with pytest.raises(Refusal):
        requests.request(shop.capture(order), rest, reason="", by=shop.sam, expected_refundable=order.total_amount)
    requests.request(shop.capture(order), rest, reason="", by=shop.sam, expected_refundable=rest.amount)
    shop.sweep()
    assert shop.state(order) == "PARTIALLY_REFUNDED"


def test_a_waiting_refund_cannot_be_approved_once_the_capture_is_disputed(shop: Shop) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    ada = shop.customer()
    order = shop.paid_order(customer=ada)
    refund = requests.request(shop.capture(order), order.total, reason="", by=shop.sam, to="store_credit").id
    apply_disputes(shop, order, "OPEN")
    with pytest.raises(Refusal, match="The bank has taken this money back or has opened a dispute"):
        requests.approve(refund, shop.kim)
    requests.decline(refund, shop.kim)
    shop.sweep()
    assert (shop.credit(ada), shop.state(order)) == (0, "PAID")


def test_a_chargeback_that_was_won_can_be_refunded(shop: Shop) -> None:
    order = paid(shop)
    apply_disputes(shop, order, "OPEN", "WON")
    requests.request_all(order.id, reason="", by=shop.sam)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


def test_a_charged_back_mismatch_ends_the_review(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(5000, "JPY"))
    shop.deliver_webhook(shop.payment(order))
    apply_disputes(shop, order, "OPEN")
    assert shop.order_status(order).key == "review", "the bank may still decide for us"
    apply_disputes(shop, order, "LOST")
    assert shop.order_status(order).key == "choose"
    shop.acquirer.capture(shop.pay_again(order).id)
    shop.deliver_webhook(shop.payment(order))
    assert shop.state(order) == "PAID"


@pytest.mark.parametrize("end", ["OPEN", "LOST"])
def test_a_charged_back_mismatch_cannot_be_accepted(shop: Shop, end: str) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(119900, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    apply_disputes(shop, order, end)
    with pytest.raises(Refusal, match="cannot be accepted"):
        accept(shop.capture(order), by=shop.sam)
    assert shop.state(order) == "WAITING_PAYMENT"
    if end == "OPEN":
        apply_disputes(shop, order, "WON")
        accept(shop.capture(order), by=shop.sam)
        assert shop.state(order) == "PAID"


@pytest.mark.whole_sweep
def test_a_late_capture_that_was_charged_back_leaves_nothing_to_staff(shop: Shop) -> None:
    order = shop.order()
    shop.turn(minutes=31)
    shop.acquirer.capture(shop.payment(order).id)
    shop.acquirer.misbehave("refund", "refuse")
    shop.deliver_webhook(shop.payment(order))
    apply_disputes(shop, order, "LOST")
    shop.sweep()
    shop.turn(minutes=5)
    assert (shop.order_status(order).key, shop.order_status(order).final) == ("late", True)
    db.session.rollback()
    assert set(db.session.scalars(db.select(Alert.state))) == {"RESOLVED"}


def test_an_inquiry_without_a_chargeback_books_nothing(shop: Shop) -> None:
    order = paid(shop)
    assert apply_disputes(shop, order, "OPEN", "WON", kind="inquiry") == ["applied", "applied"]
    assert (state(), booked()) == (("inquiry", "WON"), 0)


def test_a_dispute_about_a_capture_that_we_do_not_have_is_an_orphan(shop: Shop) -> None:
    reported = DisputeFact("dp_1", "cap_of_nobody", "chargeback", "OPEN", Money(100, "TWD"), clock.now())
    assert disputes.apply("fakepay", reported, "webhook") == "orphan"
    assert disputes.apply("otherpay", fact(shop, paid(shop)), "webhook") == "orphan", "another acquirer's capture"
    assert shop.count(Dispute) == 0


def test_eight_concurrent_reports_of_a_dispute_book_it_once(shop: Shop, race: Race) -> None:
    order = paid(shop)
    reported = fact(shop, order)
    outcomes = race(lambda _: disputes.apply("fakepay", reported, "webhook"))
    assert sorted(outcomes) == ["applied"] + ["duplicate"] * 7
    assert (shop.count(Dispute), booked()) == (1, 120000)


def test_the_history_of_the_order_has_the_dispute(shop: Shop) -> None:
    order = paid(shop)
    apply_disputes(shop, order, "OPEN", "WON")
    reported = [(e.kind, e.data["amount"]) for e in events.since(order.id, 0) if e.kind.startswith("dispute.")]
    assert reported == [("dispute.open", 120000), ("dispute.won", 120000)]


@pytest.mark.parametrize("changed", [{"kind": "gift"}, {"state": "LOVED"}, {"money": Money(0, "TWD")}, {"id": ""}])
def test_a_dispute_with_impossible_values_is_malformed(changed: dict[str, object]) -> None:
    good = {"id": "dp_1", "capture_id": "c", "kind": "inquiry", "state": "OPEN", "money": Money(1, "TWD")}
    with pytest.raises(Malformed):
        DisputeFact(**{**good, "at": clock.wall(), **changed})  # type: ignore[arg-type]


# --- from the real acquirer ---


@pytest.mark.parametrize("provider", ["kpay", "stripe"])
@pytest.mark.parametrize(("won", "stands"), [(True, 0), (False, 1)])
def test_an_acquirers_webhooks_open_and_close_it(
    trading: Trading, receiver: WebhookReceiver, provider: str, won: bool, stands: int
) -> None:
    order = trading.paid(provider)
    reference = trading.shop.payment(order).id
    trading.acquirer.act(reference, "dispute")
    reported(trading, receiver, provider, 1)
    assert state() == ("chargeback", "OPEN")
    trading.acquirer.act(reference, "dispute", outcome="won" if won else "lost")
    reported(trading, receiver, provider, 2)
    price = trading.price_of(provider)
    assert trading.balances().get("disputes", 0) == stands * price
    assert (trading.shop.state(order), state()[1]) == ("PAID", "WON" if won else "LOST")
    trading.day_is_over()
    run = trading.reconcile(provider)
    assert (run.lines, run.booked, trading.discrepancies()) == (3 if won else 2, run.lines, [])
    assert f"receivable:{provider}" not in trading.balances()


def reported(trading: Trading, receiver: WebhookReceiver, provider: str, number: int) -> None:
    """Post every webhook about a dispute to the shop, once `number` of them have arrived."""

    def arrived() -> list[tuple[dict[str, str], bytes]]:
        found = [one for one in receiver.received if b'"dispute"' in one[1]]
        return found if len(found) >= number else []

    for headers, body in until(arrived, what=f"{number} webhooks"):
        status, _ = trading.shop.receive(headers, body, provider)
        assert status == 200
    db.session.rollback()
    assert not db.session.scalars(db.select(WebhookEventRow).where(WebhookEventRow.outcome == "orphan")).all()


def test_a_webhook_about_a_refund_is_applied(trading: Trading, receiver: WebhookReceiver) -> None:
    """KPay sends a webhook when a refund fails later: no poll is needed."""
    order = trading.paid("kpay", card="4000000000005126")
    trading.refund(order)
    assert trading.shop.state(order) == "REFUNDED"
    trading.acquirer.advance("PT2M")
    failed = until(lambda: [one for one in receiver.received if b"refund.failed" in one[1]], what="a webhook")
    headers, body = failed[0]
    assert trading.shop.receive(headers, body, "kpay") == (200, "applied")
    assert trading.shop.state(order) == "PAID"
