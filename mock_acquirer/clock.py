"""Runs and their clocks: wall time plus an offset that all processes read from the database."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from flask import g
from sqlalchemy import bindparam, select, update

from mock_acquirer.db import MICROSECOND, db, insert_once, unit
from mock_acquirer.errors import Refused
from mock_acquirer.models import DEFAULT_RUN, Run
from mock_acquirer.times import wall_now

OFFSET = select(Run.offset_us).where(Run.name == bindparam("run"))
TRUSTED = 0.1
RUN_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


def enter_run(name: str | None) -> str:
    """The run with this name, created if new; the default run without a name. Refuses invalid names (400)."""
    name = name or DEFAULT_RUN
    if not RUN_NAME.fullmatch(name):
        raise Refused(400, "invalid_request", "invalid_run", "A run's name has 1 to 40 letters, digits, _ or -.")
    found = db.session.scalar(OFFSET, {"run": name})
    if found is None:
        _make(name)
    else:
        _remember(name, found)
    return name


@unit
def _make(name: str) -> None:
    insert_once(Run, name=name, offset_us=0, payment_seq=0, wall_created_at=wall_now())


def offset(run: str) -> timedelta:
    """The run's clock offset; cached for TRUSTED seconds within one request or tick."""
    known: dict[str, tuple[float, int]] = g.setdefault("acquirer_offsets", {})
    read_at, micros = known.get(run, (-TRUSTED, 0))
    if time.monotonic() - read_at > TRUSTED:
        micros = _remember(run, db.session.scalar(OFFSET, {"run": run}) or 0)
    return micros * MICROSECOND


def _remember(run: str, micros: int) -> int:
    g.setdefault("acquirer_offsets", {})[run] = (time.monotonic(), micros)
    return micros


def now(run: str) -> datetime:
    """The run's current time, aware UTC."""
    return wall_now() + offset(run)


@unit
def move_to(run: str, moment: datetime) -> None:
    """Advance the clock so that now is at least `moment`; it never goes back."""
    ahead = (moment - wall_now()) // MICROSECOND
    db.session.execute(update(Run).where(Run.name == run, Run.offset_us < ahead).values(offset_us=ahead))
    g.pop("acquirer_offsets", None)


@unit
def claim_drain(run: str, seconds: float) -> bool:
    """Acquire the lease to send this run's deliveries in order; False while another process holds it."""
    wall = wall_now()
    free = (Run.wall_draining_until.is_(None)) | (Run.wall_draining_until < wall)
    taken = update(Run).where(Run.name == run, free).values(wall_draining_until=wall + timedelta(seconds=seconds))
    return db.session.execute(taken).rowcount == 1  # type: ignore[attr-defined]


@unit
def end_drain(run: str) -> None:
    db.session.execute(update(Run).where(Run.name == run).values(wall_draining_until=None))


@unit
def keep_drain(run: str, seconds: float) -> None:
    """Extend the lease to `seconds` from now."""
    kept = update(Run).where(Run.name == run).values(wall_draining_until=wall_now() + timedelta(seconds=seconds))
    db.session.execute(kept)
