"""Webhook event types of the engine, each sent by at least one dialect."""

from __future__ import annotations

from typing import Any

from mock_acquirer.validation import Check, not_among

EVENTS = (
    "payment.requires_action",
    "payment.authorized",
    "payment.captured",
    "payment.declined",
    "payment.failed",
    "payment.voided",
    "payment.expired",
    "payment.refunded",
    "payment.simulated",
    "refund.pending",
    "refund.succeeded",
    "refund.failed",
    "dispute.created",
    "dispute.closed",
    # sent by stripe alone, beside those above
    "charge.succeeded",
    "payment_intent.canceled",
    "refund.shown",
)
ALIASES = {
    # the vendor's name: the engine's name, used by faults and expectations
    "checkout.session.completed": "payment.captured",
    "checkout.session.async_payment_succeeded": "payment.captured",
    "checkout.session.expired": "payment.expired",
    "payment_intent.succeeded": "payment.captured",
    "payment_intent.payment_failed": "payment.declined",
    "payment_intent.requires_action": "payment.requires_action",
    "payment_intent.amount_capturable_updated": "payment.authorized",
    "charge.refunded": "refund.succeeded",
    "refund.created": "refund.shown",
    "refund.updated": "refund.shown",
    "charge.dispute.created": "dispute.created",
    "charge.dispute.closed": "dispute.closed",
}


def one_of_events(known: tuple[str, ...] = EVENTS, *more: str) -> Check:
    """Check for an event type among `known`, or one of `more`."""

    def check(value: Any) -> str:
        if isinstance(value, str) and value in (*known, *more):
            return value
        if isinstance(value, str) and value in ALIASES:
            hint = f" Its name here is {ALIASES[value]!r}."
        elif isinstance(value, str) and value in EVENTS:
            hint = " No webhook is sent for it here."
        else:
            hint = ""
        raise ValueError(not_among(value, (*more, *known), hint))

    return check
