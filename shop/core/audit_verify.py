"""Verification of the audit log: find changed, missing, inserted and cut-off entries, and forged seals.

Seals are read in their order. The newest ones prove themselves by their HMAC. A seal whose key has left the key ring is
proven by the hash in the seal after it, which was made only because the seal proved itself then. So a change of
SECRET_KEY makes no seal unverifiable.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Select, func, select

from shop.core import clock, keys
from shop.core.audit import hash_of_personal
from shop.core.audit_models import AuditEntry, AuditPersonal, AuditSeal
from shop.core.audit_seals import HASHED, PURPOSE, hash_of_entry, hash_of_seal, proves_itself
from shop.core.db import db, table

AT_ONCE = 50
"""Seals that are read together with their entries."""
SEALED_WITHIN = timedelta(minutes=5)
"""Age from which an entry without a seal is a problem; the clock takes seconds."""
_FEW = 20
_ENTRIES, _PERSONAL, _SEALS = table(AuditEntry), table(AuditPersonal), table(AuditSeal)
_WITH_PERSONAL = (
    select(*_ENTRIES.columns, _PERSONAL.c.salt, _PERSONAL.c.personal)
    .select_from(_ENTRIES.outerjoin(_PERSONAL, _PERSONAL.c.entry_id == _ENTRIES.c.id))
    .order_by(_ENTRIES.c.seal, _ENTRIES.c.id)
)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A finding: `kind` for programs, `sentence` for people; the number of the seal and of the entry, if any."""

    kind: str
    sentence: str
    seal: int | None = None
    entry: int | None = None


@dataclass
class Report:
    """Result of a verification. `erased` entries have lost their personal values, which retention does; `newest` is the
    number and HMAC of the newest seal.
    """

    seals: int = 0
    entries: int = 0
    erased: int = 0
    newest: str | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.problems

    def add(self, kind: str, sentence: str, *, seal: int | None = None, entry: int | None = None) -> None:
        self.problems.append(Problem(kind, sentence, seal, entry))


def verify(*, known: tuple[int, str] | None = None, last: int | None = None) -> Report:
    """Verify all seals with their entries, or the `last` ones. `known` is the number and HMAC of a seal from the log:
    the audit log must still contain it.
    """
    report = Report()
    try:
        newest = _check_seals(report, _first_of_last(last) if last else 1)
        if known is not None:
            _check_known(report, known, newest)
        _check_loose(report)
    except (ValueError, TypeError) as error:  # SQLite stores any text as a time
        db.session.rollback()
        report.add("unreadable", f"The audit log cannot be read after {report.seals} seals: {error}.")
    return report


def _check_seals(report: Report, first: int) -> Row | None:
    """Check the seals from `first` on with their entries; returns the newest seal."""
    ring = keys.mac_keys(PURPOSE)
    newest_first = select(_SEALS).order_by(_SEALS.c.number.desc()).limit(1)
    before = _read(newest_first.where(_SEALS.c.number < first))
    previous: Row | None = before[0] if before else None
    while seals := _read(_after(previous)):
        entries = _entries_by_seal(seals[0]["number"], seals[-1]["number"])
        for seal in seals:
            _check_order(report, seal, previous)
            listed = _check_seal(report, seal, ring)
            _check_entries(report, seal["number"], listed, entries[seal["number"]])
            previous = seal
    if previous is not None:
        _check_newest(report, previous, ring)
    return previous


def _first_of_last(last: int) -> int:
    newest = db.session.scalar(select(func.max(_SEALS.c.number))) or 0
    return max(1, newest - last + 1)


def _after(previous: Row | None) -> Select[Any]:
    """The next seals in their order."""
    number = previous["number"] if previous else 0
    return select(_SEALS).where(_SEALS.c.number > number).order_by(_SEALS.c.number).limit(AT_ONCE)


def _read(query: Select[Any]) -> Sequence[Row]:
    rows = [dict(row) for row in db.session.execute(query).mappings()]
    db.session.rollback()
    return rows


