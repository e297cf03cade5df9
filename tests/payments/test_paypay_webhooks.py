"""Webhooks of PayPay: unsigned hints."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shop.payments.providers.interface import (
    Facts,
    Malformed,
    WebhookEvent,
)
from tests.payments.paypay_helpers import P1, Wire, a_webhook


def test_a_webhook_is_a_hint_without_facts() -> None:
    (notice,) = Wire().provider.read_webhook({}, a_webhook())
    assert (notice.kind, notice.reference, notice.merchant, notice.trust) == (
        "payment",
        P1,
        "demo",
        "unsigned",
    )
    assert notice.facts == Facts()


def test_the_same_bytes_have_the_same_event_id_and_others_another() -> None:
    names = [Wire().provider.read_webhook({}, raw)[0].dedupe_key for raw in (a_webhook(), a_webhook(), a_webhook(x=1))]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        a_webhook(merchant_order_id=None),
        a_webhook(merchant_order_id=7),
        a_webhook(merchant_id=["demo"]),
        a_webhook(merchant_id="\0"),
        a_webhook(merchant_id="x" * 10_000),
    ],
)
def test_what_names_no_payment_of_ours_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        Wire().provider.read_webhook({}, raw)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner))
_FIELDS = st.sampled_from(
    ["notification_type", "merchant_id", "order_id", "merchant_order_id", "state", "order_amount"]
)


@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.dictionaries(_FIELDS, _JSON).map(lambda reported: a_webhook(**reported)))
def test_any_bytes_are_a_webhook_event_or_malformed(raw: bytes) -> None:
    try:
        notices = Wire().provider.read_webhook({"content-type": "application/json"}, raw)
    except Malformed:
        return
    assert [notice.facts for notice in notices] == [Facts()] and all(isinstance(one, WebhookEvent) for one in notices)
