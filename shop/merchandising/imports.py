"""Imports of products from CSV files: requested by staff, carried out by workers line by line.

Each line is applied or refused alone, in a transaction that also counts it, so that a killed worker loses nothing and
no line is carried out twice. A dry run carries out each line and rolls it back: it shows what the import would do, by
the same code. A file may be imported again: what it has changed already is unchanged then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import product_fields, products
from shop.catalogue.product_fields import InvalidFields
from shop.core import audit, clock, ids, logs, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import Refusal
from shop.merchandising import csv_export, csv_file, opening_stock
from shop.merchandising.csv_file import Sheet
from shop.merchandising.models import ImportState, Outcome, ProductImport, ProductImportLine, ProductImportPart

log = logs.get()
IN_A_PART = 200
"""Lines that are read at once."""
LEASE = timedelta(seconds=60)
"""Longer than a line takes. A job of the task queue ends after 60 seconds."""
TURN = 20.0
"""Seconds for which a worker carries out lines before it takes other work."""
ATTEMPTS = 5
"""Attempts without progress after which an import has failed."""
KEPT_FOR = timedelta(days=30)
SHOWN = 100
STATES = ("active", "archived")
What = dict[str, Any]


class _DoneElsewhere(Exception):
    """Rolls back a line that another process has carried out."""


class _DryRun(Exception):
    """Rolls back a line, of which `outcome` is known."""

    def __init__(self, outcome: Outcome, what: What) -> None:
        super().__init__(outcome)
        self.outcome, self.what = outcome, what


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


def _failed(why: str, at: datetime) -> What:
    message = why or "It was tried several times without progress."
    return {"state": ImportState.FAILED, "due_at": None, "ended_at": at, "failure": message}


@transactional
def _give_back(import_id: str) -> None:
    """Make an import that is not done due at once."""
    running = (ProductImport.id == import_id, ProductImport.state == ImportState.RUNNING)
    db.session.execute(update(ProductImport).where(*running).values(due_at=clock.now()))


def _lines(import_id: str) -> Iterator[bool]:
    """Carry out line after line; True after the last one, or when another process has taken over."""
    while True:
        job = find(import_id)
        if job is None or job.state is not ImportState.RUNNING:
            yield True
            return
        number = job.done // IN_A_PART + 1
        rows = db.session.get_one(ProductImportPart, (import_id, number)).rows
        db.session.expunge_all()
        for at in range(job.done, job.done + len(rows) - job.done % IN_A_PART):
            line, cells, error = rows[at % IN_A_PART]
            if not _carry_out(job, at, line, dict(zip(job.columns, cells, strict=False)), error):
                yield True
                return
            yield False


def _carry_out(job: ProductImport, at: int, line: int, given: Mapping[str, str], error: str) -> bool:
    """Carry out one line, and count it as number `at`. False when another process has done it, or the import ended."""
    sku = text.plain(given.get("sku", "")).upper()[:64]
    try:
        if error:
            raise InvalidFields({"": error})
        _apply(job, at, line, sku, given)
    except (_DryRun, Refusal) as ended:
        return _refused_or_tried(job, at, line, sku, ended)
    except _DoneElsewhere:
        return False
    return True


def _refused_or_tried(job: ProductImport, at: int, line: int, sku: str, ended: _DryRun | Refusal) -> bool:
    if isinstance(ended, rights.Forbidden):
        _fail(job.id, ended.message)
        return False
    outcome, what = Outcome.REFUSED, {"": ended.message} if isinstance(ended, Refusal) else {}
    if isinstance(ended, InvalidFields):
        what = ended.errors
    if isinstance(ended, _DryRun):
        outcome, what = ended.outcome, ended.what
    try:
        _count(job, at, line, sku, outcome, what)
    except _DoneElsewhere:
        return False
    return True


@transactional
def _apply(job: ProductImport, at: int, line: int, sku: str, given: Mapping[str, str]) -> None:
    reason = f"Opening stock in {job.file_name}, import {job.id}"
    outcome, what = change(given, by=job.requested_by, reason=reason)
    if job.is_dry_run:
        raise _DryRun(outcome, what)
    _count(job, at, line, sku, outcome, what)


@transactional
def _count(job: ProductImport, at: int, line: int, sku: str, outcome: Outcome, what: What) -> None:
    """Store the outcome of line number `at`, and renew the lease. Raises _DoneElsewhere."""
    now, is_last = clock.now(), at + 1 == job.lines
    counted = {"done": at + 1, str(outcome): getattr(ProductImport, str(outcome)) + 1, "attempts": 0}
    counted |= {"state": ImportState.DONE, "due_at": None, "ended_at": now} if is_last else {"due_at": now + LEASE}
    before = (ProductImport.id == job.id, ProductImport.done == at, ProductImport.state == ImportState.RUNNING)
    if not changed(update(ProductImport).where(*before).values(counted)):
        raise _DoneElsewhere
    if outcome is not Outcome.UNCHANGED:
        db.session.add(ProductImportLine(import_id=job.id, line=line, sku=sku, outcome=outcome, what=what))


@transactional
def _fail(import_id: str, why: str) -> None:
    running = (ProductImport.id == import_id, ProductImport.state == ImportState.RUNNING)
    db.session.execute(update(ProductImport).where(*running).values(_failed(why, clock.now())))


def change(given: Mapping[str, str], *, by: Actor, reason: str) -> tuple[Outcome, What]:
    """Create or change the product of a line, in the current transaction; cells that are not given stay. `reason` is
    that of the receipt of its opening stock.

    Returns the outcome, and the changed fields with their values before and after. Raises InvalidFields, and Refusal.
    """
    sku, state = product_fields.read_sku(given["sku"]), given.get("state", "").strip().lower()
    if state and state not in STATES:
        raise InvalidFields({"state": f"The state is {' or '.join(STATES)}."})
    is_new = products.find(sku) is None
    what, units = (_create if is_new else _save)(sku, given, state, by)
    if received := opening_stock.receive(sku, units, by=by, reason=reason):
        what[opening_stock.COLUMN] = ["", f"{received:,} {'unit' if received == 1 else 'units'} received"]
    return (Outcome.CREATED if is_new else Outcome.CHANGED if what else Outcome.UNCHANGED), what


def _create(sku: str, given: Mapping[str, str], state: str, by: Actor) -> tuple[What, int]:
    """The fields that are set, and the opening stock of the line."""
    slug = given.get("slug", "").strip() or product_fields.slug_of(given.get("name", ""))
    fields, units = opening_stock.read({**given, "slug": slug})
    products.create(sku, fields, by=by, is_archived=state == "archived")
    return {name: ["", value] for name, value in product_fields.as_typed(fields).items() if value}, units


def _save(sku: str, given: Mapping[str, str], state: str, by: Actor) -> tuple[What, int]:
    """The fields that change, and the opening stock of the line."""
    product = products.locked(sku)
    before = csv_export.values(product)
    fields, units = opening_stock.read({**before, **given, "slug": given.get("slug", "").strip() or product.slug})
    products.save(sku, fields, seen=product.version, by=by)
    if state and state != before["state"]:
        (products.archive if state == "archived" else products.restore)(sku, by=by)
    after = csv_export.values(product)
    return {name: [before[name], value] for name, value in after.items() if value != before[name]}, units
