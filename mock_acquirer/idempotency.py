"""Idempotency keys: once execution has begun, the response is kept for 24 hours and replayed, errors included."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, update

from mock_acquirer import clock
from mock_acquirer.db import db, insert_once, unit
from mock_acquirer.errors import Refused
from mock_acquirer.models import StoredAnswer
from mock_acquirer.times import wall_now

KEPT = timedelta(hours=24)
IN_FLIGHT = timedelta(seconds=30)


@dataclass(frozen=True)
class Key:
    """A merchant's key with a fingerprint of the call (method, path, body)."""

    run: str
    dialect: str
    merchant: str
    key: str
    fingerprint: str

    @property
    def row(self) -> tuple[ColumnElement[bool], ...]:
        return (
            StoredAnswer.run == self.run,
            StoredAnswer.dialect == self.dialect,
            StoredAnswer.merchant == self.merchant,
            StoredAnswer.key == self.key,
        )


@unit
def begin(key: Key) -> tuple[str, StoredAnswer | None]:
    """(a token that permits execution, None), or ("", the stored response).

    Refuses with 422 when the key was used for another call, with 409 while the first call is in flight.
    """
    now, wall, token = clock.now(key.run), wall_now(), secrets.token_hex(8)
    db.session.execute(delete(StoredAnswer).where(*key.row, StoredAnswer.created_at < now - KEPT))
    fresh = insert_once(
        StoredAnswer,
        run=key.run,
        dialect=key.dialect,
        merchant=key.merchant,
        key=key.key,
        fingerprint=key.fingerprint,
        token=token,
        created_at=now,
        wall_in_flight_until=wall + IN_FLIGHT,
    )
    if fresh:
        return token, None
    stored = db.session.scalars(select(StoredAnswer).where(*key.row).execution_options(populate_existing=True)).one()
    if stored.fingerprint != key.fingerprint:
        raise Refused(
            422, "idempotency_error", "idempotency_key_reused", "This Idempotency-Key was used for another call."
        )
    if stored.status is not None:
        return "", stored
    # the first call's process has ended; its response would be in the transaction of its effect, so nothing happened
    left = update(StoredAnswer).where(*key.row, StoredAnswer.wall_in_flight_until < wall)
    taken = db.session.execute(left.values(token=token, wall_in_flight_until=wall + IN_FLIGHT))
    if getattr(taken, "rowcount", 0) == 1:
        return token, None
    raise Refused(
        409,
        "idempotency_error",
        "idempotency_key_in_use",
        "The first call with this Idempotency-Key is still under way.",
        headers={"Retry-After": "1"},
    )


def finish(key: Key, token: str, status: int, body: str) -> None:
    """Store the response, in the transaction of the effect. Refuses (409) when another call took over."""
    mine = update(StoredAnswer).where(*key.row, StoredAnswer.token == token, StoredAnswer.status.is_(None))
    done = db.session.execute(mine.values(status=status, body=body))
    if getattr(done, "rowcount", 0) != 1:
        raise Refused(409, "idempotency_error", "idempotency_key_in_use", "Another call with this key took over.")


@unit
def forget(key: Key, token: str) -> None:
    """Release the key after a call without effect."""
    mine = delete(StoredAnswer).where(*key.row, StoredAnswer.token == token)
    db.session.execute(mine.where(StoredAnswer.status.is_(None)))


@unit
def prune() -> int:
    """Delete keys older than two days of wall time; returns their number."""
    old = delete(StoredAnswer).where(StoredAnswer.wall_in_flight_until < wall_now() - 2 * KEPT)
    return int(getattr(db.session.execute(old), "rowcount", 0))
