"""Integrity checks in the background: started by staff, done invariant by invariant in a worker, and kept.

Each invariant is a step that is stored when it is done, so that a killed worker loses one step, and the page shows the
progress. The unique index on open checks decides that one runs at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.core import audit, clock, leases, logs
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, insert, transactional
from shop.core.errors import Refusal
from shop.core.leases import Lease
from shop.integrity import invariants
from shop.integrity.invariants import Finding
from shop.integrity.models import EVERYTHING, IntegrityCheck

log = logs.get()
KEPT_ROWS = 20
"""Violating rows of each invariant that are kept; their number is kept too."""
LEASE = timedelta(minutes=3)
"""Longer than a worker may take for a job."""
PATIENCE = timedelta(seconds=3)
"""Time between the passes, in which a healthy clock process does the work in progress."""
SECONDS = 20.0
"""Time after which a job leaves the other invariants to the next one."""


@dataclass(frozen=True)
class Result:
    """Stored result of an invariant: `count` of violating rows, the first `rows` of them, or the `error` for which it
    could not be checked.
    """

    name: str
    statement: str
    count: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""

    @property
    def holds(self) -> bool:
        return not (self.count or self.error)


def result_of(finding: Finding) -> Result:
    """The stored form of a finding. Pure."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in finding.rows[:KEPT_ROWS]]
    return Result(finding.name, finding.statement, len(finding.rows), rows)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def merged(before: Sequence[Result], new: Result) -> list[Result]:
    """The results with a new one, which replaces that of an earlier pass. Pure."""
    if any(one.name == new.name for one in before):
        return [new if one.name == new.name else one for one in before]
    return [*before, new]


def results(check: IntegrityCheck) -> list[Result]:
    """The results of a check so far."""
    return [Result(**one) for one in check.findings]


def progress(check: IntegrityCheck) -> tuple[int, int]:
    """(checked, all) invariants. In the second pass those that are checked again do not count as checked."""
    total = len(check.findings) if check.is_second_pass else len(check.findings) + len(check.to_check)
    return total - len(check.to_check), total


@transactional
def request(by: Actor) -> int:
    """Start a check of all invariants in the background; returns its id.

    Raises Forbidden, and Refusal `check_running`, which names the person, while another one runs.
    """
    rights.demand(by, Permission.INTEGRITY_RUN)
    at = clock.now()
    values = _values(by, at) | {"due_at": at, "to_check": invariants.names(), "findings": []}
    check_id = db.session.scalar(
        insert(IntegrityCheck).values(**values).on_conflict_do_nothing().returning(IntegrityCheck.id)
    )
    if check_id is None:
        running = open_check()
        by_whom = f", which {staff.label(running.requested_by)} has started" if running else ""
        raise Refusal(
            "check_running", f"A check is running already{by_whom}. Its result is shown below when it is done."
        )
    audit.record(by, Act.CHECK_REQUESTED, Subject(SubjectKind.INTEGRITY_CHECK, str(check_id)))
    return int(check_id)


@transactional
def keep(findings: Iterable[Finding], by: Actor) -> None:
    """Keep the findings of a check that was run at once."""
    at = clock.now()
    kept = [asdict(result_of(finding)) for finding in findings]
    db.session.add(IntegrityCheck(**_values(by, at), due_at=None, ended_at=at, to_check=[], findings=kept))


def _values(by: Actor, at: Any) -> dict[str, Any]:
    return {"scope": EVERYTHING, "requested_by": by, "requested_at": at, "is_second_pass": False}


def last_ended() -> IntegrityCheck | None:
    """The newest check that has ended."""
    ended = select(IntegrityCheck).where(IntegrityCheck.ended_at.is_not(None))
    return db.session.scalars(ended.order_by(IntegrityCheck.id.desc()).limit(1)).one_or_none()


def open_check() -> IntegrityCheck | None:
    """The check that is running or waits for a worker."""
    return db.session.scalars(select(IntegrityCheck).where(IntegrityCheck.ended_at.is_(None))).one_or_none()


def due() -> list[int]:
    """The open check, when a step of it is due."""
    found = list(db.session.scalars(select(IntegrityCheck.id).where(IntegrityCheck.due_at <= clock.now())))
    db.session.rollback()
    return found


def continue_due(check_id: int) -> None:
    """Do steps of a due check for SECONDS. Safe to repeat; of several processes one claims it."""
    end = time.monotonic() + SECONDS
    lease = _claim(check_id)
    while lease is not None and time.monotonic() < end and (check := _read(check_id)).to_check:
        lease = _step(check, lease)
    if lease is not None:
        _conclude(_read(check_id), lease)


def _read(check_id: int) -> IntegrityCheck:
    return db.session.get_one(IntegrityCheck, check_id, populate_existing=True)


@transactional
def _claim(check_id: int) -> Lease | None:
    return leases.claim(IntegrityCheck.due_at, IntegrityCheck.id == check_id, until=clock.now() + LEASE)


def _step(check: IntegrityCheck, lease: Lease) -> Lease | None:
    """Check the next invariant and store its result; None if another process has taken the check over."""
    name, *left = check.to_check
    before = results(check)
    db.session.rollback()
    return _store(lease, to_check=left, findings=[asdict(one) for one in merged(before, _checked(name))])


@transactional
def _store(lease: Lease, **values: Any) -> Lease | None:
    return lease.renew(LEASE, **values)


def _checked(name: str) -> Result:
    try:
        return result_of(invariants.check_one(name))
    except Exception as error:  # noqa: BLE001 - one that cannot be checked does not stop the others
        db.session.rollback()
        log.error("integrity.not_checked", name=name, error=f"{type(error).__name__}: {error}"[:500])
        return Result(name, invariants.statement(name), error=type(error).__name__)


@transactional
def _conclude(check: IntegrityCheck, lease: Lease) -> None:
    """End the check, or make its next part due: the invariants that are left, or the second pass."""
    at, broken = clock.now(), [one.name for one in results(check) if not one.holds]
    if check.to_check:
        lease.postpone(at)
    elif broken and not check.is_second_pass:
        lease.postpone(at + PATIENCE, to_check=broken, is_second_pass=True)
    elif lease.end(ended_at=at):
        log.info("integrity.checked", check=check.id, broken=broken)
