"""Structured logs: one line per request and per event, with request, order and payment ids and without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, TextIO

import structlog

from shop.core import metrics

_HIDDEN_KEYS = re.compile(r"authorization|cookie|secret|password|token|api_key|card|cvc|pan\b", re.I)
_HIDDEN_TEXT = re.compile(r"(whsec_|kp_(?:test|live)_|sk_(?:test|live)_|Bearer )[A-Za-z0-9+/=_.-]+")
_DIGITS = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
_SUSPECT = re.compile(r"whsec_|kp_|sk_|Bearer |\d(?:[ -]?\d){12}")
"""Matches any text that needs redaction: one test, because few texts do."""


def get(name: str = "settled") -> Any:
    """A logger: `log.info("order.paid", order=…, payment=…)`. The first word names the package."""
    return structlog.get_logger(name)


def bind(**ids: Any) -> None:
    """Add ids to all following lines of this request or job."""
    structlog.contextvars.bind_contextvars(**ids)


def ids() -> dict[str, Any]:
    """The ids that are bound now."""
    return structlog.contextvars.get_contextvars()


def bound(ids: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Log with these ids inside the block."""
    return structlog.contextvars.bound_contextvars(**ids)


def unbind() -> None:
    """Clear the ids of the last request or job."""
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
        elif isinstance(value, str) and _SUSPECT.search(value):
            event[key] = scrub_text(value)
    return event


class _BestEffort:
    """Writes lines, and counts those that cannot be written: a full log disk must not break anything else."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, message: str) -> None:
        try:
            self._file.write(message + "\n")
            self._file.flush()
        except (OSError, ValueError):  # ValueError: the file is closed
            metrics.LOST_LINES.labels("log").inc()

    log = debug = info = warn = warning = error = err = critical = exception = fatal = failure = msg


def configure(style: str, level: str = "info") -> None:
    """Log lines of at least `level` to standard error, so that standard output contains only the output of a command.

    `style` is json or text; `level` is debug, info, warning or error.
    """
    shared: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, _scrub]
    ours: list[Any] = [structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last: Any = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*shared, *ours, last],
        logger_factory=lambda *_: _BestEffort(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=False,
    )
    for noisy in ("httpx", "httpcore", "rq.worker", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
