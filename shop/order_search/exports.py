"""Exports of orders as CSV files: requested by staff, written by workers in parts, downloaded, deleted after some days.

The row of an export is due work. A worker claims it, writes parts for a while, and gives it back; each part and the
position after it are committed together. A killed worker loses one part at most: when its lease has ended the export
is continued after the last part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import ColumnElement, func, select, update

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.core import audit, clock, csv_cells, ids, leases, logs
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.keyset import Place, Position
from shop.core.leases import Lease
from shop.order_search import filters as filters_of
from shop.order_search import pages, views
from shop.order_search.filters import Filters
from shop.order_search.models import ExportState, OrderExport, OrderExportPart
from shop.payments.providers import registry

log = logs.get()
MOST = 100_000
"""Orders in one file."""
IN_A_PART = 1000
AT_ONCE = 3
"""Exports of one person that are written at the same time."""
MOST_KEPT = 20
"""Exports of one person whose time is not over."""
LEASE = timedelta(seconds=60)
"""Longer than a part takes. A job of the task queue ends after 60 seconds."""
TURN = 20.0
"""Seconds for which a worker writes parts before it takes other work."""
ATTEMPTS = 5
"""Attempts without progress after which an export has failed."""
SHOWN = 50
HEADINGS = (
    *("order", "placed_at", "state", "payment_state", "provider", "method", "currency", "total", "refunded"),
    *("late", "duplicate", "wrong_amount", "in_review", "disputed", "open_refund"),
)
_LAST_ID = 2**62


def request(filters: Filters, zone: ZoneInfo, *, by: Actor, export_id: str | None = None) -> str:
    """Request an export of the orders that match, and return its id. A form carries the id of its export in
    `export_id`, so that a form that is sent twice makes one.

    Raises Forbidden; BadInput `bad_form`; Refusal `nothing_to_export`, `too_many_rows`, and `too_many_exports` for one
    person.
    """
    if export_id is not None and not ids.is_export_id(export_id):
        raise _bad_form()
    expected = pages.count_up_to(MOST, filters, zone)
    if not expected:
        raise Refusal("nothing_to_export", "No orders match these filters, so there is nothing to export.")
    if expected > MOST:
        message = f"A file has at most {MOST:,} orders, and more match these filters. Choose a shorter time."
        raise Refusal("too_many_rows", message)
    return _request(views.query_of(filters), expected, by, export_id or ids.export_id())


@transactional
def _request(query: str, expected: int, by: Actor, export_id: str) -> str:
    rights.demand(by, Permission.ORDER_EXPORT)
    _lock()
    before = db.session.get(OrderExport, export_id, populate_existing=True)
    if before is not None:
        if before.requested_by != by:
            raise _bad_form()
        return export_id
    _demand_at_most(AT_ONCE - 1, by)
    if _count(OrderExport.requested_by == by, OrderExport.requested_at > clock.now() - kept()) >= MOST_KEPT:
        message = f"You have {MOST_KEPT} exports. Download one of them, or wait until the oldest is deleted."
        raise Refusal("too_many_exports", message)
    now = clock.now()
    due = {"state": ExportState.RUNNING, "requested_at": now, "due_at": now}
    db.session.add(OrderExport(id=export_id, query=query, requested_by=by, expected=expected, **due))
    audit.record(by, Act.EXPORT_REQUESTED, _subject(export_id), after={"query": query, "expected": expected})
    return export_id


@transactional
def start_again(export_id: str, *, by: Actor) -> None:
    """Continue a failed export. Raises Forbidden; Refusal `not_failed`, and `too_many_exports` for the person who
    requested it.
    """
    rights.demand(by, Permission.ORDER_EXPORT)
    _lock()
    requested_by = db.session.scalar(select(OrderExport.requested_by).where(OrderExport.id == export_id))
    failed = (OrderExport.id == export_id, OrderExport.state == ExportState.FAILED)
    due = {"state": ExportState.RUNNING, "due_at": clock.now(), "attempts": 0, "ended_at": None}
    if not changed(update(OrderExport).where(*failed).values(**due)):
        raise Refusal("not_failed", "Only a failed export can be started again.")
    _demand_at_most(AT_ONCE, requested_by or by)
    audit.record(by, Act.EXPORT_RESTARTED, _subject(export_id))


@transactional
def download(export_id: str, *, by: Actor) -> Iterator[bytes]:
    """The parts of the file of an export that is done. Raises Forbidden; Refusal `not_done`."""
    rights.demand(by, Permission.ORDER_EXPORT)
    export = find(export_id)
    if export is None or export.state is not ExportState.DONE:
        raise Refusal("not_done", "This file is not complete. Wait until the export is done.")
    audit.record(by, Act.EXPORT_DOWNLOADED, _subject(export_id), after={"rows": export.rows})
    return _parts(export_id, export.parts)


def find(export_id: str) -> OrderExport | None:
    """The export with this id, unless its time is over."""
    newer = OrderExport.requested_at > clock.now() - kept()
    return db.session.scalars(select(OrderExport).where(OrderExport.id == export_id, newer)).one_or_none()


def newest(limit: int = SHOWN) -> list[OrderExport]:
    """The newest exports whose time is not over. One statement."""
    found = select(OrderExport).where(OrderExport.requested_at > clock.now() - kept())
    return list(db.session.scalars(found.order_by(OrderExport.requested_at.desc()).limit(limit)))


def kept() -> timedelta:
    """The time after the request for which an export and its file are kept (EXPORT_DAYS)."""
    return timedelta(days=current_app.config["EXPORT_DAYS"])


# --- work of the workers ---------------------------------------------------------------------------------------------


def due(limit: int = 20) -> list[str]:
    """Exports to write now."""
    query = select(OrderExport.id).where(OrderExport.due_at <= clock.now()).order_by(OrderExport.due_at).limit(limit)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def do(export_id: str) -> None:
    """Write parts of a due export for TURN seconds. Safe to repeat, and by several processes at once."""
    until = time.monotonic() + TURN
    lease = _claim(export_id)
    while lease is not None and time.monotonic() < until:
        lease = _write_part(export_id, lease)
    if lease is not None:
        _give_back(lease)


@transactional
def _claim(export_id: str) -> Lease | None:
    """Claim a due export and count the attempt. None if another process has it, or if it has failed."""
    now, mine = clock.now(), OrderExport.id == export_id
    tired, failed = OrderExport.attempts >= ATTEMPTS, {"state": ExportState.FAILED, "ended_at": now}
    if leases.claim(OrderExport.due_at, mine, tired, until=None, **failed):
        log.error("export.failed", export=export_id)
        return None
    return leases.claim(OrderExport.due_at, mine, until=now + LEASE, attempts=OrderExport.attempts + 1)


def _write_part(export_id: str, lease: Lease) -> Lease | None:
    """Write the next part and return the new lease. None when the export is done, or another process has it."""
    export = db.session.get_one(OrderExport, export_id, populate_existing=True)
    if export.state is not ExportState.RUNNING:
        return None
    number, written, zone = export.parts + 1, export.rows, ZoneInfo(current_app.config["SHOP_TIME_ZONE"])
    after = Position.parse(export.position) if export.position else Position(export.requested_at, _LAST_ID)
    limit = min(IN_A_PART, MOST - written)
    page = pages.find(_filters(export.query), zone, Place(after=after), limit=limit)
    db.session.rollback()  # the rows are formatted without a transaction
    content = csv_cells.lines(_cells(row, zone) for row in page.rows)
    if number == 1:
        content = csv_cells.BYTE_ORDER_MARK + csv_cells.lines([HEADINGS]) + content
    written += len(page.rows)
    is_last = page.older is None or written >= MOST
    values = {"parts": number, "rows": written, "position": str(page.older) if page.older else None, "attempts": 0}
    return _store(export_id, lease, values, content, is_last=is_last)


@transactional
def _store(export_id: str, lease: Lease, values: dict[str, Any], content: bytes, *, is_last: bool) -> Lease | None:
    """Store a part with the columns `values` of its export; returns the new lease. None after the last part, and if
    another process has the export.
    """
    new = None if is_last else lease.renew(LEASE, **values)
    is_stored = lease.end(state=ExportState.DONE, ended_at=clock.now(), **values) if is_last else new is not None
    if is_stored:
        db.session.execute(insert(OrderExportPart).values(export_id=export_id, number=values["parts"], content=content))
    return new


@transactional
def _give_back(lease: Lease) -> None:
    """Make an export that is not done due at once."""
    lease.postpone(clock.now())


def _filters(query: str) -> Filters:
    return filters_of.parse(parse_qs(query), registry.all_providers())


def _cells(row: pages.Row, zone: ZoneInfo) -> list[object]:
    instrument = row.instrument or {}
    shown: list[object] = [row.number, _stamp(row.placed_at, zone), row.state, row.payment_state, row.provider]
    shown += [instrument.get("method"), row.total.currency, row.total.decimal(), row.refunded.decimal()]
    return shown + ["yes" if flag in row.flags else "" for flag in filters_of.Flag]


def _stamp(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(timespec="seconds")


def _parts(export_id: str, number: int) -> Iterator[bytes]:
    """The stored parts, one at a time. Raises Refusal `deleted` when retention has deleted one meanwhile, so that a
    download breaks off instead of ending early.
    """
    for each in range(1, number + 1):
        of = (OrderExportPart.export_id == export_id, OrderExportPart.number == each)
        content = db.session.scalar(select(OrderExportPart.content).where(*of))
        db.session.rollback()
        if content is None:
            raise Refusal("deleted", "The file was deleted while it was read. Export the orders again.")
        yield content


def _lock() -> None:
    """Let one transaction at a time count exports and add to them."""
    alone_until_commit(db.session, "exports")


def _demand_at_most(limit: int, person: Actor) -> None:
    """Raise Refusal `too_many_exports` if more than `limit` exports of the person are being written."""
    if _count(OrderExport.requested_by == person, OrderExport.state == ExportState.RUNNING) > limit:
        message = f"{AT_ONCE} exports of {staff.label(person)} are being written. Wait until one is done."
        raise Refusal("too_many_exports", message)


def _count(*which: ColumnElement[bool]) -> int:
    return db.session.scalar(select(func.count()).select_from(OrderExport).where(*which)) or 0


def _bad_form() -> BadInput:
    return BadInput("bad_form", "The form is not complete. Open the list of orders and request the export again.")


def _subject(export_id: str) -> Subject:
    return Subject(SubjectKind.ORDER_EXPORT, export_id)
