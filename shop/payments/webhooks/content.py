"""Content of stored webhooks for readers: the events in a body, the payment they are about, and a summary."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from shop.core import logs
from shop.payments.providers import registry
from shop.payments.providers.interface import Malformed, WebhookEvent
from shop.payments.providers.types import WebhookKind
from shop.payments.webhooks.filters import SECRET

_IN_JSON = re.compile(rf'("[^"]*(?:{SECRET.pattern})[^"]*"\s*:\s*")[^"]+', re.I)
_IN_FORM = re.compile(rf"((?:^|&)[^=&]*(?:{SECRET.pattern})[^=&]*=)[^&]+", re.I)
REDACTED = "[redacted]"


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
    """What a webhook reports, such as `payment captured`; empty if its body cannot be read (any more)."""
    try:
        events = events_in(provider, headers, body)
    except Malformed:
        return ""
    return ", ".join(dict.fromkeys(map(summary_of, events)))


def summary_of(event: WebhookEvent) -> str:
    """What an event reports, such as `payment captured`."""
    if event.refund:
        return f"refund {event.refund.state}".lower()
    if event.dispute:
        return f"{event.dispute.kind} {event.dispute.state}".lower()
    if event.kind != WebhookKind.PAYMENT:
        return "other"
    state = "declined" if event.facts.decline and event.facts.state is None else event.facts.state or ""
    return f"payment {state}".strip().lower()


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The stored headers, with signatures and secrets redacted."""
    return {name: REDACTED if _is_secret(name) else logs.scrub_text(value) for name, value in headers.items()}


def shown_body(body: bytes) -> str:
    """The body as text; bytes that are no UTF-8 are replaced, and secrets, signatures and card numbers redacted."""
    text = logs.scrub_text(body.decode(errors="replace"))
    pattern = _IN_JSON if text.lstrip()[:1] in ("{", "[") else _IN_FORM
    return pattern.sub(rf"\1{REDACTED}", text)


def parsed_body(body: bytes) -> list[tuple[str, str]]:
    """Path and value of each field of a JSON or form body, redacted as in `shown_body`; empty if it is neither.
    Nesting below the tenth level stays as it is.
    """
    text = shown_body(body)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = dict(parse_qsl(text)) if "=" in text else None
    if not isinstance(found, dict | list):
        return []
    return _fields(found)


def _fields(value: Any, path: str = "", depth: int = 0) -> list[tuple[str, str]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not inner or depth == 10:
        return [(path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]
    return [field for name, one in inner for field in _fields(one, f"{path}.{name}".lstrip("."), depth + 1)]


def _is_secret(name: str) -> bool:
    return SECRET.search(name) is not None
