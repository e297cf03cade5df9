"""One structured line per request and per thing that happened, with request, order and payment ids and never a
secret.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

import structlog

_HIDDEN_KEYS = re.compile(r"authorization|cookie|secret|password|token|api_key|card|cvc|pan\b", re.I)
_HIDDEN_TEXT = re.compile(r"(whsec_|kp_(?:test|live)_|sk_(?:test|live)_|Bearer )[A-Za-z0-9+/=_.-]+")
_DIGITS = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
_SUSPECT = re.compile(r"whsec_|kp_|sk_|Bearer |\d(?:[ -]?\d){12}")
"""What any text has that has to be changed: one look, for nearly no text has it."""


def get(name: str = "settled") -> Any:
    """A logger: `log.info("order.paid", order=…, payment=…)`. The first word names the room."""
    return structlog.get_logger(name)


def bind(**ids: Any) -> None:
    """Add ids to every following line of this request or job."""
    structlog.contextvars.bind_contextvars(**ids)


def ids() -> dict[str, Any]:
    """The ids that are bound now."""
    return structlog.contextvars.get_contextvars()


def bound(ids: Mapping[str, Any]) -> AbstractContextManager[None]:
    """For as long as this is open, lines have these ids instead of the same ones of somebody else."""
    return structlog.contextvars.bound_contextvars(**ids)


def unbind() -> None:
    """Forget the ids of the last request or job."""
    structlog.contextvars.clear_contextvars()


def scrub_text(text: str) -> str:
    """`text` without secrets and card numbers."""
    if not _SUSPECT.search(text):
        return text
    text = _HIDDEN_TEXT.sub(r"\1…", text)
    return _DIGITS.sub(lambda m: "[card number]" if _luhn(re.sub(r"\D", "", m[0])) else m[0], text)


def _luhn(digits: str) -> bool:
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


@lru_cache(maxsize=1024)
def _is_hidden(key: str) -> bool:
    return _HIDDEN_KEYS.search(key) is not None


def _scrub(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if _is_hidden(key):
            event[key] = "…"
        elif isinstance(value, str):
            event[key] = scrub_text(value)
    return event


def configure(style: str) -> None:
    """Log to standard error, so that what a command answers stays alone. `style` is json or text."""
    said: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, _scrub]
    ours: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last: Any = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*said, *ours, last],
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=False,
    )
    for noisy in ("httpx", "httpcore", "rq.worker", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
