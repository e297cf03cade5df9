"""Orders paid with PayPay, with the real dialect: hints, codes that no customer saw, and the order page."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop.core.db import db
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import WebhookEventRow
from tests.payments.paypay_helpers import Japan


def test_a_scanned_code_pays_the_order_with_the_next_poll(japan: Japan) -> None:
    order = japan.order()
    assert japan.shop.order_status(order).key == "waiting"
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert (japan.shop.state(order), japan.shop.captures(order)) == ("PAID", ["pays_order"])


def test_a_hint_only_leads_to_a_poll(japan: Japan) -> None:
    order = japan.order()
    assert japan.hint(order)[0] == 200
    japan.shop.sweep()
    assert japan.shop.state(order) == "WAITING_PAYMENT", "whatever it says, nothing was paid there"
    japan.pay(order)
    japan.shop.wait(seconds=3)
    assert japan.hint(order, x=1) == (200, "hint")
    japan.shop.sweep()
    assert japan.shop.state(order) == "PAID"


def test_a_hint_about_another_merchant_is_foreign(japan: Japan) -> None:
    order = japan.order()
    sent_request = japan.shop.payment(order).next_check_at
    assert japan.hint(order, merchant_id="another") == (200, "foreign")
    assert japan.shop.payment(order).next_check_at == sent_request


def test_a_flood_of_forged_hints_leads_to_a_poll_every_two_seconds_at_most(japan: Japan) -> None:
    order = japan.order()
    for number in range(20):
        japan.hint(order, x=number)
        japan.shop.sweep()
    assert japan.shop.payment(order).checks <= 2
    assert {row.outcome for row in db.session.scalars(db.select(WebhookEventRow))} == {"hint"}


def test_a_code_ends_before_the_order_and_a_new_one_is_offered(japan: Japan) -> None:
    order = japan.order()
    first = japan.shop.payment(order)
    assert first.expires_at and first.expires_at < order.pay_by
    japan.both_turn(minutes=5, seconds=40)
    assert japan.shop.state(order) == "FAILED"
    assert japan.shop.order_status(order).key == "session_ended" and "pay" in japan.shop.order_status(order).can
    japan.shop.pay_again(order, "paypay")
    second = japan.shop.payment(order)
    assert second.id != first.id and second.state == PaymentState.OPEN
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert japan.shop.state(order) == "PAID"


def test_a_code_whose_answer_was_lost_is_closed_and_a_new_one_pays(japan: Japan) -> None:
    japan.acquirer.faults(api=[{"op": "start", "do": "timeout_after_commit", "times": 1}])
    order = japan.order()
    lost = japan.shop.payment(order)
    assert lost.state == PaymentState.UNKNOWN
    japan.both_turn(seconds=4)
    japan.both_turn(seconds=4)
    assert japan.acquirer.payment(lost.id)["state"] == "voided"
    japan.both_turn(seconds=4)
    assert (japan.shop.payment(order).state, japan.shop.payment(order).end_reason) == (
        PaymentState.FAILED,
        "never_arrived",
    )
    assert "pay" in japan.shop.order_status(order).can
    japan.shop.pay_again(order, "paypay")
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert (japan.shop.state(order), len(japan.shop.payments(order))) == ("PAID", 2)


def test_a_call_that_never_arrived_is_given_up_soon(japan: Japan) -> None:
    japan.acquirer.faults(api=[{"op": "start", "do": "timeout_before_commit", "times": 1}])
    order = japan.order()
    japan.both_turn(seconds=12)
    assert (japan.shop.payment(order).state, japan.shop.payment(order).end_reason) == (
        PaymentState.FAILED,
        "never_arrived",
    )


def test_a_cancelled_order_closes_its_code(japan: Japan) -> None:
    order = japan.order()
    japan.shop.cancel(order)
    japan.shop.sweep()
    assert japan.acquirer.payment(japan.shop.payment(order).id)["state"] == "voided"
    assert japan.shop.state(order) == "CANCELLED"


def test_a_capture_after_the_codes_end_pays_while_the_order_waits(japan: Japan) -> None:
    japan.acquirer.faults(pay={"late_after_expiry": "PT1M"})
    order = japan.order()
    japan.pay(order)
    japan.both_turn(minutes=5, seconds=40)
    assert japan.shop.state(order) == "FAILED"
    japan.both_turn(minutes=2)
    assert japan.shop.state(order) == "PAID"


@pytest.mark.parametrize(
    ("fault", "allocation"), [({"double": True}, ["pays_order", "duplicate"]), ({"amount_delta": 100}, ["mismatch"])]
)
def test_duplicates_and_mismatches_get_their_allocation(
    japan: Japan, fault: dict[str, Any], allocation: list[str]
) -> None:
    japan.acquirer.faults(pay=fault)
    order = japan.order()
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert japan.shop.captures(order) == allocation


def test_a_duplicate_capture_is_refunded_once(japan: Japan) -> None:
    japan.acquirer.faults(pay={"double": True})
    order = japan.order()
    japan.pay(order)
    japan.shop.turn(seconds=11)
    japan.both_turn(seconds=5)
    japan.both_turn(seconds=40)
    japan.both_turn(minutes=2)
    refunds = japan.acquirer.payment(japan.shop.payment(order).id)["refunds"]
    assert [(one["amount"], one["state"]) for one in refunds] == [(5600, "succeeded")]
    assert japan.shop.state(order) == "PAID"


# --- on the order page -----------------------------------------------------------------------------------------------


def test_the_order_page_shows_the_code_while_it_can_be_scanned(japan: Japan, app: Flask) -> None:
    order = japan.order()
    browser: FlaskClient = app.test_client()
    page = browser.get(f"/orders/{order.token}").text
    assert f'src="/orders/{order.token}/qr.svg?payment=' in page and "Open PayPay" in page
    assert "Pay in this tab" not in page
    picture = browser.get(f"/orders/{order.token}/qr.svg")
    assert (picture.status_code, picture.mimetype) == (200, "image/svg+xml")
    assert picture.headers["Cache-Control"] == "no-store"
    japan.pay(order)
    japan.shop.turn(seconds=11)
    assert browser.get(f"/orders/{order.token}/qr.svg").status_code == 404
    assert "qr.svg" not in browser.get(f"/orders/{order.token}").text


def test_the_code_is_shown_only_with_the_order_token(app: Flask) -> None:
    assert app.test_client().get("/orders/none/qr.svg").status_code == 404
