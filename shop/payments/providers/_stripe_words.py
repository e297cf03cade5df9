"""What Stripe's objects say, in our words: declines, disputes, balance transactions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shop.core.money import Money
from shop.payments import sheet
from shop.payments.provider import Decline, DisputeFact, Malformed, SettlementLine

_SETTLED = {
    # reporting_category: our kind
    "charge": "capture",
    "refund": "refund",
    "refund_failure": "refund_failed",
    "dispute": "dispute",
    "dispute_reversal": "dispute_won",
}
PAYOUTS = frozenset({"payout", "payout_reversal"})
"""Categories of what leaves our balance at Stripe for the bank. It moves no payment."""
_DISPUTES = {
    # status: (kind, state)
    "needs_response": ("chargeback", "OPEN"),
    "under_review": ("chargeback", "OPEN"),
    "won": ("chargeback", "WON"),
    "lost": ("chargeback", "LOST"),
    "warning_needs_response": ("inquiry", "OPEN"),
    "warning_under_review": ("inquiry", "OPEN"),
    "warning_closed": ("inquiry", "WON"),
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


def settled(entry: Mapping[str, Any]) -> SettlementLine:
    """One balance transaction. `source` is an id or, where the list was expanded, the object: only that has our names.

    Raises Malformed.
    """
    kind, currency = _SETTLED.get(word(entry["reporting_category"]), "other"), word(entry["currency"])
    source = entry["source"]
    full: Mapping[str, Any] = source if isinstance(source, dict) else {"id": source or ""}
    about, ours = word(full["id"]), full.get("metadata") or {}
    money = Money(sheet.whole(entry["amount"]), currency.upper())
    fee = Money(sheet.whole(entry["fee"]), currency.upper())
    sheet.adds_up(money, fee, sheet.whole(entry["net"]))
    is_refund = kind in ("refund", "refund_failed")
    return SettlementLine(
        id=word(entry["id"]),
        kind=kind,
        about=word(ours.get("refund") or "") if is_refund else about,
        money=money,
        fee=fee,
        at=at(entry["created"]),
        reference=word(ours.get("reference") or ""),
        capture_id=about if kind == "capture" else word(full.get("charge") or ""),
    )


def dispute(about: Mapping[str, Any]) -> DisputeFact | None:
    """What an object of theirs says about a dispute; None when it is none, or in a state that means nothing to us."""
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


def decline_of(intent: Mapping[str, Any]) -> Decline | None:
    """Why the bank said no to a PaymentIntent, if it did."""
    error = intent["last_payment_error"]
    if not error:
        return None
    code = str(error.get("decline_code") or error.get("code") or "generic_decline")
    return Decline(_SAME_AS.get(code, code), _CLASS_OF.get(code, "other_method"))


def instrument(charge: Mapping[str, Any]) -> dict[str, str]:
    """With what a charge was paid."""
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


def word(value: Any) -> str:
    """Raises Malformed for anything but a short text that databases take."""
    if not isinstance(value, str) or len(value) > 255 or not (value.isprintable() and value.isascii()):
        raise Malformed("a word that is none")
    return value


def at(seconds: Any) -> datetime:
    """A moment of theirs. Raises Malformed."""
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise Malformed("a time that is none")
    return datetime.fromtimestamp(seconds, UTC)
