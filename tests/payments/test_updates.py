"""Payment updates: applied once, whatever the source and the number of reports."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shop.core import clock, ids
from shop.core.db import db, transaction
from shop.core.event_types import Stream
from shop.core.money import Money
from shop.core.outbox import OutboxRow
from shop.ledger.models import Journal
from shop.orders import events
from shop.orders.models import Order
from shop.payments.polling import poll
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Payment
from tests.fakes import Remote
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop


def test_a_signed_webhook_pays_the_order(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    assert shop.deliver_webhook(payment) == (200, "applied")
    assert shop.state(order) == "PAID"
    assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
    assert shop.captures(order) == ["pays_order"]


def test_the_same_webhook_again_is_acknowledged_and_changes_nothing(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    assert shop.deliver_webhook(payment, "evt-1") == (200, "applied")
    assert [shop.deliver_webhook(payment, "evt-1") for _ in range(3)] == [(200, "duplicate")] * 3
    assert shop.captures(order) == ["pays_order"]


def test_the_same_event_id_with_another_body_is_refused(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.deliver_webhook(payment, "evt-1")
    assert shop.deliver_webhook(payment, "evt-1", state="CAPTURED")[0] == 409
    assert shop.state(order) == "WAITING_PAYMENT"


def test_return_page_webhook_and_poll_at_the_same_instant_make_one_transition(shop: Shop, race: Race) -> None:
    """Case 2."""
    for number in range(20):
        shop.restock("TEST-PEN")
        order = shop.order(("TEST-PEN", 1))
        payment = shop.payment(order)
        shop.acquirer.capture(payment.id)
        webhook = shop.acquirer.webhook(payment.id, f"evt-{payment.id}")

        def deliver(number: int, order_id: int = order.id, webhook=webhook) -> object:  # type: ignore[no-untyped-def]
            if number % 2:
                return shop.receive(*webhook)
            return poll.check_now(order_id, "return" if number % 4 else "view")

        results = race(deliver)
        assert not [r for r in results if isinstance(r, Exception)], results
        assert shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"]
        assert shop.captures(order) == ["pays_order"]
        assert shop.count(Journal) == number + 1, "one journal for each order"
    shop.sweep()
    kinds = [event.kind for event in events.since(order.id, 0)]
    assert kinds.count("payment.captured") == 1
    published = shop.published(Stream.ORDERS) + shop.published(Stream.PAYMENTS)
    assert len(published) == len(set(published)) == shop.count(OutboxRow), "each mail is requested once"


def test_a_failure_reported_after_a_capture_is_recorded_and_changes_nothing(shop: Shop) -> None:
    """Case 6."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert shop.deliver_webhook(payment, "late-failure", state="FAILED", captures=[])[1] == "stale"
    assert shop.state(order) == "PAID"
    assert "stale" in shop.outcomes(payment)


def test_a_decline_and_then_a_success_in_one_session_pays(shop: Shop) -> None:
    """Case 6."""
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.decline(payment.id)
    shop.deliver_webhook(payment)
    assert shop.order_status(order).key == "declined"
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert shop.state(order) == "PAID"


def test_a_webhook_for_a_payment_that_we_do_not_know_yet_is_kept_and_applied_when_it_appears(shop: Shop) -> None:
    """Case 7."""
    shop.acquirer.misbehave("start", "refuse")
    order = shop.order()
    unseen = ids.payment_id()
    shop.acquirer.payments[unseen] = Remote(unseen, order.total)
    shop.acquirer.capture(unseen)
    assert shop.deliver_webhook(unseen) == (200, "orphan")
    with transaction():
        db.session.add(_row_of(unseen, order))
    shop.turn(seconds=6)
    assert shop.state(order) == "PAID"


def _row_of(payment_id: str, order: Order) -> Payment:
    money = {"amount": order.total_amount, "currency": order.currency}
    return Payment(
        id=payment_id,
        order_id=order.id,
        provider="fakepay",
        state="CREATED",
        created_at=clock.now(),
        provider_data={},
        **money,
    )


