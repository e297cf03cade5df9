"""Timeline of a payment."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select

from mock_acquirer import clock
from mock_acquirer.db import db, unit
from mock_acquirer.models import Payment, TimelineEntry
from mock_acquirer.times import wall_now

TABLE: Any = TimelineEntry.__table__
LINE = insert(TABLE)


@unit
def note(payment: Payment, kind: str, text: str) -> None:
    """Add an entry; `kind` is call, page, state, control or fault."""
    line = {"run": payment.run, "payment_id": payment.id, "at": clock.now(payment.run), "kind": kind, "text": text}
    db.session.execute(LINE, line | {"wall_at": wall_now()})


def of(payment: Payment) -> list[TimelineEntry]:
    """All entries, oldest first."""
    mine = select(TimelineEntry).where(TimelineEntry.payment_id == payment.id)
    return list(db.session.scalars(mine.order_by(TimelineEntry.id)))
