"""Newest events of orders, payments and alerts, read from the outbox. Their numbers survive restarts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from shop.core.db import db
from shop.core.event_types import Stream
from shop.core.money import Money
from shop.core.outbox import OutboxRow

SHOWN = 100
"""Events that a page shows."""
_AT_ONCE = 500  # events of one read
_GAP_LASTS = 60.0  # seconds for which a skipped number may still be committed
_GAPS = 500
_ROW = (OutboxRow.id, OutboxRow.stream, OutboxRow.kind, OutboxRow.subject, OutboxRow.payload, OutboxRow.created_at)


@dataclass(frozen=True)
class Entry:
    """An event. `seq` is its number in the outbox, in the order of writing; `alert` is the id of the alert that it is
    about.
    """

    seq: int
    at: datetime
    kind: str
    subject: str
    detail: str
    order_number: str = ""
    alert: int | None = None


class Reader:
    """Reads each event once, in the order of their numbers as far as they are committed in that order.

    A transaction may commit after one with a higher number, so skipped numbers are read again for a minute. `newest`
    holds the last SHOWN events, sorted by number; a new reader has read them.
    """

    def __init__(self) -> None:
        self.newest: deque[Entry] = deque(maxlen=SHOWN)
        self._top = 0
        self._gaps: dict[int, float] = {}
        found = db.session.execute(select(*_ROW).order_by(OutboxRow.id.desc()).limit(2 * SHOWN)).all()
        self._add(list(reversed(found)))

    def read(self) -> list[Entry]:
        """The events that were not read yet, at most 500, sorted by number. One statement."""
        over = time.monotonic() - _GAP_LASTS
        self._gaps = {number: since for number, since in list(self._gaps.items())[-_GAPS:] if since > over}
        unread: ColumnElement[bool] = OutboxRow.id > self._top
        if self._gaps:
            unread = or_(unread, OutboxRow.id.in_(self._gaps))
        return self._add(db.session.execute(select(*_ROW).where(unread).order_by(OutboxRow.id).limit(_AT_ONCE)).all())

    def _add(self, rows: Any) -> list[Entry]:
        at = time.monotonic()
        for row in rows:
            self._gaps.pop(row.id, None)
            if row.id > self._top:
                if self._top:
                    self._gaps |= dict.fromkeys(range(max(self._top + 1, row.id - _GAPS), row.id), at)
                self._top = row.id
        entries = [_entry(row) for row in rows if row.stream != Stream.ACCOUNTS]
        self.newest = deque(sorted([*self.newest, *entries], key=lambda entry: entry.seq), maxlen=SHOWN)
        return entries


def newest() -> list[Entry]:
    """The newest events, at most SHOWN, sorted by number. One statement."""
    return list(Reader().newest)


def _entry(row: Any) -> Entry:
    payload: dict[str, Any] = row.payload
    order = payload.get("order_no") or payload.get("orderNo") or ""
    alert = payload.get("alert_id", payload.get("alertId"))
    return Entry(row.id, row.created_at, row.kind, row.subject, _detail(payload), order, alert)


def _detail(payload: Mapping[str, Any]) -> str:
    """The values of an event that matter in one line."""
    if "ours" in payload:
        sides = (_money(payload[side], payload["currency"]) for side in ("ours", "theirs"))
        return "ours {}, the acquirer's {}".format(*sides)
    if "currency" in payload:
        notes = [_words(payload[name]) for name in ("allocation", "why", "reason") if payload.get(name)]
        return ", ".join([_money(payload["amount"], payload["currency"]), *notes])
    if "target" in payload:
        change = " → ".join(_words(payload[name]) for name in ("source", "target") if payload.get(name))
        return f"{change} ({_words(payload['because'])})" if payload.get("because") else change
    if "before" in payload:
        return f"was {_words(payload['before'])}"
    names = ("rule_id", "ruleId", "severity", "state", "code")
    return ", ".join(_words(payload[name]) for name in names if payload.get(name))


def _money(amount: int | None, currency: str) -> str:
    return "nothing" if amount is None else Money(amount, currency).with_code()


def _words(name: str) -> str:
    return name if name.startswith(("OPS_", "RULE_", "P1", "P2")) else name.replace("_", " ").lower()