def _entries_by_seal(first: int, until: int) -> Mapping[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in _read(_WITH_PERSONAL.where(_ENTRIES.c.seal.between(first, until))):
        found[row["seal"]].append(row)
    return found


def _check_order(report: Report, seal: Row, previous: Row | None) -> None:
    """Check that no seal is missing before this one, and that it follows the previous one."""
    number, missing = seal["number"], previous["number"] + 1 if previous else 1
    if number > missing:
        those = f"Seal {missing} is" if number == missing + 1 else f"Seals {missing} to {number - 1} are"
        report.add("missing_seal", f"{those} missing.", seal=missing)
    elif seal["previous"] != (hash_of_seal(previous) if previous else ""):
        sentence = f"Seal {number} does not follow seal {number - 1}, which was changed or replaced."
        report.add("broken_chain", sentence, seal=number - 1)


def _check_seal(report: Report, seal: Row, ring: Mapping[str, bytes]) -> dict[int, str] | None:
    """Check the HMAC of a seal; returns the hashes of its entries by their ids, None if they cannot be trusted."""
    number = seal["number"]
    report.seals += 1
    if seal["key_id"] in ring and not proves_itself(seal, ring):
        report.add("forged_seal", f"Seal {number} is forged or was changed: its HMAC is wrong.", seal=number)
        return None
    try:
        return dict(json.loads(seal["entries"]))
    except (ValueError, TypeError):  # with a key of the ring the HMAC has excluded it
        report.add("forged_seal", f"Seal {number} was changed: its list of entries cannot be read.", seal=number)
        return None


def _check_entries(report: Report, seal: int, listed: dict[int, str] | None, rows: list[Row]) -> None:
    """Compare the entries of a seal with its list, and their personal values with their hashes."""
    if listed is None:
        return
    for row in rows:
        entry = row["id"]
        report.entries += 1
        if entry not in listed:
            report.add("inserted", f"Entry {entry} was added to seal {seal} afterwards.", seal=seal, entry=entry)
        elif hash_of_entry({column.name: row[column.name] for column in HASHED}) != listed[entry]:
            report.add("changed", f"Entry {entry} was changed after seal {seal}.", seal=seal, entry=entry)
        elif row["salt"] is None:
            report.erased += 1
        elif hash_of_personal(row["salt"], row["personal"]) != row["personal_hash"]:
            report.add("changed", f"The personal values of entry {entry} were changed.", seal=seal, entry=entry)
    for entry in sorted(listed.keys() - {row["id"] for row in rows}):
        report.add("missing", f"Entry {entry} of seal {seal} is missing.", seal=seal, entry=entry)


def _check_newest(report: Report, newest: Row, ring: Mapping[str, bytes]) -> None:
    """Check that the newest seal proves itself."""
    report.newest = f"{newest['number']}:{newest['mac']}"
    if newest["key_id"] not in ring:
        number = newest["number"]
        sentence = f"Seal {number} is the newest one, and its key is neither SECRET_KEY nor one of its fallbacks."
        report.add("unknown_key", sentence, seal=number)


def _check_known(report: Report, known: tuple[int, str], newest: Row | None) -> None:
    """Check that the audit log contains a seal that was logged."""
    number, mac = known
    end = newest["number"] if newest else 0
    if number > end:
        rest = f"ends at seal {end}" if end else "has no seal"
        report.add("cut_off", f"Seal {number} was logged, but the audit log {rest}: its end was cut off.", seal=number)
        return
    found = _read(select(_SEALS).where(_SEALS.c.number == number))
    if not found or found[0]["mac"] != mac:
        report.add("other_seal", f"Seal {number} is not the one that was logged.", seal=number)


def _check_loose(report: Report) -> None:
    """Check that no entry names a seal after the newest one, and none waits long for one. Reads along the index."""
    newest = select(func.coalesce(func.max(_SEALS.c.number), 0)).scalar_subquery()
    beyond = select(_ENTRIES.c.id, _ENTRIES.c.seal).where(_ENTRIES.c.seal > newest).limit(_FEW)
    for row in _read(beyond):
        sentence = f"Entry {row['id']} names seal {row['seal']}, which does not exist."
        report.add("missing_seal", sentence, seal=row["seal"], entry=row["id"])
    if not current_app.config["SETTLED_PASSIVE"]:
        late = _ENTRIES.c.seal.is_(None) & (_ENTRIES.c.at < clock.now() - SEALED_WITHIN)
        for row in _read(select(_ENTRIES.c.id).where(late).limit(_FEW)):
            sentence = f"Entry {row['id']} has no seal after {SEALED_WITHIN.seconds // 60} minutes: does the clock run?"
            report.add("unsealed", sentence, entry=row["id"])
