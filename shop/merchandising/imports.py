"""Imports of products from CSV files: requested by staff, carried out by workers some lines at a time.

Each line is applied or refused alone. A transaction applies some and counts them, so that a killed worker loses nothing
and no line is carried out twice. A dry run carries out the lines and rolls them back: it shows what the import would
do, by the same code. A file may be imported again: what it has changed already is unchanged then.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, ids, logs, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, table, transactional
from shop.core.errors import Refusal
from shop.merchandising import csv_file, import_lines, opening_stock
from shop.merchandising.csv_file import Sheet
from shop.merchandising.import_lines import Line
from shop.merchandising.models import ImportState, Outcome, ProductImport, ProductImportLine, ProductImportPart

log = logs.get()
IN_A_PART = 200
"""Lines that are stored together."""
AT_ONCE = 50
"""Lines of a transaction: other writers wait for it on SQLite, and orders of its products on PostgreSQL."""
LEASE = timedelta(seconds=60)
"""Longer than a transaction takes. A job of the task queue ends after 60 seconds."""
TURN = 20.0
"""Seconds for which a worker carries out lines before it takes other work."""
ATTEMPTS = 5
"""Attempts without progress after which an import has failed."""
KEPT_FOR = timedelta(days=30)
SHOWN = 100


class _DoneElsewhere(Exception):
    """Rolls back lines that another process has carried out."""


class _DryRun(Exception):
    """Rolls back lines whose outcomes are known."""


def request(content: bytes, file_name: str, *, is_dry_run: bool, by: Actor, is_claimed: bool = False) -> str:
    """Request the import of a file and return its id. With `is_claimed` the caller carries it out by `run`.

    Raises Forbidden; BadInput `bad_file` with the reason; Refusal `import_running`, and `forbidden` for opening stock.
    """
    return _request(csv_file.read(content), text.tidy(file_name)[:200], is_dry_run, by, is_claimed)


@transactional
def _request(sheet: Sheet, file_name: str, is_dry_run: bool, by: Actor, is_claimed: bool) -> str:
    rights.demand(by, Permission.PRODUCT_WRITE)
    rows = [[row.line, row.cells, row.error] for row in sheet.rows]
    parts = [rows[at : at + IN_A_PART] for at in range(0, len(rows), IN_A_PART)]
    return _insert(sheet.columns, parts, file_name, is_dry_run, by, is_claimed)


@transactional
def apply(dry_run_id: str, *, by: Actor) -> str:
    """Import the file of a dry run that is done, and return the id of the import.

    Raises Forbidden; Refusal `not_done`, `import_running`, and `forbidden` for opening stock.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    before = find(dry_run_id)
    if before is None or not before.is_dry_run or before.state is not ImportState.DONE:
        raise Refusal("not_done", "Only the file of a dry run that is done can be imported.")
    of = select(ProductImportPart.rows).where(ProductImportPart.import_id == dry_run_id)
    parts = list(db.session.scalars(of.order_by(ProductImportPart.number)))
    return _insert(before.columns, parts, before.file_name, False, by, False)


def _insert(
    columns: list[str], parts: Sequence[list[list[Any]]], file_name: str, is_dry_run: bool, by: Actor, is_claimed: bool
) -> str:
    _demand_stock(by, columns, parts)
    import_id, now, lines = ids.import_id(), clock.now(), sum(map(len, parts))
    values = {"id": import_id, "file_name": file_name, "columns": columns, "is_dry_run": is_dry_run, "lines": lines}
    values |= {"requested_by": by, "requested_at": now, "state": ImportState.RUNNING}
    row = insert(ProductImport).values(**values, due_at=now + LEASE if is_claimed else now)
    if not db.session.scalar(row.on_conflict_do_nothing().returning(ProductImport.id)):
        raise Refusal("import_running", "Another import or dry run is running. Wait until it is done.")
    for number, rows in enumerate(parts, 1):
        db.session.add(ProductImportPart(import_id=import_id, number=number, rows=rows))
    after = {"file": file_name, "lines": lines, "dry_run": is_dry_run}
    audit.record(by, Act.IMPORT_REQUESTED, Subject(SubjectKind.PRODUCT_IMPORT, import_id), after=after)
    return import_id


def _demand_stock(by: Actor, columns: list[str], parts: Sequence[list[list[Any]]]) -> None:
    """Raise Refusal `forbidden` for a file with opening stock of a person who may not receive units.

    An empty column, as an export has it, receives none.
    """
    if opening_stock.COLUMN not in columns or rights.has(by, Permission.STOCK_WRITE):
        return
    at = columns.index(opening_stock.COLUMN)
    first = next((line for rows in parts for line, cells, _ in rows if len(cells) > at and cells[at].strip()), None)
    if first is not None:
        why = rights.explanation(Permission.STOCK_WRITE)
        raise Refusal("forbidden", f"Line {first} receives units, by the column {opening_stock.COLUMN}. {why}")


def find(import_id: str) -> ProductImport | None:
    """The import with this id, as the database has it now."""
    return db.session.get(ProductImport, import_id, populate_existing=True)


def newest(limit: int = 20) -> list[ProductImport]:
    """The newest imports and dry runs. One statement."""
    return list(db.session.scalars(select(ProductImport).order_by(ProductImport.requested_at.desc()).limit(limit)))


