"""Times in bodies: RFC 3339, UTC, to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def stamp(at: datetime) -> str: ...
@overload
def stamp(at: None) -> None: ...
def stamp(at: datetime | None) -> str | None:
    """The text of a time, such as 2026-12-01T09:30:00.123456Z; None for none."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
