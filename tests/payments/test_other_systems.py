"""Signed events of other systems under the same acquirer account: acknowledged, counted, and ignored."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from shop.core import clock, ids
from shop.core.db import db
from shop.core.money import Money
from shop.payments.providers import registry
from shop.payments.providers.interface import CaptureFact, DisputeFact, Malformed, SettlementLine
from shop.payments.records.models import Capture, WebhookEventRow
from tests.alerts.helpers import operational
from tests.parts.counters import counted
from tests.payments import kpay_helpers, stripe_helpers, tpay_helpers
from tests.payments.kpay_helpers import a_capture, an_event, kpay
from tests.shop_fixtures import Shop

OTHERS = {
    "a number": "4711",
    "a name with a dash": "PAY-1",
    "one letter too many": "P0000000000000000000X1",
    "Chinese": "訂單一號",
    "an emoji": "order 🍵",
    "half a character": "order \ud800",
    "a character that is none": "order\0",
    "very long": "x" * 10_000,
}
"""References that other systems could use."""
Event = tuple[dict[str, str], bytes]


def _kpay(reference: str) -> Event:
    body = an_event(reference=reference, captures=[a_capture(amount=-1)])  # other fields are not read
    return kpay_helpers.signed(body), body


def _stripe(reference: str) -> Event:
    charge = stripe_helpers.a_charge(metadata={"reference": reference, "note": "ours"}, amount_captured=0)
    body = stripe_helpers.an_event(about=charge)
    return stripe_helpers.signed(body), body


def _tpay(reference: str) -> Event:
    return tpay_helpers.a_webhook(MerchantTradeNo=reference)


def _paypay(reference: str) -> Event:
    reported = {"notification_type": "Transaction", "merchant_id": "demo", "merchant_order_id": reference}
    return {}, json.dumps(reported).encode()


EVENTS: dict[str, Callable[[str], Event]] = {"kpay": _kpay, "stripe": _stripe, "tpay": _tpay, "paypay": _paypay}


@pytest.fixture
def wired(shop: Shop) -> Shop:
    """The real providers with the tests' secrets."""
    registry.all_providers()["kpay"] = kpay()
    registry.all_providers()["stripe"] = stripe_helpers.stripe_pay()
    registry.all_providers()["tpay"] = tpay_helpers.Wire().provider
    return shop


def _counted(provider: str) -> float:
    return counted("settled_webhooks", provider=provider, outcome="foreign")


@pytest.mark.parametrize("provider", EVENTS)
def test_an_event_about_another_systems_payment_is_counted_and_raises_no_alert(wired: Shop, provider: str) -> None:
    counted = _counted(provider)
    known = 0
    for reference in OTHERS.values():
        if provider == "tpay" and "\ud800" in reference:
            continue  # a form cannot contain it
        known += 1
        headers, body = EVENTS[provider](reference)
        body = body.replace(b"evt_1", b"evt_%d" % known)
        if provider == "kpay":
            headers = kpay_helpers.signed(body, f"evt_{known}")
        elif provider == "stripe":
            headers = stripe_helpers.signed(body)
        status, _ = wired.receive(headers, body, provider)
        assert status == 200, reference
    db.session.rollback()
    rows = db.session.scalars(db.select(WebhookEventRow).where(WebhookEventRow.provider == provider)).all()
    assert {(row.outcome, row.due_at, row.not_ours) for row in rows} == {("foreign", None, None)}
    assert _counted(provider) - counted == len(rows) == known
    wired.turn(minutes=2)
    wired.turn(hours=2)
    assert operational() == []


def test_an_event_of_our_shape_about_a_payment_that_we_do_not_have_stays_an_orphan(shop: Shop) -> None:
    assert shop.deliver_webhook(ids.payment_id()) == (200, "orphan")


AT = clock.wall()
NONE_OF_IT = {
    "a capture": lambda amount: CaptureFact("cap_1", Money(amount, "TWD"), AT),
    "a dispute": lambda amount: DisputeFact("dp_1", "cap_1", "chargeback", "OPEN", Money(amount, "TWD"), AT),
    "a settled capture": lambda amount: _line("capture", amount),
    "a settled refund": lambda amount: _line("refund", -amount),
    "a settled void": lambda amount: _line("void", -amount),
    "a settled dispute": lambda amount: _line("dispute", -amount),
    "a settled refund that failed": lambda amount: _line("refund_failed", amount),
    "a settled dispute that was won": lambda amount: _line("dispute_won", amount),
}


def _line(kind: str, amount: int) -> SettlementLine:
    return SettlementLine("l1", kind, "x", Money(amount, "TWD"), Money(0, "TWD"), AT)


@pytest.mark.parametrize("amount", [0, -1, -120000])
@pytest.mark.parametrize("what", NONE_OF_IT)
def test_an_amount_that_is_not_greater_than_zero_cannot_be_read(what: str, amount: int) -> None:
    NONE_OF_IT[what](1)
    with pytest.raises(Malformed):
        NONE_OF_IT[what](amount)


@pytest.mark.whole_sweep
@pytest.mark.parametrize("amount", [0, -1])
def test_a_signed_capture_of_zero_is_refused_and_books_nothing(shop: Shop, amount: int) -> None:
    payment = shop.payment(shop.order())
    money: Any = [["cap-1", amount, "TWD", clock.now().isoformat()]]
    assert shop.deliver_webhook(payment, state="CAPTURED", captures=money) == (400, "malformed")
    assert (shop.count(Capture), shop.count(WebhookEventRow)) == (0, 0)
    shop.turn(seconds=11)
    assert operational() == [("OPS_MALFORMED", "fakepay", "NEW")]
