"""Store idempotency keys: claim one in the transaction of its effect, add the answer, take over an ended call.

Nothing is written before there is an effect. So a call that is refused leaves its key unused, and of several calls with
one key the unique index lets one have the effect.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import select, update

from shop.core import clock
from shop.core.db import changed, db, in_transaction, insert, table, transactional
from shop.idempotency.decide import LASTS, LEASE, Decision, Resume, Stored, decide
from shop.idempotency.models import IdempotencyKey

_KEYS = table(IdempotencyKey)
LARGEST_ANSWER = 256 * 1024
"""Characters of an answer that is stored. A larger one is not: a repetition then resumes from the row."""


class Taken(Exception):
    """Another call with the same key has had the effect first. The transaction must be rolled back."""


@dataclass(frozen=True)
class Key:
    """A key as it is sent: `scope` is the caller and the route, `body_digest` that of path and body."""

    scope: str
    text: str
    body_digest: str

    @property
    def id(self) -> str:
        return hashlib.sha256(f"{self.scope}\0{self.text}".encode()).hexdigest()


def look_up(key: Key) -> Decision:
    """The decision on a call with this key. An ended call is taken over, by one of several repetitions."""
    decision = _decide(key)
    if isinstance(decision, Resume) and not _take_over(key):
        return _decide(key)
    return decision


def claim(key: Key, subject: str) -> None:
    """Record in the current transaction that the key has had its effect: the row with the id `subject`.

    Raises Taken, and RuntimeError outside a transaction.
    """
    if not in_transaction():
        raise RuntimeError("a key is claimed in the transaction of its effect")
    at = clock.wall()
    values = {
        "body_digest": key.body_digest,
        "subject": subject,
        "leased_until": at + LEASE,
        "expires_at": at + LASTS,
        "status": None,
        "answer": None,
    }
    made = insert(IdempotencyKey, plain=True).values(id=key.id, **values)
    made = made.on_conflict_do_update(index_elements=["id"], set_=values, where=_KEYS.c.expires_at <= at)
    if db.session.execute(made.returning(_KEYS.c.id)).one_or_none() is None:
        raise Taken


@transactional
def keep_answer(key: Key, status: int, answer: str) -> None:
    """Add the answer. A call without a row of its own claims its key now."""
    if len(answer) > LARGEST_ANSWER:
        return
    values = {"status": status, "answer": answer}
    is_mine = (_KEYS.c.id == key.id, _KEYS.c.body_digest == key.body_digest, _KEYS.c.expires_at > clock.wall())
    if not changed(update(_KEYS).where(*is_mine).values(values)):
        try:
            claim(key, "")
        except Taken:
            return
        db.session.execute(update(_KEYS).where(_KEYS.c.id == key.id).values(values))


def _decide(key: Key) -> Decision:
    columns = [_KEYS.c[name] for name in ("body_digest", "subject", "leased_until", "expires_at", "status", "answer")]
    row = db.session.execute(select(*columns).where(_KEYS.c.id == key.id)).one_or_none()
    db.session.rollback()
    return decide(Stored(*row) if row else None, key.body_digest, clock.wall())


@transactional
def _take_over(key: Key) -> bool:
    at = clock.wall()
    ended = update(_KEYS).where(_KEYS.c.id == key.id, _KEYS.c.status.is_(None), _KEYS.c.leased_until <= at)
    return bool(changed(ended.values(leased_until=at + LEASE)))
