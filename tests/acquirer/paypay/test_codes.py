"""PayPay's codes: creation, payment, queries and expiry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.acquirer.conftest import Receiver, World
from tests.acquirer.paypay.client import JSON, Merchant, authorization, result

OTHER_FIELDS = {"amount": {"amount": 1300, "currency": "JPY"}}


# --- codes -----------------------------------------------------------------------------------------------------------


def test_a_code_comes_with_all_that_is_needed_to_show_it(acquirer: World, merchant: Merchant) -> None:
    wish = merchant.wish(requestedAt=1795242757, metadata={"cart": "茶"}, storeId="s1")
    answer = merchant.call("POST", "/v2/codes", wish)
    assert result(answer) == (201, "SUCCESS", "08100001")
    code = answer.json["data"]  # type: ignore[index]
    assert {name: code[name] for name in wish} == wish
    assert code["codeId"].startswith("04-") and code["deeplink"] == code["url"] + "/wallet"
    record = acquirer.record({"id": wish["merchantPaymentId"]})
    assert code["expiryDate"] == int(datetime.fromisoformat(record["expires_at"]).timestamp())
    lives = datetime.fromisoformat(record["expires_at"]) - datetime.fromisoformat(record["created_at"])
    assert 299 <= lives.total_seconds() <= 301


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"merchantPaymentId": None}, "MISSING_REQUEST_PARAMS"),
        ({"merchantPaymentId": "x" * 65}, "INVALID_REQUEST_PARAMS"),
        ({"merchantPaymentId": "a b"}, "INVALID_REQUEST_PARAMS"),
        ({"merchantPaymentId": 7}, "INVALID_REQUEST_PARAMS"),
        ({"amount": None}, "MISSING_REQUEST_PARAMS"),
        ({"amount": {"amount": 1}}, "MISSING_REQUEST_PARAMS"),
        ({"amount": {"amount": "1200", "currency": "JPY"}}, "INVALID_REQUEST_PARAMS"),
        ({"amount": {"amount": 12.5, "currency": "JPY"}}, "INVALID_REQUEST_PARAMS"),
        ({"amount": {"amount": 0, "currency": "JPY"}}, "INVALID_REQUEST_PARAMS"),
        ({"amount": {"amount": True, "currency": "JPY"}}, "INVALID_REQUEST_PARAMS"),
        ({"amount": {"amount": 10**12, "currency": "JPY"}}, "INVALID_REQUEST_PARAMS"),
        ({"amount": {"amount": 1200, "currency": "TWD"}}, "INVALID_REQUEST_PARAMS"),
        ({"codeType": "PRODUCT_QR"}, "INVALID_REQUEST_PARAMS"),
        ({"redirectType": "POPUP"}, "INVALID_REQUEST_PARAMS"),
        ({"redirectUrl": "javascript:alert(1)"}, "INVALID_REQUEST_PARAMS"),
        ({"isAuthorization": "yes"}, "INVALID_REQUEST_PARAMS"),
        ({"orderDescription": "x" * 256}, "INVALID_REQUEST_PARAMS"),
        ({"requestedAt": "now"}, "INVALID_REQUEST_PARAMS"),
        ({"metadata": {"x": "\ud800"}}, "INVALID_REQUEST_PARAMS"),
        ({"metadata": {"x": float("nan")}}, "INVALID_REQUEST_PARAMS"),
    ],
)
def test_what_cannot_be_a_code_is_refused(merchant: Merchant, changes: dict[str, Any], code: str) -> None:
    answer = merchant.call("POST", "/v2/codes", merchant.wish(**changes))
    assert result(answer)[:2] == (400, code)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"[" * 30000, b'"x"'])
def test_a_body_that_is_no_object_is_refused(acquirer: World, raw: bytes) -> None:
    signed = {"Authorization": authorization("POST", "/v2/codes", raw), "Content-Type": JSON}
    answer = acquirer.app.test_client().post("/paypay/v2/codes", data=raw, headers=signed)
    assert result(answer)[:2] == (400, "INVALID_REQUEST_PARAMS")


def test_an_id_is_used_once(merchant: Merchant) -> None:
    code = merchant.code()
    for changes in ({}, OTHER_FIELDS):
        again = merchant.call(
            "POST", "/v2/codes", merchant.wish(merchantPaymentId=code["merchantPaymentId"], **changes)
        )
        assert result(again) == (400, "DUPLICATE_DYNAMIC_QR_REQUEST", "01652073")


def test_of_eight_calls_with_one_id_at_once_one_makes_a_code(acquirer: World, merchant: Merchant) -> None:
    wish = merchant.wish()
    answers = acquirer.at_once(8, lambda _: merchant.call("POST", "/v2/codes", wish).status_code)
    assert sorted(answers) == [201] + [400] * 7
    assert acquirer.record({"id": wish["merchantPaymentId"]})["state"] == "requires_payment"


def test_runs_do_not_see_each_other(acquirer: World, merchant: Merchant) -> None:
    other = Merchant(acquirer, "run42")
    code = merchant.code()
    assert result(other.ask(code))[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"
    assert other.code(merchantPaymentId=code["merchantPaymentId"])["id"] != code["id"]


def test_another_dialects_payment_is_none_of_paypays(acquirer: World, merchant: Merchant) -> None:
    theirs = acquirer.open(currency="JPY")
    named = {"merchantPaymentId": theirs["reference"]}
    assert result(merchant.ask(named))[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"
    assert result(merchant.call("DELETE", "/v2/codes/04-" + theirs["id"][4:], {}))[1] == "DYNAMIC_QR_NOT_FOUND"
    assert merchant.code(**named)["merchantPaymentId"] == theirs["reference"]


# --- queries ---------------------------------------------------------------------------------------------------------


def test_a_paid_code_is_completed_and_the_webhook_proves_nothing(
    acquirer: World, merchant: Merchant, receiver: Receiver
) -> None:
    receiver.answer = (200, {}, b"")
    code = merchant.code(storeId="s1")
    assert merchant.shown(code)["status"] == "CREATED" and "paymentId" not in merchant.shown(code)
    merchant.pay(code)
    shown = merchant.shown(code)
    assert (shown["status"], shown["amount"]) == ("COMPLETED", {"amount": 1200, "currency": "JPY"})
    assert shown["paymentId"].isdigit() and "captures" not in shown
    acquirer.settle()
    (hook,) = receiver.hooks
    data = hook.event
    assert (data["state"], data["order_amount"], data["store_id"]) == ("COMPLETED", "1200", "s1")
    assert (data["order_id"], data["merchant_order_id"]) == (shown["paymentId"], code["merchantPaymentId"])
    assert int(datetime.fromisoformat(data["paid_at"]).timestamp()) == shown["acceptedAt"]
    assert not [name for name in hook.headers if "signature" in name or name == "authorization"]
    assert acquirer.record(code)["deliveries"][0]["state"] == "delivered"


def test_an_expired_code_is_not_found_and_a_webhook_reports_it(
    acquirer: World, merchant: Merchant, receiver: Receiver
) -> None:
    code = merchant.code()
    acquirer.advance("PT5M1S")
    assert result(merchant.ask(code)) == (400, "DYNAMIC_QR_PAYMENT_NOT_FOUND", "01652075")
    assert [hook.event["state"] for hook in receiver.hooks][:1] == ["EXPIRED"]
    assert result(merchant.call("DELETE", "/v2/codes/" + code["codeId"], {}))[:2] == (404, "DYNAMIC_QR_NOT_FOUND")
    assert result(merchant.cancel(code))[:2] == (400, "ORDER_NOT_REVERSIBLE")


def test_money_that_comes_after_the_end_is_found_again(acquirer: World, merchant: Merchant) -> None:
    acquirer.faults(pay={"late_after_expiry": "PT10M"})
    code = merchant.code()
    merchant.pay(code)
    acquirer.advance("PT6M")
    assert result(merchant.ask(code))[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"
    acquirer.advance("PT10M")
    assert merchant.shown(code)["status"] == "COMPLETED"


def test_a_deleted_code_cannot_be_paid(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    assert result(merchant.call("DELETE", "/v2/codes/" + code["codeId"], {})) == (200, "SUCCESS", "08100001")
    assert merchant.shown(code)["status"] == "CANCELED"
    acquirer.sim("POST", f"/payments/{code['id']}/approve", status=409)
    assert result(merchant.call("DELETE", "/v2/codes/" + code["codeId"], {}))[1] == "DYNAMIC_QR_NOT_FOUND"
    assert acquirer.browser.get(f"/pay/{code['id']}").headers["Location"].endswith("/result")


@pytest.mark.parametrize("name", ["04-" + "0" * 30, "04-", "pay_1", "04-' OR 1=1"])
def test_an_unknown_code_cannot_be_deleted(merchant: Merchant, name: str) -> None:
    assert result(merchant.call("DELETE", "/v2/codes/" + name, {})) == (404, "DYNAMIC_QR_NOT_FOUND", "01652072")


def test_a_paid_code_cannot_be_deleted(merchant: Merchant) -> None:
    code = merchant.paid()
    deleted = merchant.call("DELETE", "/v2/codes/" + code["codeId"], {})
    assert result(deleted) == (400, "DYNAMIC_QR_ALREADY_PAID", "01652074")
