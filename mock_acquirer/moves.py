"""State changes of rows: the conditional UPDATE of a payment's state, the lock of its row, and queries for due
automatic steps.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Update, func, or_, select, type_coerce, update

from mock_acquirer import states, timeline
from mock_acquirer.db import db, to_micros
from mock_acquirer.models import Dispute, Payment, Refund, Run
from mock_acquirer.times import wall_now


def won(change: Update) -> bool:
    """Execute a conditional UPDATE of one row; False when another caller was first. Inside a transaction."""
    done = db.session.execute(change.execution_options(synchronize_session=False))
    return getattr(done, "rowcount", 0) == 1


def move(payment: Payment, to: str, *guards: Any, sources: tuple[str, ...] | None = None, **values: Any) -> bool:
    """Change the payment's state if it is in one of `sources` (default: those of the table); False when it is not."""
    allowed = sources if sources is not None else states.sources_of(to)
    before = payment.state
    moved = won(
        update(Payment).where(Payment.id == payment.id, Payment.state.in_(allowed), *guards).values(state=to, **values)
    )
    db.session.refresh(payment)
    if moved and before != to:
        timeline.note(payment, "state", f"Became {to}")
    return moved


def lock(payment: Payment) -> int:
    """Lock the payment's row until this transaction ends. Returns how often it was locked so far."""
    mine = update(Payment).where(Payment.id == payment.id).values(refund_seq=Payment.refund_seq + 1)
    number = db.session.scalar(mine.returning(Payment.refund_seq).execution_options(synchronize_session=False))
    db.session.refresh(payment)
    return int(number or 0)


def due_now(query: Select[Any], moment: Any, run: str | None) -> Select[Any]:
    """`query` (which joins the payment's run) for rows whose `moment` has passed on their run's clock.

    Without a run: those of all runs without a drain lease.
    """
    wall = wall_now()
    query = query.where(type_coerce(moment, BigInteger) <= type_coerce(to_micros(wall), BigInteger) + Run.offset_us)
    return query.where(_of_run(run, wall)).order_by(moment)


def _of_run(run: str | None, wall: datetime) -> ColumnElement[bool]:
    if run is not None:
        return Payment.run == run
    return or_(Run.wall_draining_until.is_(None), Run.wall_draining_until < wall)


def due_parts(part: type[Refund] | type[Dispute], run: str | None, limit: int = 200) -> list[Any]:
    """Refunds or disputes whose automatic step is due."""
    mine = select(part).join(Payment, Payment.id == part.payment_id).join(Run, Run.name == Payment.run)
    return list(db.session.scalars(due_now(mine, part.due_at, run).limit(limit)))


def next_part(part: type[Refund] | type[Dispute], run: str) -> datetime | None:
    """The time of the run's next automatic step of a refund or dispute."""
    mine = select(func.min(part.due_at)).join(Payment, Payment.id == part.payment_id).where(Payment.run == run)
    moment: datetime | None = db.session.scalar(mine)
    return moment