def results(
    import_id: str, after: int = 0, *, only: Outcome | None = None, limit: int = SHOWN
) -> list[ProductImportLine]:
    """Lines that change something or are refused, after a line of the file. One statement."""
    of = select(ProductImportLine).where(ProductImportLine.import_id == import_id, ProductImportLine.line > after)
    of = of.where(ProductImportLine.outcome == only) if only else of
    return list(db.session.scalars(of.order_by(ProductImportLine.line).limit(limit)))


# --- work of the workers ---------------------------------------------------------------------------------------------


def due(limit: int = 20) -> list[str]:
    """Imports to work on now."""
    found = list(db.session.scalars(select(ProductImport.id).where(ProductImport.due_at <= clock.now()).limit(limit)))
    db.session.rollback()
    return found


def do(import_id: str) -> None:
    """Carry out lines of a due import for TURN seconds. Safe to repeat, and by several processes at once."""
    until = time.monotonic() + TURN
    if not _claim(import_id):
        return
    for is_ended in _lines(import_id):
        if is_ended:
            return
        if time.monotonic() >= until:
            break
    _give_back(import_id)


def run(import_id: str) -> ProductImport:
    """Carry out an import that was requested with `is_claimed`, to its end."""
    for _ in _lines(import_id):
        pass
    return db.session.get_one(ProductImport, import_id, populate_existing=True)


@transactional
def _claim(import_id: str) -> bool:
    """Claim a due import and count the attempt. False if another process has it, or if it has failed."""
    now = clock.now()
    is_due = (ProductImport.id == import_id, ProductImport.due_at <= now)
    if changed(update(ProductImport).where(*is_due, ProductImport.attempts >= ATTEMPTS).values(_failed("", now))):
        log.error("product_import.failed", product_import=import_id)
        return False
    claimed = {"due_at": now + LEASE, "attempts": ProductImport.attempts + 1}
    return bool(changed(update(ProductImport).where(*is_due).values(claimed)))


def _failed(why: str, at: datetime) -> dict[str, Any]:
    message = why or "It was tried several times without progress."
    return {"state": ImportState.FAILED, "due_at": None, "ended_at": at, "failure": message}


@transactional
def _give_back(import_id: str) -> None:
    """Make an import that is not done due at once."""
    running = (ProductImport.id == import_id, ProductImport.state == ImportState.RUNNING)
    db.session.execute(update(ProductImport).where(*running).values(due_at=clock.now()))


def _lines(import_id: str) -> Iterator[bool]:
    """Carry out the lines, some at a time; True after the last ones, or when another process has taken over."""
    while True:
        job = find(import_id)
        if job is None or job.state is not ImportState.RUNNING:
            yield True
            return
        number, first = divmod(job.done, IN_A_PART)
        rows = db.session.get_one(ProductImportPart, (import_id, number + 1)).rows[first : first + AT_ONCE]
        db.session.expunge_all()
        lines = [Line(line, dict(zip(job.columns, cells, strict=False)), error) for line, cells, error in rows]
        if not _carry_out(job, lines):
            yield True
            return
        yield False


def _carry_out(job: ProductImport, lines: Sequence[Line]) -> bool:
    """Carry out the next lines, and count them. False when another process has done so, or the import ended."""
    try:
        try:
            _apply(job, lines)
        except _DryRun:
            _count(job, lines)
    except _DoneElsewhere:
        return False
    except rights.Forbidden as refusal:
        _fail(job.id, refusal.message)
        return False
    return True


@transactional
def _apply(job: ProductImport, lines: Sequence[Line]) -> None:
    reason = f"Opening stock in {job.file_name}, import {job.id}"
    import_lines.change(lines, by=job.requested_by, reason=reason, is_trial=job.is_dry_run)
    if job.is_dry_run:
        raise _DryRun
    _count(job, lines)


@transactional
def _count(job: ProductImport, lines: Sequence[Line]) -> None:
    """Store the outcomes of the next lines, and renew the lease. Raises _DoneElsewhere."""
    now, done = clock.now(), job.done + len(lines)
    counted: dict[str, Any] = {"done": done, "attempts": 0}
    for outcome, number in Counter(line.outcome for line in lines).items():
        counted[outcome] = getattr(ProductImport, outcome) + number
    ended = {"state": ImportState.DONE, "due_at": None, "ended_at": now}
    counted |= ended if done == job.lines else {"due_at": now + LEASE}
    before = (ProductImport.id == job.id, ProductImport.done == job.done, ProductImport.state == ImportState.RUNNING)
    if not changed(update(ProductImport).where(*before).values(counted)):
        raise _DoneElsewhere
    found = [
        {"import_id": job.id, "line": line.number, "sku": line.sku[:64], "outcome": line.outcome, "what": line.what}
        for line in lines
        if line.outcome is not Outcome.UNCHANGED
    ]
    if found:
        db.session.execute(table(ProductImportLine).insert(), found)


@transactional
def _fail(import_id: str, why: str) -> None:
    running = (ProductImport.id == import_id, ProductImport.state == ImportState.RUNNING)
    db.session.execute(update(ProductImport).where(*running).values(_failed(why, clock.now())))
