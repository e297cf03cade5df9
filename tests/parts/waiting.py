"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def until(condition: Callable[[], Answer], within: float = 10.0, what: str = "") -> Answer:
    """The first true result of `condition`. Raises AssertionError, naming `what`, after `within` seconds without."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or getattr(condition, '__name__', 'the condition')}: not within {within} s")
        time.sleep(0.02)
