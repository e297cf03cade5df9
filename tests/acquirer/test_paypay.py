"""paypay: PayPay's wire format, signatures, missing webhooks, and every fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from mock_acquirer import qr
from mock_acquirer.dialects import _paypay_opa as opa
from tests.acquirer.conftest import RETURN, Receiver, World
from tests.acquirer.paypay_client import JSON, Merchant, authorization, result

VECTOR = b'{"sampleRequestBodyKey1":"sampleRequestBodyValue1","sampleRequestBodyKey2":"sampleRequestBodyValue2"}'
OF_VECTOR = "application/json;charset=UTF-8;"
OTHER_FIELDS = {"amount": {"amount": 1300, "currency": "JPY"}}


@pytest.fixture
def acquirer(make_world: Callable[..., World], receiver: Receiver) -> World:
    """An acquirer that sends webhooks to our receiver, without the query limit."""
    return make_world(ACQUIRER_PAYPAY_WEBHOOK_URL=receiver.url, ACQUIRER_PAYPAY_QUERIES_PER_SECOND="0")


@pytest.fixture
def merchant(acquirer: World) -> Merchant:
    return Merchant(acquirer)


# --- signatures ------------------------------------------------------------------------------------------------------


def test_paypays_public_example_gives_its_hash_and_mac() -> None:
    assert opa.body_hash(OF_VECTOR, VECTOR) == "1j0FnY4flNp5CtIKa7x9MQ=="
    mac = opa.mac("APIKeySecretGenerated", "POST", "/v2/codes", "acd028", "1579843452", OF_VECTOR, VECTOR)
    assert mac == "NW1jKIMnzR7tEhMWtcJcaef+nFVBt7jjAGcVuxHhchc="


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer pp_test_demo",
        "hmac OPA-Auth:a:b:c",
        "hmac OPA-Auth:::::",
        "hmac OPA-Auth:pp_test_demo:é:n:²:empty",
        authorization("GET", "/v2/codes/payments/P1", key="pp_other"),
        authorization("GET", "/v2/codes/payments/P1", secret="wrong"),
        authorization("GET", "/paypay/v2/codes/payments/P1"),
        authorization("POST", "/v2/codes/payments/P1"),
        authorization("GET", "/v2/codes/payments/P1", epoch=1579843452),
        authorization("GET", "/v2/codes/payments/P1", epoch=99999999999),
        authorization("GET", "/v2/codes/payments/P1", epoch="soon"),
        authorization("GET", "/v2/codes/payments/P1", nonce=""),
        authorization("GET", "/v2/codes/payments/P1", b"{}"),
        authorization("GET", "/v2/codes/payments/P1", key="pp_test_demo./bad"),
    ],
    ids=str.__len__,  # without the header: its signature contains the time, and each worker collects at another one
)
def test_a_call_that_is_not_signed_as_it_must_be_is_refused(acquirer: World, header: str) -> None:
    answer = acquirer.app.test_client().get("/paypay/v2/codes/payments/P1", headers={"Authorization": header})
    assert result(answer)[:2] == (401, "UNAUTHORIZED") or (answer.status_code, "./bad" in header) == (400, True)


def test_a_body_or_a_content_type_that_was_changed_on_the_way_is_refused(acquirer: World, merchant: Merchant) -> None:
    signed = {"Authorization": authorization("POST", "/v2/codes", b"{}")}
    browser = acquirer.app.test_client()
    changed = browser.post("/paypay/v2/codes", data=b"{ }", headers=signed | {"Content-Type": JSON})
    retyped = browser.post("/paypay/v2/codes", data=b"{}", headers=signed | {"Content-Type": "application/json"})
    assert result(changed)[1] == result(retyped)[1] == "UNAUTHORIZED"


def test_another_merchant_cannot_be_assumed(acquirer: World) -> None:
    signed = {"Authorization": authorization("GET", "/v2/codes/payments/P1"), "X-ASSUME-MERCHANT": "another"}
    answer = acquirer.app.test_client().get("/paypay/v2/codes/payments/P1", headers=signed)
    assert result(answer) == (401, "OP_OUT_OF_SCOPE", "08100023")


def test_the_prefix_under_which_it_is_mounted_is_not_signed(acquirer: World) -> None:
    signed = {"Authorization": authorization("GET", "/v2/codes/payments/P1")}
    there = {"SCRIPT_NAME": "/acquirer"}
    answer = acquirer.app.test_client().get("/paypay/v2/codes/payments/P1", headers=signed, environ_overrides=there)
    assert result(answer)[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"


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


# --- cancel ----------------------------------------------------------------------------------------------------------


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


# --- limits and deliveries -------------------------------------------------------------------------------------------


def test_a_run_that_asks_too_often_is_told_to_wait(make_world: Callable[..., World]) -> None:
    acquirer = make_world(ACQUIRER_PAYPAY_QUERIES_PER_SECOND="1")
    merchant, other = Merchant(acquirer), Merchant(acquirer, "run42")
    nobody = {"merchantPaymentId": "P0"}
    answers = [merchant.ask(nobody) for _ in range(3)]
    assert (429, "RATE_LIMIT", "08100998") in [result(answer) for answer in answers]
    assert answers[-1].headers["Retry-After"] == "1" if answers[-1].status_code == 429 else True
    assert result(other.ask(nobody))[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"


def test_a_refused_webhook_is_tried_three_times_more_and_never_again(
    acquirer: World, merchant: Merchant, receiver: Receiver
) -> None:
    receiver.answer = (204, {}, b"")  # only 200 is an acknowledgement
    code = merchant.paid()
    acquirer.advance("PT1M")
    (delivery,) = acquirer.record(code)["deliveries"]
    assert (delivery["state"], len(delivery["attempts"])) == ("given_up", 4)
    acquirer.advance("P3D")
    assert len(receiver.hooks) == 4
    assert len({hook.body for hook in receiver.hooks}) == 1


def test_a_slow_acknowledgement_is_none(
    acquirer: World, merchant: Merchant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = (200, {}, b"")
    known = acquirer.app.extensions["acquirer.dialects"]
    assert known["paypay"].ack_within == 2
    monkeypatch.setitem(known, "paypay", dataclasses.replace(known["paypay"], ack_within=0))
    code = merchant.paid()
    acquirer.settle()
    assert acquirer.record(code)["deliveries"][0]["attempts"][0]["outcome"] == "refused"


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_code_whose_answer_was_lost_exists_and_is_never_shown_again(acquirer: World, merchant: Merchant) -> None:
    acquirer.faults(api=[{"op": "start", "do": "timeout_after_commit", "times": 1}])
    wish = merchant.wish()
    assert merchant.call("POST", "/v2/codes", wish).status_code == 504
    assert result(merchant.call("POST", "/v2/codes", wish))[1] == "DUPLICATE_DYNAMIC_QR_REQUEST"
    assert set(merchant.shown(wish)) & {"url", "deeplink", "codeId"} == set()
    assert result(merchant.cancel(wish))[0] == 202


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"do": "500"}, (500, "INTERNAL_SERVER_ERROR", "08101000")),
        ({"do": "500", "when": "after_commit"}, (500, "INTERNAL_SERVER_ERROR", "08101000")),
        ({"do": "429"}, (429, "RATE_LIMIT", "08100998")),
    ],
)
@pytest.mark.parametrize("op", ["start", "query", "cancel", "refund", "query_refund"])
def test_faults_of_the_api_speak_paypays_language(
    acquirer: World, merchant: Merchant, op: str, rule: dict[str, Any], said: tuple[int, str, str]
) -> None:
    code = merchant.paid()
    calls = {
        "start": lambda: merchant.call("POST", "/v2/codes", merchant.wish()),
        "query": lambda: merchant.ask(code),
        "cancel": lambda: merchant.cancel(code),
        "refund": lambda: merchant.refund(code, 1, "R1"),
        "query_refund": lambda: merchant.call("GET", "/v2/refunds/R0"),
    }
    acquirer.faults(api=[{"op": op, **rule}])
    changes_nothing = op.startswith("query") and rule.get("when") == "after_commit"
    assert changes_nothing or result(calls[op]()) == said


def test_a_stale_query_shows_the_past_or_nothing(acquirer: World, merchant: Merchant) -> None:
    code = merchant.paid()
    acquirer.faults(api=[{"op": "query", "do": "stale_query"}])
    assert merchant.shown(code)["status"] == "CREATED" and "paymentId" not in merchant.shown(code)
    acquirer.faults(api=[{"op": "query", "do": "stale_query", "shows": "nothing"}])
    assert result(merchant.ask(code))[1] == "DYNAMIC_QR_PAYMENT_NOT_FOUND"


def test_two_captures_are_listed_as_two(acquirer: World, merchant: Merchant) -> None:
    acquirer.faults(pay={"double": True})
    shown = merchant.shown(merchant.paid())
    names = [one["merchantCaptureId"] for one in shown["captures"]["data"]]
    assert names == [shown["paymentId"], shown["paymentId"] + "-2"]


@pytest.mark.parametrize(
    ("fault", "money"),
    [
        ({"amount_delta": 100}, {"amount": 1300, "currency": "JPY"}),
        ({"wrong_currency": "USD"}, {"amount": 1200, "currency": "USD"}),
    ],
)
def test_wrong_money_is_shown_as_it_was_taken(
    acquirer: World, merchant: Merchant, receiver: Receiver, fault: dict[str, Any], money: dict[str, Any]
) -> None:
    acquirer.faults(pay=fault)
    code = merchant.paid()
    assert merchant.shown(code)["amount"] == money
    acquirer.settle()
    assert receiver.hooks[0].event["order_amount"] == str(money["amount"])


def test_a_wallet_that_refuses_three_times_fails(acquirer: World, merchant: Merchant, receiver: Receiver) -> None:
    acquirer.faults(pay={"decline": "insufficient_funds"})
    code = merchant.code()
    for _ in range(3):
        assert merchant.shown(code)["status"] == "CREATED"
        merchant.pay(code)
    assert merchant.shown(code)["status"] == "FAILED"
    acquirer.settle()
    assert receiver.hooks == [], "PayPay tells of neither"


@pytest.mark.parametrize(
    "bend", ["missing", "wrong_key", "old_key", "malformed", "stale_time", "future_time", "tampered"]
)
def test_the_signature_fault_has_no_effect_on_unsigned_webhooks(
    acquirer: World, merchant: Merchant, receiver: Receiver, bend: str
) -> None:
    acquirer.faults(hook={"sign": bend})
    merchant.paid()
    acquirer.settle()
    assert receiver.hooks and receiver.hooks[0].event["state"] == "COMPLETED"


def test_webhooks_are_dropped_doubled_and_delayed(acquirer: World, merchant: Merchant, receiver: Receiver) -> None:
    receiver.answer = (200, {}, b"")
    acquirer.faults(hook={"duplicate": 3, "delay": "PT30S", "drop": 1})
    code = merchant.paid()
    acquirer.settle()
    assert receiver.hooks == []
    acquirer.advance("PT1M")
    data = acquirer.record(code)["deliveries"]
    outcomes = [attempt["outcome"] for delivery in data for attempt in delivery["attempts"]]
    assert (len(data), outcomes.count("dropped")) == (3, 1)
    assert len(receiver.hooks) == len(outcomes) - 1, (
        "a receiver that takes two seconds to answer gets the webhook again"
    )


# --- the pages -------------------------------------------------------------------------------------------------------


def test_the_codes_page_shows_a_code_that_leads_to_paying(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    page = acquirer.browser.get(f"/pay/{code['id']}")
    assert qr.picture(code["deeplink"]).replace("&", "&amp;") in page.text or qr.picture(code["deeplink"]) in page.text
    assert "Simulate scan" in page.text and f'action="/pay/{code["id"]}/wallet"' in page.text
    paid = acquirer.submit(code, "wallet")
    assert (paid.status_code, paid.headers["Location"]) == (303, RETURN)
    assert merchant.shown(code)["status"] == "COMPLETED"


def test_no_page_of_a_code_can_be_reached_out_of_turn(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    assert acquirer.submit(code, "card", number="4242424242424242").status_code == 404
    assert acquirer.browser.get(f"/pay/{code['id']}/challenge").status_code == 303
    merchant.pay(code)
    for page in ("", "/wallet", "/challenge"):
        assert acquirer.browser.get(f"/pay/{code['id']}{page}").headers["Location"].endswith("/result")
    by_card = acquirer.open()
    assert acquirer.browser.get(f"/pay/{by_card['id']}/wallet").status_code == 404


def test_a_customer_cancels_in_the_wallet(acquirer: World, merchant: Merchant) -> None:
    code = merchant.code()
    left = acquirer.submit(code, "cancel")
    assert (left.status_code, left.headers["Location"]) == (303, RETURN)
    assert merchant.shown(code)["status"] == "CANCELED"


def test_a_code_without_a_way_back_ends_on_its_own_page(acquirer: World, merchant: Merchant) -> None:
    for form, says in (("wallet", "Payment accepted"), ("cancel", "Payment cancelled")):
        code = merchant.code(redirectUrl=None)
        assert acquirer.submit(code, form).headers["Location"].endswith(f"/pay/{code['id']}/result")
        page = acquirer.browser.get(f"/pay/{code['id']}/result")
        assert says in page.text and "Return to shop" not in page.text


def test_a_refused_wallet_says_so_and_may_try_again(acquirer: World, merchant: Merchant) -> None:
    acquirer.faults(pay={"decline": "insufficient_funds", "times": 1})
    code = merchant.code()
    assert acquirer.submit(code, "wallet").headers["Location"].endswith(f"/pay/{code['id']}")
    assert "The wallet did not pay" in acquirer.browser.get(f"/pay/{code['id']}").text
    assert acquirer.submit(code, "wallet").headers["Location"] == RETURN
