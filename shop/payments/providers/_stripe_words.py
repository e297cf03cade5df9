"""Translation of Stripe's objects: declines, disputes, balance transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shop.core.money import Money
from shop.payments.providers import settlement_csv
from shop.payments.providers.interface import (
    Decline,
    DisputeFact,
    Done,
    Malformed,
    Pending,
    RefundFact,
    Rejected,
    SettlementLine,
)
from shop.payments.providers.settlement_line import LineKind
from shop.payments.providers.storable import is_our_refund, printable
from shop.payments.providers.types import DisputeKind, DisputeState, EndReason, PaymentState, RefundState

_SETTLED = {
    # reporting_category: our kind
    "charge": LineKind.CAPTURE,
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_FAILED,
    "dispute": LineKind.DISPUTE,
    "dispute_reversal": LineKind.DISPUTE_WON,
}
_CANCELLED_BECAUSE = {
    # cancellation_reason of the PaymentIntent: our state and reason
    "requested_by_customer": (PaymentState.CANCELLED, EndReason.CUSTOMER),
    "abandoned": (PaymentState.CANCELLED, EndReason.MERCHANT),
    "automatic": (PaymentState.FAILED, EndReason.DECLINES),
    "fraudulent": (PaymentState.FAILED, EndReason.DECLINES),
    "expired": (PaymentState.EXPIRED, EndReason.TIME),
}
PAYMENT, REFUND = "settled_payment", "settled_refund"
"""Our keys in the metadata of Stripe's objects; other systems write into the same metadata."""
_BEFORE = {PAYMENT: "reference", REFUND: "refund"}
"""Former names of the keys, on objects created before the change."""
LEAST = {"USD": 50, "JPY": 50, "TWD": 2500}
"""Smallest charges, from https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts. They list none for TWD:
it must convert to the minimum of the settlement currency, NT$10 to NT$20 for those listed in 2026; NT$25 covers each.
"""
REFUND_ANSWERS: dict[str, Done | Pending | Rejected] = {
    "succeeded": Done(),
    "pending": Pending(),
    "requires_action": Pending(),
    "failed": Rejected("refund_failed"),
    "canceled": Rejected("refund_canceled"),
}
_REFUND_STATES = {Done: RefundState.DONE, Pending: RefundState.PENDING, Rejected: RefundState.REJECTED}
_LOCALES = frozenset({"de", "en", "es", "fr", "ja", "ko", "th", "vi", "zh", "zh-HK", "zh-TW"})
PAYOUTS = frozenset({"payout", "payout_reversal"})
"""Reporting categories of transfers from our Stripe balance to the bank."""
_DISPUTES = {
    # status: (kind, state)
    "needs_response": (DisputeKind.CHARGEBACK, DisputeState.OPEN),
    "under_review": (DisputeKind.CHARGEBACK, DisputeState.OPEN),
    "won": (DisputeKind.CHARGEBACK, DisputeState.WON),
    "lost": (DisputeKind.CHARGEBACK, DisputeState.LOST),
    "warning_needs_response": (DisputeKind.INQUIRY, DisputeState.OPEN),
    "warning_under_review": (DisputeKind.INQUIRY, DisputeState.OPEN),
    "warning_closed": (DisputeKind.INQUIRY, DisputeState.WON),
}


_CLASS_OF = {
    code: klass
    for klass, codes in {
        "authenticate": ("authentication_required", "payment_intent_authentication_failure"),
        "fix_input": ("expired_card", "incorrect_cvc", "incorrect_number", "invalid_cvc", "invalid_number"),
        "never_retry": ("fraudulent", "lost_card", "pickup_card", "stolen_card"),
        "retry_later": ("card_velocity_exceeded", "issuer_not_available", "processing_error", "try_again_later"),
    }.items()
    for code in codes
}
_SAME_AS = {"payment_intent_authentication_failure": "authentication_failed"}


def settled_lines(entries: Sequence[Mapping[str, Any]]) -> list[SettlementLine]:
    """Settlement lines of balance transactions without payouts, oldest first. Raises Malformed with the row."""
    money = [one for one in enumerate(entries, start=1) if one[1]["reporting_category"] not in PAYOUTS]
    return sorted(settlement_csv.read_each(money, _settled_line), key=lambda line: line.at)


def _settled_line(entry: Mapping[str, Any]) -> SettlementLine:
    """A balance transaction. `source` is an id or, where the list was expanded, the object: only that has our names.

    Raises Malformed.
    """
    kind, currency = _SETTLED.get(word(entry["reporting_category"]), LineKind.OTHER), word(entry["currency"])
    source = entry["source"]
    full: Mapping[str, Any] = source if isinstance(source, dict) else {"id": source or ""}
    about, ours = word(full["id"]), full
    money = Money(settlement_csv.whole(entry["amount"]), currency.upper())
    fee = Money(settlement_csv.whole(entry["fee"]), currency.upper())
    settlement_csv.adds_up(money, fee, settlement_csv.whole(entry["net"]))
    is_refund = kind in (LineKind.REFUND, LineKind.REFUND_FAILED)
    return SettlementLine(
        id=word(entry["id"]),
        kind=kind,
        about=our_refund(ours) if is_refund else about,
        money=money,
        fee=fee,
        at=at(entry["created"]),
        reference=our_payment(ours),
        capture_id=about if kind == LineKind.CAPTURE else word(full.get("charge") or ""),
        refund_id=about if is_refund and isinstance(source, dict) else "",
    )


