"""Store codes of tpay: deadlines, another method instead of a code, and the order page."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from shop.core import clock
from shop.core.db import db
from shop.core.errors import Refusal
from shop.orders import events
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.records.models import Refund
from tests.payments.tpay_helpers import Taiwan


def test_the_first_code_moves_the_time_to_pay_to_its_deadline_once(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    payment, again = taiwan.shop.payment(order), db.session.get_one(Order, order.id, populate_existing=True)
    assert payment.expires_at == again.pay_by
    assert timedelta(days=2, hours=23) < again.pay_by - clock.now() <= timedelta(days=3)
    assert [e.kind for e in events.since(order.id, 0)].count("payment.code_shown") == 1
    taiwan.act(order, "cancel")
    taiwan.turn(minutes=6)
    taiwan.shop.pay_again(order, "tpay")
    taiwan.browse(order)
    taiwan.act(order, "choose_store")
    taiwan.turn(minutes=6)
    assert taiwan.shop.order_status(order).key == "store_code"
    assert db.session.get_one(Order, order.id, populate_existing=True).pay_by == again.pay_by


def test_an_order_never_waits_longer_for_a_code_than_the_shop_wants(taiwan: Taiwan) -> None:
    taiwan.shop.app.config["PAY_WITHIN_STORE"] = 7200
    order = taiwan.code_shown()
    taiwan.turn(hours=2, minutes=1)
    for _ in range(4):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "EXPIRED"
    assert taiwan.acquirer.payment(taiwan.shop.payment(order).id)["state"] == "voided"


def test_a_waiting_code_is_polled_every_five_minutes(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    gaps = [round(taiwan.shop.next_wait(order).total_seconds()) for _ in range(3)]
    assert gaps == [300, 300, 300] or gaps[1:] == [300, 300]


def test_a_customer_leaves_with_a_store_code_and_pays_it_two_days_later(taiwan: Taiwan) -> None:
    """Case 30."""
    order = taiwan.code_shown()
    taiwan.turn(days=2)
    assert taiwan.shop.order_status(order).key == "store_code"
    taiwan.act(order, "pay_at_counter")
    taiwan.turn(minutes=5, seconds=10)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])
    instrument = taiwan.shop.payment(order).instrument
    assert instrument and instrument["method"] == "convenience store"


def test_a_capture_of_a_code_after_its_deadline_is_late_and_refunded_automatically(taiwan: Taiwan) -> None:
    """Case 30, the other half."""
    order = taiwan.code_shown()
    taiwan.acquirer.faults(pay={"late_after_expiry": "PT10M"})
    taiwan.act(order, "pay_at_counter")
    taiwan.turn(days=3)
    for _ in range(4):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "EXPIRED"
    taiwan.turn(hours=1)
    taiwan.turn(seconds=6)
    assert taiwan.shop.captures(order) == ["late"]
    for _ in range(12):
        taiwan.turn(hours=3)
    refund = db.session.scalars(db.select(Refund).where(Refund.order_id == order.id)).one()
    assert (refund.kind, refund.state) == ("late", "DONE")
    (back,) = taiwan.acquirer.payment(taiwan.shop.payment(order).id)["refunds"]
    assert (back["reference"], back["state"]) == (refund.id, "succeeded")


def test_a_cancelled_order_ends_its_code(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    taiwan.shop.cancel(order)
    for _ in range(3):
        taiwan.turn(seconds=6)
    assert taiwan.shop.state(order) == "CANCELLED"
    assert taiwan.acquirer.payment(taiwan.shop.payment(order).id)["state"] == "voided"


def test_a_card_is_used_instead_of_a_code_after_the_code_was_closed(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    code = taiwan.shop.payment(order).id
    with pytest.raises(Refusal) as refused:
        initiate.open_payment(order.id, "tpay", instead_of=code)
    assert refused.value.code == "confirming", "Tpay's query shows the code as it was five seconds ago"
    taiwan.turn(seconds=6)
    assert taiwan.acquirer.payment(code)["state"] == "voided"
    assert taiwan.shop.order_status(order).key == "cancelled_there"
    card = initiate.open_payment(order.id, "tpay", instead_of=code)
    assert card.id != code and card.expires_at and card.expires_at <= clock.now() + timedelta(minutes=30)
    taiwan.browse(order)
    taiwan.act(order, "approve")
    for _ in range(3):
        taiwan.turn(seconds=20)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])


def test_a_code_that_was_paid_when_another_method_was_chosen_pays_the_order(taiwan: Taiwan) -> None:
    order = taiwan.code_shown()
    taiwan.act(order, "pay_at_counter")
    with pytest.raises(Refusal):
        initiate.open_payment(order.id, "tpay", instead_of=taiwan.shop.payment(order).id)
    for _ in range(3):
        taiwan.turn(seconds=20)
    assert (taiwan.shop.state(order), taiwan.shop.captures(order)) == ("PAID", ["pays_order"])
    assert len(taiwan.shop.payments(order)) == 1


def test_the_page_shows_the_code_its_barcode_and_its_deadline(taiwan: Taiwan, app: Flask) -> None:
    order = taiwan.code_shown()
    page = app.test_client().get(f"/orders/{order.token}").text
    code = (taiwan.shop.payment(order).action or {})["fields"]["code"]
    assert f'<p class="code">{code}</p>' in page and '<svg class="barcode"' in page
    assert f'name="instead_of" value="{taiwan.shop.payment(order).id}"' in page and "Use another method" in page
    assert "Pay NT$1,200 at the counter by" in page
    assert "pay-form" not in page[page.index('id="order-status"') : page.index('id="other-ways"')]
