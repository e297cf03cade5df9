"""Rules of API sessions: the answer to a refresh token. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LOST_ANSWER = timedelta(seconds=30)
"""Time after a rotation in which the replaced token gets the same successor, because the answer may have been lost."""


def ends_at(expires_at: datetime, used_at: datetime, idle: timedelta | None) -> datetime:
    """End of a session that was last used at `used_at`; `idle` is the longest time without a use, None for no limit."""
    return expires_at if idle is None else min(expires_at, used_at + idle)


@dataclass(frozen=True)
class SessionSnapshot:
    """A stored session; `expires_at` is its end (see `ends_at`). `is_of_account` is False once the account is disabled
    or has ended all its sign-ins.
    """

    generation: int
    rotated_at: datetime
    expires_at: datetime
    is_revoked: bool
    is_of_account: bool


class Refresh(StrEnum):
    """Answer to a refresh token."""

    ROTATE = "rotate"
    """It is the present one: replace it."""
    SAME_SUCCESSOR = "same_successor"
    """It was replaced a moment ago: the present one again."""
    REUSED = "reused"
    """It was replaced before: a copy is in use. The session ends."""
    REFUSED = "refused"
    """The session has ended."""


def decide(session: SessionSnapshot, generation: int, at: datetime) -> Refresh:
    """The answer to the refresh token of a generation that this shop has signed."""
    if session.is_revoked or not session.is_of_account or session.expires_at <= at:
        return Refresh.REFUSED
    if generation == session.generation:
        return Refresh.ROTATE
    if generation == session.generation - 1 and at - session.rotated_at <= LOST_ANSWER:
        return Refresh.SAME_SUCCESSOR
    return Refresh.REUSED
