"""Decide what a call with an idempotency key does. Pure: no database, no Flask, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

LASTS = timedelta(hours=24)
"""Time for which a key is remembered."""
LEASE = timedelta(seconds=60)
"""Time for which the first call may still be at work; then another one resumes from the row that it has created."""


@dataclass(frozen=True)
class Stored:
    """A key that has had an effect."""

    body_digest: str
    subject: str
    leased_until: datetime
    expires_at: datetime
    status: int | None = None
    answer: str | None = None


@dataclass(frozen=True)
class New:
    """The key has had no effect: carry the call out."""


@dataclass(frozen=True)
class Replay:
    """The call is done: send its answer again."""

    status: int
    answer: str


@dataclass(frozen=True)
class Conflict:
    """The key was used with another body."""


@dataclass(frozen=True)
class InFlight:
    """The first call is at work; `retry_after` is in seconds."""

    retry_after: int


@dataclass(frozen=True)
class Resume:
    """The first call has created the row `subject` and ended without an answer: continue from that row."""

    subject: str


Decision = New | Replay | Conflict | InFlight | Resume


def decide(stored: Stored | None, body_digest: str, at: datetime) -> Decision:
    """The decision on a call whose key is `stored`, or None if it is unknown."""
    if stored is None or stored.expires_at <= at:
        return New()
    if stored.body_digest != body_digest:
        return Conflict()
    if stored.status is not None and stored.answer is not None:
        return Replay(stored.status, stored.answer)
    if stored.leased_until > at:
        return InFlight(max(1, ceil((stored.leased_until - at).total_seconds())))
    return Resume(stored.subject)
