"""Webhooks of tpay: signatures, hints, and the acknowledgement."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlencode

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from shop.core.money import Money
from shop.payments.providers.interface import (
    BadSignature,
    Facts,
    Malformed,
    RefundRequest,
    Unavailable,
    Unknown,
    WebhookEvent,
)
from tests.payments.tpay_helpers import P1, REQUEST, SECRET, Wire, a_webhook, reply_with, sealed
from tests.shop_fixtures import Shop


def test_a_webhook_is_a_replayable_hint() -> None:
    (notice,) = Wire().provider.read_webhook(*a_webhook())
    assert (notice.kind, notice.reference, notice.merchant, notice.trust) == (
        "payment",
        P1,
        "3002607",
        "replayable",
    )
    assert notice.facts == Facts()


def test_simulate_paid_is_not_a_capture() -> None:
    (notice,) = Wire().provider.read_webhook(*a_webhook(SimulatePaid="1"))
    assert (notice.kind, notice.facts) == ("other", Facts())


def test_each_body_has_a_deduplication_key_of_its_own() -> None:
    hooks = (a_webhook(RtnMsg="Succeeded"), a_webhook(RtnMsg="Succeeded"), a_webhook(RtnMsg="Succeeded (notice 2)"))
    names = [Wire().provider.read_webhook(*hook)[0].dedupe_key for hook in hooks]
    assert names[0] == names[1] != names[2]


def test_any_of_our_secrets_and_any_of_theirs_will_do_while_one_replaces_another() -> None:
    _, body = a_webhook()
    macs = [hmac.new(key.encode(), body, hashlib.sha256).hexdigest() for key in ("fresh", "old")]
    for ours in ("fresh", "old", "other, old"):
        wire = Wire(TPAY_WEBHOOK_SECRET=ours)
        assert wire.provider.read_webhook({"x-signature": ",".join(macs)}, body)
    with pytest.raises(BadSignature):
        Wire(TPAY_WEBHOOK_SECRET="gone").provider.read_webhook({"x-signature": ",".join(macs)}, body)


def test_a_byte_that_was_changed_breaks_the_signature() -> None:
    headers, body = a_webhook()
    for at in range(len(body)):
        bent = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(BadSignature):
            Wire().provider.read_webhook(headers, bent)


@pytest.mark.parametrize("code", ["10200047", "10200080", "10200081", "10200091"])
def test_a_refusal_without_a_signature_or_about_another_trade_ends_nothing(code: str) -> None:
    """A man in the middle could otherwise report that a trade has ended, or that nothing was captured."""
    refund = RefundRequest("R" + P1[1:], Money(120000, "TWD"), "C1")
    bare = httpx.Response(200, text=urlencode({"RtnCode": code, "RtnMsg": "x"}))
    for answer in (bare, reply_with(RtnCode=code, MerchantTradeNo="P" + "9" * 19)):
        wire = Wire(answer, answer, answer)
        assert isinstance(wire.provider.query(REQUEST), Unavailable)
        assert isinstance(wire.provider.cancel(REQUEST), Unknown)
        assert isinstance(wire.provider.refund(REQUEST, refund), Unknown)


def test_both_signatures_are_needed() -> None:
    body = urlencode({"MerchantID": "3002607", "MerchantTradeNo": P1, "RtnCode": "1", "CheckMacValue": "0" * 64})
    mac = hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()
    for headers, raw in (({"x-signature": mac}, body.encode()), ({}, a_webhook()[1]), ({"x-signature": "é"}, b"")):
        with pytest.raises(BadSignature):
            Wire().provider.read_webhook(headers, raw)


_FIELDS = st.sampled_from(["MerchantID", "MerchantTradeNo", "RtnCode", "SimulatePaid", "TradeAmt", "x"])
_WORDS = st.text(st.characters(codec="utf-8"))


@given(st.binary() | st.dictionaries(_FIELDS, _WORDS).map(lambda reported: urlencode(sealed(**reported)).encode()))
def test_any_bytes_under_a_valid_signature_are_a_webhook_event_or_malformed(raw: bytes) -> None:
    mac = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    try:
        notices = Wire().provider.read_webhook({"x-signature": mac}, raw)
    except (BadSignature, Malformed):
        return
    assert [notice.facts for notice in notices] == [Facts()] and all(isinstance(one, WebhookEvent) for one in notices)


@given(st.dictionaries(st.sampled_from(["x-signature", "content-type"]), st.text()), st.binary())
def test_any_request_at_all_is_refused_and_nothing_else_is_raised(headers: dict[str, str], raw: bytes) -> None:
    with pytest.raises((BadSignature, Malformed)):
        Wire().provider.read_webhook(headers, raw)


@pytest.mark.parametrize("outcome", ["applied", "duplicate", "hint", "orphan", "foreign", "stale"])
def test_the_acknowledgement_is_exactly_1_ok(outcome: str) -> None:
    assert Wire().provider.ack(outcome) == (200, "1|OK")


@pytest.mark.parametrize(("outcome", "status"), [("bad_signature", 401), ("malformed", 400), ("unavailable", 503)])
def test_a_rejected_webhook_is_never_answered_with_1_ok(outcome: str, status: int) -> None:
    assert Wire().provider.ack(outcome) == (status, f"0|{outcome}")


def test_over_http_the_acknowledgement_has_nothing_around_it(shop: Shop, app: Flask) -> None:
    client: FlaskClient = app.test_client()
    headers, body = a_webhook()
    answer = client.post("/webhooks/tpay", data=body, headers=headers)
    assert (answer.status_code, answer.data) == (200, b"1|OK")
    assert client.post("/webhooks/tpay", data=body, headers={"x-signature": "0"}).status_code == 401