def dispute(about: Mapping[str, Any]) -> DisputeFact | None:
    """The dispute in one of Stripe's objects; None for other objects and ignored states."""
    if about["object"] != "dispute" or about.get("status") not in _DISPUTES:
        return None
    kind, state = _DISPUTES[about["status"]]
    due = (about.get("evidence_details") or {}).get("due_by")
    return DisputeFact(
        id=word(about["id"]),
        capture_id=word(about["charge"]),
        kind=kind,
        state=state,
        money=amount(about["amount"], about["currency"]),
        at=at(about["created"]),
        reason=word(about.get("reason") or ""),
        respond_by=at(due) if due else None,
    )


def refund_fact(about: Mapping[str, Any]) -> RefundFact | None:
    """The refund in one of Stripe's objects, ours by the metadata or not; None for other objects."""
    if about["object"] != "refund":
        return None
    return RefundFact(
        our_refund(about),
        _REFUND_STATES[type(REFUND_ANSWERS[word(about["status"])])],
        id=word(about["id"]),
        money=amount(about["amount"], about["currency"]),
        capture_id=word(about.get("charge") or ""),
        payment=our_payment(about),
    )


def reference_of(about: Mapping[str, Any]) -> str:
    """Our payment id of one of Stripe's objects; empty if the object has none."""
    if about["object"] == "checkout.session":
        return printable(about.get("client_reference_id") or "")
    return our_payment(about)


def decline_of(intent: Mapping[str, Any]) -> Decline | None:
    """The decline of a PaymentIntent, if any."""
    error = intent["last_payment_error"]
    if not error:
        return None
    code = str(error.get("decline_code") or error.get("code") or "generic_decline")
    return Decline(_SAME_AS.get(code, code), _CLASS_OF.get(code, "other_method"))


def instrument(charge: Mapping[str, Any]) -> dict[str, str]:
    """Payment method of a charge."""
    details = charge["payment_method_details"] or {}
    card = details.get("card") or {}
    named = {"method": details.get("type"), "brand": card.get("brand"), "last4": card.get("last4")}
    return {name: str(value or "") for name, value in named.items()}


def amount(units: Any, currency: Any) -> Money:
    """Stripe's minor units are ISO's for our currencies: JPY has none, TWD and USD have two digits. Raises
    Malformed.
    """
    if isinstance(units, bool) or not isinstance(units, int) or not 0 < units < 2**53:
        raise Malformed("an amount that is none")
    if not isinstance(currency, str) or not (currency.isascii() and currency.isalpha() and len(currency) == 3):
        raise Malformed("a currency that is none")
    return Money(units, currency.upper())


def our_payment(about: Mapping[str, Any]) -> str:
    """Our payment id in the metadata of one of Stripe's objects; empty if there is none. It may also be a value of
    another system, in another format.
    """
    return printable(_named(about, PAYMENT))


def our_refund(about: Mapping[str, Any]) -> str:
    """Our refund id in the metadata of one of Stripe's objects; empty if there is none."""
    named = _named(about, REFUND)
    return named if is_our_refund(named) else ""


def _named(about: Mapping[str, Any], key: str) -> str:
    metadata = about.get("metadata") or {}
    named = metadata.get(key) or metadata.get(_BEFORE[key]) or ""
    if not isinstance(named, str):
        raise Malformed("a name in the metadata that is no text")
    return named


def locale(written: str) -> str:
    """The language of Stripe's page that is closest to `written`."""
    tag = {"zh-Hant-TW": "zh-TW", "zh-Hant": "zh-TW"}.get(written.replace("_", "-"), written.replace("_", "-"))
    return next((known for known in (tag, tag.partition("-")[0]) if known in _LOCALES), "auto")


def word(value: Any) -> str:
    """Return a short text that every database accepts. Raises Malformed."""
    if not isinstance(value, str) or len(value) > 255 or not (value.isprintable() and value.isascii()):
        raise Malformed("a word that is none")
    return value


def at(seconds: Any) -> datetime:
    """The time of one of Stripe's timestamps. Raises Malformed."""
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise Malformed("a time that is none")
    return datetime.fromtimestamp(seconds, UTC)


def cancelled(intent: Mapping[str, Any]) -> tuple[PaymentState, EndReason]:
    """(our state, end reason) of a cancelled PaymentIntent."""
    return _CANCELLED_BECAUSE.get(str(intent["cancellation_reason"]), (PaymentState.CANCELLED, EndReason.MERCHANT))