@pytest.mark.parametrize("state", ["AUTHORIZED", "OPEN", None])
def test_only_a_capture_pays_the_order(shop: Shop, state: str | None) -> None:
    """Case 8."""
    order = shop.order()
    payment = shop.payment(order)
    assert shop.deliver_webhook(payment, state=state)[0] == 200
    assert shop.state(order) == "WAITING_PAYMENT"
    assert shop.captures(order) == []


def test_an_authorised_payment_is_being_confirmed_and_offers_nothing_to_pay(shop: Shop) -> None:
    order = shop.order()
    shop.deliver_webhook(shop.payment(order), state="AUTHORIZED")
    status = shop.order_status(order)
    assert status.key == "confirming"
    assert not status.can


@pytest.mark.parametrize("money", [Money(119999, "TWD"), Money(120001, "TWD"), Money(120000, "JPY"), Money(1, "TWD")])
def test_a_mismatch_never_pays_automatically(shop: Shop, money: Money) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id, money=money)
    assert shop.deliver_webhook(payment)[1] == "mismatch"
    assert shop.state(order) == "WAITING_PAYMENT"
    assert shop.captures(order) == ["mismatch"]
    assert shop.order_status(order).key == "review"
    shop.turn(hours=1)
    assert shop.state(order) == "WAITING_PAYMENT", "expiry pauses under review"


def test_a_second_capture_is_booked_and_the_order_stays_paid_by_the_first(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert shop.captures(order) == ["pays_order", "duplicate"]
    assert shop.moves(order).count("PAID") == 1
    assert shop.order_status(order).key == "twice"


def test_a_capture_after_expiry_is_booked_as_late(shop: Shop) -> None:
    """Case 11, up to the recorded state."""
    order = shop.order()
    payment = shop.payment(order)
    shop.turn(minutes=31)
    assert shop.state(order) == "EXPIRED"
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert shop.state(order) == "EXPIRED"
    assert shop.captures(order) == ["late"]
    assert shop.order_status(order).key == "late"


def test_a_capture_in_time_that_is_reported_late_revives_the_order(shop: Shop) -> None:
    """Case 12: the acquirer's own time decides."""
    order = shop.order()
    payment = shop.payment(order)
    in_time = clock.now() + timedelta(minutes=5)
    shop.turn(minutes=31)
    assert shop.state(order) == "EXPIRED"
    shop.acquirer.capture(payment.id, at=in_time)
    shop.deliver_webhook(payment)
    assert shop.state(order) == "PAID"
    assert shop.moves(order)[-2:] == ["EXPIRED", "PAID"]


def test_a_capture_in_time_that_is_reported_late_is_late_when_the_stock_is_sold(shop: Shop) -> None:
    order = shop.order(("TEST-KETTLE", 10))
    payment = shop.payment(order)
    in_time = clock.now() + timedelta(minutes=5)
    shop.turn(minutes=31)
    shop.order(("TEST-KETTLE", 1))
    shop.acquirer.capture(payment.id, at=in_time)
    shop.deliver_webhook(payment)
    assert shop.state(order) == "EXPIRED"
    assert shop.captures(order) == ["late"]


def test_a_failed_first_payment_that_is_captured_while_a_second_is_open_pays(shop: Shop) -> None:
    """Case 33."""
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.end(first.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(first)
    assert shop.state(order) == "FAILED"
    second = shop.pay_again(order)
    assert second.id != first.id
    shop.acquirer.capture(first.id)
    shop.deliver_webhook(first)
    assert shop.state(order) == "PAID"
    shop.sweep()
    assert shop.acquirer.payments[second.id].state == PaymentState.CANCELLED, "the second is closed there"
    assert shop.payment(order).state == PaymentState.CANCELLED


def test_a_webhook_of_another_merchant_is_acknowledged_and_books_nothing(shop: Shop) -> None:
    order = shop.order()
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    assert shop.deliver_webhook(payment, merchant="somebody-else") == (200, "foreign")
    assert shop.captures(order) == []
