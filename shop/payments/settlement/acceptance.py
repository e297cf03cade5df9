"""Accept a discrepancy: staff have found out why the file and the ledger differ, and nothing more is to be done."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import update

from shop.accounts import rights, staff
from shop.accounts.permissions import Permission
from shop.core import audit, clock, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, transactional
from shop.core.errors import BadInput, Refusal
from shop.payments.records.settlement_models import Discrepancy


@transactional
def accept(discrepancy_id: int, *, by: Actor, reason: str, seen: datetime | None = None) -> None:
    """Close an open discrepancy with a reason. It moves no money: a difference stays on the acquirer's receivable, and
    so it needs no second person. A file with other amounts opens it again.

    `seen` is the `opened_at` of the amounts that the person has read. Raises BadInput as `reasons.needed`
    and `unknown_discrepancy`; Refusal `discrepancy_accepted`, which names the person, `discrepancy_closed`, and
    `discrepancy_changed` when its amounts are other ones now.
    """
    rights.demand(by, Permission.RECONCILIATION_DECIDE)
    stated = reasons.needed(reason)
    row = db.session.get(Discrepancy, discrepancy_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise BadInput("unknown_discrepancy", "There is no such discrepancy.")
    if (refusal := _refusal(row, seen)) is not None:
        raise refusal
    at = clock.now()
    is_same = (Discrepancy.id == row.id, Discrepancy.closed_at.is_(None), Discrepancy.opened_at == row.opened_at)
    accepted = {"closed_at": at, "accepted_at": at, "accepted_by": by, "accepted_reason": stated}
    if not changed(update(Discrepancy).where(*is_same).values(**accepted)):
        raise Refusal("discrepancy_changed", _CHANGED)
    before = {"ours": row.ours, "theirs": row.theirs, "currency": row.currency}
    what = {"provider": row.provider, "day": row.day, "cause": row.cause, "about": row.about}
    subject = Subject(SubjectKind.DISCREPANCY, str(row.id))
    audit.record(by, Act.DISCREPANCY_ACCEPTED, subject, before=what | before, after={"accepted_at": at}, reason=stated)


_CHANGED = "A newer file has changed this discrepancy since you opened the page. Read its amounts and decide again."


def _refusal(row: Discrepancy, seen: datetime | None) -> Refusal | None:
    if row.accepted_by is not None:
        return Refusal("discrepancy_accepted", f"{staff.label(row.accepted_by)} has already accepted this discrepancy.")
    if row.closed_at is not None:
        return Refusal("discrepancy_closed", "A newer file has closed this discrepancy. There is nothing to accept.")
    if seen is not None and row.opened_at != seen:
        return Refusal("discrepancy_changed", _CHANGED)
    return None
