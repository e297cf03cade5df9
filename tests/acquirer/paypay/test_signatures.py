"""PayPay's signatures of calls."""

from __future__ import annotations

import pytest

from mock_acquirer.dialects import _paypay_opa as opa
from tests.acquirer.conftest import World
from tests.acquirer.paypay.client import JSON, Merchant, authorization, result

VECTOR = b'{"sampleRequestBodyKey1":"sampleRequestBodyValue1","sampleRequestBodyKey2":"sampleRequestBodyValue2"}'
OF_VECTOR = "application/json;charset=UTF-8;"


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
