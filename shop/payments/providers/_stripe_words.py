"""Stripe's words in ours: states, money, declines, events and errors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import stripe

from shop.core.money import Money
from shop.payments import states
from shop.payments.provider import (
    CaptureFact,
    Decline,
    Done,
    Facts,
    Malformed,
    PaymentRequest,
    Pending,
    RefundFact,
    Rejected,
    Unavailable,
    Unknown,
)

SHORTEST = timedelta(minutes=30)  # Stripe's shortest session; with some room for an opening that is repeated
ROOM = timedelta(minutes=10)
LONGEST = timedelta(hours=23)
LOCALES = frozenset({"de", "en", "es", "fr", "ja", "ko", "th", "vi", "zh", "zh-HK", "zh-TW"})
CANCELLED_BECAUSE = {
    # cancellation_reason of the PaymentIntent: our state and reason
    "requested_by_customer": (states.CANCELLED, "customer"),
    "abandoned": (states.CANCELLED, "merchant"),
    "automatic": (states.FAILED, "declines"),
    "failed_invoice": (states.FAILED, "declines"),
    "fraudulent": (states.FAILED, "declines"),
    "expired": (states.EXPIRED, "time"),
}
DECLINE_CLASSES = {
    "authentication_required": "authenticate",
    "card_velocity_exceeded": "retry_later",
    "expired_card": "fix_input",
    "fraudulent": "never_retry",
    "incorrect_cvc": "fix_input",
    "incorrect_number": "fix_input",
    "invalid_cvc": "fix_input",
    "invalid_expiry_month": "fix_input",
    "invalid_expiry_year": "fix_input",
    "invalid_number": "fix_input",
    "issuer_not_available": "retry_later",
    "lost_card": "never_retry",
    "payment_intent_authentication_failure": "authenticate",
    "pickup_card": "never_retry",
    "processing_error": "retry_later",
    "stolen_card": "never_retry",
    "try_again_later": "retry_later",
}
REFUND_ANSWERS: dict[str, Done | Pending | Rejected] = {
    "succeeded": Done(),
    "pending": Pending(),
    "requires_action": Pending(),
    "failed": Rejected("refund_failed"),
    "canceled": Rejected("refund_canceled"),
}
REFUND_STATES = {Done: "DONE", Pending: "PENDING", Rejected: "REJECTED"}
REFUND_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
SAME_AS = {"payment_intent_authentication_failure": "authentication_failed"}


def session_end(payment: PaymentRequest) -> dict[str, int]:
    """When the session ends: with `pay_by`, or as soon after it as Stripe allows; the shop closes it in time itself.

    It depends on nothing but the payment: with the same key Stripe wants to read the same words again.
    """
    if payment.created_at is None:
        return {}
    end = max(payment.pay_by, payment.created_at + SHORTEST + ROOM)
    return {"expires_at": int(min(end, payment.created_at + LONGEST).timestamp())}


def locale(written: str) -> str:
    tag = {"zh-Hant-TW": "zh-TW", "zh-Hant": "zh-TW"}.get(written.replace("_", "-"), written.replace("_", "-"))
    return next((known for known in (tag, tag.partition("-")[0]) if known in LOCALES), "auto")


def state(status: str, intent: Mapping[str, Any] | None, taken: bool, ended_early: bool) -> tuple[str, str | None]:
    """(our state, why it ended) of a session with this status."""
    if taken:
        return states.CAPTURED, None
    if status == "expired":
        if intent is not None and intent["status"] == "canceled":
            return cancelled(intent)
        return (states.CANCELLED, "merchant") if ended_early else (states.EXPIRED, "time")
    if status == "open" or intent is None:
        return states.OPEN, None
    if intent["status"] in ("requires_payment_method", "canceled"):  # an asynchronous payment that came to nothing
        return states.FAILED, "declines"
    return states.AUTHORIZED, None  # reserved, or on its way: money may come, and nobody should pay again


def cancelled(intent: Mapping[str, Any]) -> tuple[str, str]:
    return CANCELLED_BECAUSE.get(str(intent["cancellation_reason"]), (states.CANCELLED, "merchant"))


def capture(charge: Mapping[str, Any]) -> CaptureFact:
    return CaptureFact(word(charge["id"]), money(charge["amount_captured"], charge["currency"]), at(charge["created"]))


def money(amount: Any, currency: Any) -> Money:
    """Stripe's minor units are ISO's for our currencies: JPY has none, TWD and USD have two digits."""
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount < 2**53:
        raise Malformed("an amount that is none")
    if not isinstance(currency, str) or not (currency.isascii() and currency.isalpha() and len(currency) == 3):
        raise Malformed("a currency that is none")
    return Money(amount, currency.upper())


def instrument(charge: Mapping[str, Any]) -> dict[str, str]:
    details = charge["payment_method_details"] or {}
    card = details.get("card") or {}
    named = {"method": details.get("type"), "brand": card.get("brand"), "last4": card.get("last4")}
    return {name: str(value or "") for name, value in named.items()}


def decline(intent: Mapping[str, Any]) -> Decline | None:
    error = intent["last_payment_error"]
    if not error:
        return None
    code = str(error.get("decline_code") or error.get("code") or "generic_decline")
    return Decline(SAME_AS.get(code, code), DECLINE_CLASSES.get(code, "other_method"))


def charge_facts(charge: Mapping[str, Any]) -> Facts:
    more = {"intent": word(charge["payment_intent"])} if charge.get("payment_intent") else {}
    if not charge["captured"]:
        return Facts(state=states.AUTHORIZED, instrument=instrument(charge), provider_data=more)
    taken = capture(charge)
    return Facts(
        state=states.CAPTURED,
        captures=(taken,),
        instrument=instrument(charge),
        occurred_at=taken.at,
        provider_data=more,
    )


def cancelled_facts(intent: Mapping[str, Any]) -> Facts:
    state, because = cancelled(intent)
    return Facts(state=state, end_reason=because, provider_data={"intent": word(intent["id"])})


FACTS_OF: dict[str, Callable[[Mapping[str, Any]], Facts]] = {
    # events that say enough to settle; all others make the payment due
    "charge.succeeded": charge_facts,
    "charge.captured": charge_facts,
    "payment_intent.canceled": cancelled_facts,
    "payment_intent.payment_failed": lambda intent: Facts(decline=decline(intent)),
    "payment_intent.requires_action": lambda intent: Facts(),
    "payment_intent.amount_capturable_updated": lambda intent: Facts(state=states.AUTHORIZED),
}


def refund_fact(about: Mapping[str, Any]) -> RefundFact | None:
    """What an object of theirs says about a refund of ours; None when it is none."""
    ours = (about.get("metadata") or {}).get("refund") if about["object"] == "refund" else None
    if not ours:
        return None
    return RefundFact(word(ours), REFUND_STATES[type(REFUND_ANSWERS[word(about["status"])])])


def reference(about: Mapping[str, Any]) -> str:
    """Our id of the payment that an object of theirs is about; empty when it carries none."""
    if about["object"] == "checkout.session":
        return word(about.get("client_reference_id") or "")
    return word((about.get("metadata") or {}).get("reference") or "")


def word(value: Any) -> str:
    """Raises Malformed for anything but a short text that databases take."""
    if not isinstance(value, str) or len(value) > 255 or not (value.isprintable() and value.isascii()):
        raise Malformed("a word that is none")
    return value


def at(seconds: Any) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise Malformed("a time that is none")
    return datetime.fromtimestamp(seconds, UTC)


def id_of(session: Mapping[str, Any] | None) -> str | None:
    return None if session is None else str(session["id"])


# --- what went wrong -------------------------------------------------------------------------------------------------


def is_refusal(error: stripe.StripeError) -> bool:
    """The call was read and refused: nothing happened. A key that is in use or was used otherwise says nothing."""
    return (error.http_status or 0) in range(400, 500) and not isinstance(
        error, stripe.IdempotencyError | stripe.RateLimitError | stripe.APIError
    )


def not_started(error: stripe.StripeError) -> Rejected | Unknown | Unavailable:
    if isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout):
        return Unavailable(why(error))
    if isinstance(error, stripe.RateLimitError):
        return unavailable(error)
    return Rejected(code(error)) if is_refusal(error) else Unknown(why(error))


def unavailable(error: stripe.StripeError) -> Unavailable:
    wait = str((error.headers or {}).get("retry-after", ""))
    return Unavailable(why(error), float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else None)


def why(error: stripe.StripeError) -> str:
    """Without the vendor's sentence, which may quote what was sent."""
    return f"HTTP {error.http_status}" if error.http_status else str(error.user_message or type(error).__name__)[:60]


def code(error: stripe.StripeError) -> str:
    return str(error.code or f"http_{error.http_status}")
