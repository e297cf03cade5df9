"""Values of the database that pages of the shop show on every request, kept in the process for FRESH seconds.

A change clears them in its own process after the commit; other processes show it within FRESH seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from flask import current_app

FRESH = 1.0
T = TypeVar("T")


def kept(name: str, read: Callable[[], T]) -> T:
    """The value of this name, read again if it is older than FRESH seconds."""
    values, now = _values(), monotonic()
    at, found = values.get(name, (float("-inf"), None))
    if now - at >= FRESH:
        found = read()
        values[name] = (now, found)
    return found  # type: ignore[no-any-return]


def clear(name: str) -> None:
    """Forget a value, because it has changed."""
    _values().pop(name, None)


def _values() -> dict[str, tuple[float, Any]]:
    found: dict[str, tuple[float, Any]] = current_app.extensions.setdefault("settled_kept_briefly", {})
    return found
