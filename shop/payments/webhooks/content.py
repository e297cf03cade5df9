"""Content of stored webhooks: the events in a body, the payment they are about, and a summary."""

from __future__ import annotations

from collections.abc import Mapping

from shop.payments.providers import registry
from shop.payments.providers.interface import Malformed, WebhookEvent
from shop.payments.providers.types import WebhookKind


def payment_of(event: WebhookEvent) -> str | None:
    """The payment id that an event names, whether it exists or not; None if it names none."""
    return event.reference or (event.refund.payment if event.refund else "") or None


def events_in(provider: str, headers: Mapping[str, str], body: bytes) -> list[WebhookEvent]:
    """The events in a body whose signature was verified on receipt. Raises Malformed."""
    found = registry.get(provider)
    if found is None:
        raise Malformed(f"no provider {provider}")
    return found.read_stored(headers, body)


def summary(provider: str, headers: Mapping[str, str], body: bytes) -> str:
    """The report of a webhook, such as `payment captured`; empty if its body cannot be read (any more)."""
    try:
        events = events_in(provider, headers, body)
    except Malformed:
        return ""
    return ", ".join(dict.fromkeys(map(summary_of, events)))


def summary_of(event: WebhookEvent) -> str:
    """The report of an event, such as `payment captured`."""
    if event.refund:
        return f"refund {event.refund.state}".lower()
    if event.dispute:
        return f"{event.dispute.kind} {event.dispute.state}".lower()
    if event.kind != WebhookKind.PAYMENT:
        return "other"
    state = "declined" if event.facts.decline and event.facts.state is None else event.facts.state or ""
    return f"payment {state}".strip().lower()
