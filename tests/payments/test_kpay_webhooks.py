"""Verification and content of KPay's webhooks."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.money import Money
from shop.payments.providers.interface import BadSignature, Malformed, WebhookEvent
from tests.payments.kpay_helpers import (
    OLD_SECRET,
    P1,
    SECRET,
    a_capture,
    a_payment,
    an_event,
    kpay,
    signed,
)

# --- webhooks: verification ---


def test_the_standard_s_own_vector_verifies() -> None:
    adapter = kpay(KPAY_WEBHOOK_SECRET="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with time_machine.travel(1614265330, tick=False):
        adapter.verify(headers, b'{"test": 2432232314}')
        with pytest.raises(BadSignature):
            adapter.verify(headers, b'{"test": 2432232315}')


def test_a_signed_webhook_is_read_into_facts() -> None:
    body = an_event(payment_method={"type": "card", "brand": "visa", "last4": "4242"})
    (notice,) = kpay().read_webhook(signed(body), body)
    assert (notice.dedupe_key, notice.reference, notice.trust, notice.merchant) == (
        "evt_1",
        P1,
        "signed",
        "demo",
    )
    assert [c.money for c in notice.facts.captures] == [Money(120000, "TWD")]
    assert notice.facts.instrument == {"method": "card", "brand": "visa", "last4": "4242"}
    assert notice.facts.occurred_at == datetime(2029, 12, 31, 23, 59, 1, tzinfo=UTC)


BODY = an_event()


def headers_with(**changed: str | None) -> dict[str, str]:
    headers: dict[str, Any] = signed(BODY) | {key.replace("_", "-"): value for key, value in changed.items()}
    return {key: value for key, value in headers.items() if value is not None}


FORGERIES: dict[str, Callable[[], tuple[dict[str, str], bytes]]] = {
    "no headers": lambda: ({}, BODY),
    "no id": lambda: (headers_with(webhook_id=None), BODY),
    "no time": lambda: (headers_with(webhook_timestamp=None), BODY),
    "no signature": lambda: (headers_with(webhook_signature=None), BODY),
    "empty signature": lambda: (headers_with(webhook_signature=""), BODY),
    "another key": lambda: (signed(BODY, secret=OLD_SECRET), BODY),
    "another id": lambda: (headers_with(webhook_id="evt_2"), BODY),
    "another time": lambda: (headers_with(webhook_timestamp=str(int(time.time()) + 1)), BODY),
    "a time that is none": lambda: (headers_with(webhook_timestamp="yesterday"), BODY),
    "an endless time": lambda: (headers_with(webhook_timestamp="9" * 400), BODY),
    "not a number": lambda: (headers_with(webhook_timestamp="nan"), BODY),
    "301 s old": lambda: (signed(BODY, at=datetime.now(UTC) - timedelta(seconds=301)), BODY),
    "302 s ahead": lambda: (signed(BODY, at=datetime.now(UTC) + timedelta(seconds=302)), BODY),
    "no comma": lambda: (headers_with(webhook_signature="v1"), BODY),
    "another version": lambda: (
        headers_with(webhook_signature=signed(BODY)["webhook-signature"].replace("v1", "v2")),
        BODY,
    ),
    "not base64": lambda: (headers_with(webhook_signature="v1,§§§§"), BODY),
    "written anew": lambda: (signed(BODY), json.dumps(json.loads(BODY), indent=1).encode()),
    "truncated": lambda: (signed(BODY), BODY[:-1]),
    "one more space": lambda: (signed(BODY), BODY + b" "),
    "not UTF-8": lambda: (signed(BODY), b"\xff" + BODY),
    "empty": lambda: (signed(BODY), b""),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_webhook_that_does_not_prove_where_it_comes_from_is_refused(forgery: str) -> None:
    """Case 21."""
    headers, body = FORGERIES[forgery]()
    with pytest.raises(BadSignature):
        kpay().read_webhook(headers, body)


@pytest.mark.parametrize("seconds", [-298, 0, 298])
def test_a_webhook_within_five_minutes_is_taken(seconds: int) -> None:
    assert kpay().read_webhook(signed(BODY, at=datetime.now(UTC) + timedelta(seconds=seconds)), BODY)


def test_while_a_secret_is_rotated_both_are_valid_and_afterwards_only_the_new_one() -> None:
    both = kpay(KPAY_WEBHOOK_SECRET=f"{SECRET}, {OLD_SECRET}")
    for secret in (SECRET, OLD_SECRET):
        assert both.read_webhook(signed(BODY, secret=secret), BODY)
    together = signed(BODY)["webhook-signature"] + " " + signed(BODY, secret=OLD_SECRET)["webhook-signature"]
    assert kpay().read_webhook(headers_with(webhook_signature=together), BODY)
    with pytest.raises(BadSignature):
        kpay().read_webhook(signed(BODY, secret=OLD_SECRET), BODY)


def test_no_byte_of_id_time_body_or_signature_can_be_changed() -> None:
    """Case 21: each byte in turn, in two ways."""
    adapter, headers = kpay(), signed(BODY)
    for name, written in (*headers.items(), ("body", BODY.decode())):
        for position, flip in ((p, f) for p in range(len(written)) for f in (1, 2)):
            character = chr(ord(written[position]) ^ flip)
            changed = written[:position] + character + written[position + 1 :]
            if name == "webhook-signature" and same_bits(changed, written):
                continue  # the last character of base64 has unused bits
            body = changed.encode() if name == "body" else BODY
            with pytest.raises(BadSignature):
                adapter.read_webhook(headers if name == "body" else headers | {name: changed}, body)


def same_bits(one: str, other: str) -> bool:
    try:
        return base64.b64decode(one.partition(",")[2]) == base64.b64decode(other.partition(",")[2])
    except ValueError:
        return False


# --- webhooks: content ---

MALFORMED: dict[str, Any] = {
    "not JSON": b"{",
    "a list": b"[]",
    "a number": b"1",
    "nothing in it": b"{}",
    "too deep": b'{"id":' + b"[" * 20_000,
    "not a number in it": an_event(captures=[a_capture(amount=float("nan"))]),
    "a fraction of a minor unit": an_event(captures=[a_capture(amount=0.5)]),
    "an amount in words": an_event(captures=[a_capture(amount="120000")]),
    "an amount that is true": an_event(captures=[a_capture(amount=True)]),
    "an amount beyond every database": an_event(captures=[a_capture(amount=2**70)]),
    "a capture without an id": an_event(captures=[a_capture(id=None)]),
    "a capture without a time": an_event(captures=[a_capture(captured_at=None)]),
    "a time without a zone": an_event(captures=[a_capture(captured_at="2029-12-31T23:59:00")]),
    "a time before all time": an_event(captures=[a_capture(captured_at="0001-01-01T00:00:00+14:00")]),
    "a time after all time": an_event(captures=[a_capture(captured_at="9999-12-31T23:59:59-14:00")]),
    "a currency that is none": an_event(captures=[a_capture(currency="dollars")]),
    "captures that are none": an_event(captures=5),
    "no reference": an_event(reference=None),
    "a reference that is a list": an_event(reference=[P1]),
    "an id that is another's": an_event(event="evt_2"),
    "a negative amount": an_event(captures=[a_capture(amount=-1)]),
    "an amount of nothing": an_event(captures=[a_capture(amount=0)]),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_webhook_that_is_signed_and_cannot_be_read_is_malformed(kind: str) -> None:
    """Case 21."""
    body = MALFORMED[kind]
    with pytest.raises(Malformed):
        kpay().read_webhook(signed(body), body)


def test_an_event_of_an_unknown_kind_has_no_facts() -> None:
    """Case 8."""
    body = json.dumps({"id": "evt_1", "type": "balance.available", "merchant": "demo", "data": {"more": 1}}).encode()
    (notice,) = kpay().read_webhook(signed(body), body)
    assert (notice.kind, notice.facts.state, notice.facts.captures) == ("other", None, ())


def test_fields_that_we_do_not_know_are_passed_over() -> None:
    body = an_event(brand_new={"field": [1, 2, 3]})
    assert kpay().read_webhook(signed(body), body)[0].facts.captures


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted(a_payment())


@settings(max_examples=150, deadline=None)
@given(
    raw=st.binary(max_size=200), headers=st.dictionaries(st.sampled_from(sorted(signed(BODY))), st.text(max_size=60))
)
def test_any_bytes_under_any_headers_are_refused_and_nothing_else_is_raised(
    raw: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises((BadSignature, Malformed)):
        kpay().read_webhook(headers, raw)


@settings(max_examples=200, deadline=None)
@given(changed=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4), captures=json_values)
def test_any_signed_payment_object_is_read_or_malformed(changed: dict[str, Any], captures: Any) -> None:
    body = an_event(**({"captures": captures} | changed))
    try:
        notices = kpay().read_webhook(signed(body), body)
    except Malformed:
        return
    assert all(isinstance(notice, WebhookEvent) for notice in notices)
    for capture in notices[0].facts.captures:
        assert isinstance(capture.money.amount, int)
        assert capture.at.tzinfo
