"""Cancellations, refunds and captures of PayPay's payments."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mock_acquirer.dialects import _paypay_opa as opa
from tests.acquirer.conftest import Receiver, World
from tests.acquirer.paypay.client import Merchant, result


def test_a_cancel_is_accepted_at_once_and_seen_a_little_later(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    assert result(merchant.cancel(code)) == (202, "REQUEST_ACCEPTED", "08100001")
    assert merchant.shown(code)["status"] == "CREATED"
    acquirer.sim("POST", f"/payments/{code['id']}/approve", status=409)
    acquirer.advance("PT3S")
    assert merchant.shown(code)["status"] == "CANCELED" and merchant.shown(code)["canceledAt"]
    assert result(merchant.cancel(code))[0] == 202


def test_a_cancellation_refunds_the_payment(acquirer: World, merchant: Merchant, receiver: Receiver) -> None:
    code = merchant.paid()
    assert result(merchant.cancel(code))[0] == result(merchant.cancel(code))[0] == 202
    assert merchant.shown(code)["status"] == "COMPLETED"
    acquirer.advance("PT3S")
    assert (merchant.shown(code)["status"], merchant.shown(code)["refunds"]) == ("CANCELED", {"data": []})
    totals = acquirer.sim("GET", "/totals")["payments"][0]
    assert (totals["captured"], totals["refunded"]) == (1200, 1200)
    assert {hook.event["state"] for hook in receiver.hooks} == {"COMPLETED"}, "nothing tells of a cancel or a refund"


@pytest.mark.parametrize(
    ("paid_at", "now", "may"),
    [
        ("2026-01-31T14:59:59", "2026-01-31T15:14:59", True),  # 23:59:59 in Japan, until 00:14:59
        ("2026-01-31T14:59:59", "2026-01-31T15:15:00", False),
        ("2026-01-31T15:00:00", "2026-02-01T15:14:59", True),  # midnight in Japan begins the next day
        ("2026-01-31T15:00:00", "2026-02-01T15:15:00", False),
    ],
)
def test_a_payment_can_be_cancelled_until_the_next_japanese_day_is_a_quarter_old(
    paid_at: str, now: str, may: bool
) -> None:
    moments = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (paid_at, now)]
    assert opa.is_reversible(*moments) is may


def test_after_that_a_cancel_is_refused(acquirer: World, merchant: Merchant) -> None:
    code = merchant.paid()
    acquirer.advance("PT24H15M")
    assert result(merchant.cancel(code)) == (400, "ORDER_NOT_REVERSIBLE", "00200044")
    assert merchant.shown(code)["status"] == "COMPLETED"


def test_an_unknown_payment_cannot_be_cancelled(merchant: Merchant) -> None:
    assert result(merchant.cancel({"merchantPaymentId": "P0"})) == (404, "RESOURCE_NOT_FOUND", "00200001")


# --- refunds ---------------------------------------------------------------------------------------------------------


def test_a_refund_is_created_and_done_a_little_later(acquirer: World, merchant: Merchant, receiver: Receiver) -> None:
    code = merchant.paid()
    made = merchant.refund(code, 500, "R1")
    assert result(made)[0] == 201
    data = made.json["data"]  # type: ignore[index]
    assert (data["status"], data["amount"]["amount"], data["paymentId"]) == ("CREATED", 500, code["paymentId"])
    again = merchant.refund(code, 700, "R1")
    assert again.json["data"] == data, "the same id answers the first refund"  # type: ignore[index]
    acquirer.advance("PT31S")
    assert merchant.call("GET", "/v2/refunds/R1").json["data"]["status"] == "REFUNDED"  # type: ignore[index]
    shown = merchant.shown(code)
    assert (shown["status"], [one["merchantRefundId"] for one in shown["refunds"]["data"]]) == ("COMPLETED", ["R1"])
    merchant.refund(code, 700, "R2")
    acquirer.advance("PT31S")
    assert merchant.shown(code)["status"] == "REFUNDED"
    assert {hook.event["state"] for hook in receiver.hooks} == {"COMPLETED"}, "nothing tells of a refund"


def test_no_more_is_refunded_than_captured(merchant: Merchant) -> None:
    code = merchant.paid()
    assert result(merchant.refund(code, 1201, "R1"))[:2] == (400, "INVALID_PARAMS")
    assert result(merchant.refund(code, 1200, "R1"))[0] == 201
    assert result(merchant.refund(code, 1, "R2"))[:2] == (400, "UNACCEPTABLE_OP")
    assert result(merchant.call("GET", "/v2/refunds/R2")) == (404, "NO_SUCH_REFUND_ORDER", "00200018")


@pytest.mark.parametrize("payment_id", ["0", "x", "9" * 64, "²"])
def test_a_refund_of_an_unknown_payment_is_refused(merchant: Merchant, payment_id: str) -> None:
    assert result(merchant.refund({"paymentId": payment_id}, 1, "R1"))[:2] == (404, "RESOURCE_NOT_FOUND")


def test_unpaid_codes_and_cancelled_payments_have_nothing_to_refund(acquirer: World, merchant: Merchant) -> None:
    open_code = merchant.code()
    assert result(merchant.refund(open_code | {"paymentId": str(int(open_code["id"][4:], 16))}, 1, "R1"))[0] == 400
    paid = merchant.paid()
    merchant.cancel(paid)
    assert result(merchant.refund(paid, 1, "R2"))[0] == 400


# --- authorise and capture -------------------------------------------------------------------------------------------


def test_an_authorisation_is_captured_in_part_once(acquirer: World, merchant: Merchant, receiver: Receiver) -> None:
    code = merchant.code(isAuthorization=True)
    merchant.pay(code)
    assert merchant.shown(code)["status"] == "AUTHORIZED"
    take = {"merchantPaymentId": code["merchantPaymentId"], "merchantCaptureId": "C1", "orderDescription": "Tea"}
    yen = {"amount": {"amount": 800, "currency": "JPY"}}
    too_much = merchant.call("POST", "/v2/payments/capture", take | {"amount": {"amount": 1201, "currency": "JPY"}})
    assert result(too_much)[1] == "HIGHER_CAPTURE_NOT_PERMITTED"
    for _ in range(2):
        taken = merchant.call("POST", "/v2/payments/capture", take | yen)
        (one,) = taken.json["data"]["captures"]["data"]  # type: ignore[index]
        assert (one["merchantCaptureId"], one["amount"]["amount"]) == ("C1", 800)
    again = merchant.call("POST", "/v2/payments/capture", take | yen | {"merchantCaptureId": "C2"})
    assert result(again)[1] == "ALREADY_CAPTURED"
    acquirer.settle()
    assert {hook.event["state"] for hook in receiver.hooks} == {"AUTHORIZED", "COMPLETED"}


def test_an_authorisation_is_voided(merchant: Merchant) -> None:
    code = merchant.code(isAuthorization=True)
    wish = {"merchantRevertId": "V1", "paymentId": str(int(code["id"][4:], 16)), "requestedAt": 1}
    assert result(merchant.call("POST", "/v2/payments/preauthorize/revert", wish))[1] == "ORDER_NOT_CANCELABLE"
    merchant.pay(code)
    assert result(merchant.call("POST", "/v2/payments/preauthorize/revert", wish))[:2] == (200, "SUCCESS")
    assert merchant.shown(code)["status"] == "CANCELED"
