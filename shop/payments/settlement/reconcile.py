"""Reconciliation: compare the settlement file of one of an acquirer's business days with the ledger, line by line.

Each line is about one of our journals that changed the receivable. A capture or refund that the ledger lacks is applied
first, as an update from any other source. A line whose journal exists is booked once, even if its amount differs: the
money is in the bank, and the difference stays on the receivable until it is settled. Each discrepancy is a row, open
until it is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import httpx
from flask import current_app
from sqlalchemy import and_, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, http_client, logs
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import Away, BadInput, Refusal
from shop.core.money import Money
from shop.ledger import chart
from shop.ledger.models import Journal, LedgerEntry
from shop.payments.disputes import disputes
from shop.payments.providers import registry
from shop.payments.providers.interface import (
    CaptureFact,
    DisputeFact,
    Facts,
    Malformed,
    PaymentProvider,
    SettlementLine,
    Unavailable,
)
from shop.payments.providers.settlement_line import LineKind
from shop.payments.providers.types import DisputeKind, DisputeState, Outcome, PaymentState
from shop.payments.records.models import Capture, Payment
from shop.payments.records.settlement_models import SettlementLineRow
from shop.payments.records.types import Source
from shop.payments.refunds import outside
from shop.payments.settlement import booking, brought, discrepancies, files, match
from shop.payments.settlement.booking import Fact
from shop.payments.settlement.discrepancies import Found
from shop.payments.updates.apply import UnknownPayment, apply
from shop.payments.updates.snapshot import PaymentUpdate

log = logs.get()
MOVE_THE_RECEIVABLE = ("capture", "refund", "refund_failed", "dispute", "dispute_won")
"""Kinds of journals that a settlement line must follow."""
SLACK = timedelta(seconds=90)
"""Time before the provider's midnight in which a recorded capture may belong to the next day's file."""
LATE = timedelta(days=3)
"""Limit for late lines: an acquirer adds a forgotten line to the file of one of the next days. An older line shows that
the file is another one.
"""
MOST_UNMATCHED = 2000
"""Lines without a journal in a file that a person brings; one with more is surely the wrong file."""


@dataclass
class Reconciliation:
    """Result of one run: `booked` lines for the first time or again, `applied` journals that only the file reported,
    lines `waiting` for a confirmation by the acquirer, discrepancies that it `opened` and `closed`.
    """

    provider: str
    day: date
    lines: int
    is_fetched: bool
    by: Actor
    booked: int = 0
    applied: list[str] = field(default_factory=list)
    waiting: int = 0
    opened: int = 0
    closed: int = 0

    @property
    def subject(self) -> Subject:
        return Subject(SubjectKind.SETTLEMENT_FILE, f"{self.provider} {self.day}")

    def counts(self) -> dict[str, Any]:
        names = ("lines", "booked", "applied", "waiting", "opened", "closed")
        return {name: getattr(self, name) for name in names}


@dataclass
class _Seen:
    """Content of the file read so far: the journals that it has lines about, discrepancies, and the journals of refunds
    that failed.
    """

    facts: set[str] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)


@dataclass
class _Booked:
    """Result of some lines: how many were booked, how many wait, and the discrepancies."""

    booked: int = 0
    waiting: int = 0
    found: list[Found] = field(default_factory=list)


# --- the file --------------------------------------------------------------------------------------------------------


def fetch(name: str, day: date) -> bytes:
    """Fetch the settlement file of a provider's business day, outside of any transaction.

    Raises BadInput for an unknown provider or a day that has not begun, Away when the acquirer does not respond,
    Refusal `no_call` when it has no API for its files. The mock acquirer offers them on its control API.
    """
    provider = _provider(name)
    _begun(name, day)
    http_client.leave_database()
    with http_client.within(http_client.FILE_SECONDS):
        answer = provider.settlement_file(day)
    if answer is None and registry.is_mocked(name):
        answer = _from_the_mock(name, day)
    if isinstance(answer, Unavailable):
        raise Away("no_file", f"{provider.LABEL} did not give its file of {day}: {answer.reason}.")
    if answer is None:
        raise Refusal("no_call", f"{provider.LABEL} has no call for its files. Fetch the one of {day}, and name it.")
    return answer


def can_fetch(name: str) -> bool:
    """True if the files of a provider can be fetched: by its API, or from the mock acquirer."""
    call = type(_provider(name)).settlement_file
    return registry.is_mocked(name) or call is not PaymentProvider.settlement_file


def _from_the_mock(name: str, day: date) -> bytes | Unavailable:
    url = f"{current_app.config['ACQUIRER_URL'].rstrip('/')}/_sim/settlement/{name}/{day}"
    try:
        token = {"Authorization": f"Bearer {current_app.config['CONTROL_TOKEN']}"}
        answer = http_client.client().get(url, headers=token, extensions=http_client.FILE)
    except httpx.HTTPError as error:
        return Unavailable(type(error).__name__)
    return answer.content if answer.status_code == 200 else Unavailable(f"HTTP {answer.status_code}")


def day_of(name: str, day: date) -> tuple[datetime, datetime]:
    """(first moment, first moment of the next day) of a provider's business day, UTC. Raises BadInput."""
    zone = _provider(name).capabilities.settles_in
    if day.year in (date.min.year, date.max.year):  # the times around its moments may not exist
        raise BadInput("bad_date", "There is no such day.")
    begin = datetime.combine(day, time(), zone)
    return begin.astimezone(UTC), (begin + timedelta(days=1)).astimezone(UTC)


def _begun(name: str, day: date) -> tuple[datetime, datetime]:
    """`day_of` a day that has begun. Raises BadInput."""
    bounds = day_of(name, day)
    if bounds[0] > clock.now():
        raise BadInput("bad_date", f"The day {day} has not begun.")
    return bounds


def _provider(name: str) -> PaymentProvider:
    found = registry.get(name)
    if found is None:
        raise BadInput("unknown_provider", f"There is no provider {name[:40]}.")
    return found


def _read(provider: PaymentProvider, day: date, raw: bytes) -> list[SettlementLine]:
    """The lines of the day's file, in the order of processing. Raises BadInput."""
    begin, end = day_of(provider.NAME, day)
    try:
        lines = provider.read_settlement(raw)
    except Malformed as error:
        raise BadInput("bad_file", f"This is no settlement file of {provider.LABEL}: {error}.") from error
    facts: dict[str, str | None] = {}
    for line in lines:
        if begin - line.at > LATE or line.at >= end + SLACK:
            at = line.at.astimezone(provider.capabilities.settles_in)
            raise BadInput("other_day", f"This is not the file of {day}: its line {line.id[:60]} is of {at:%Y-%m-%d}.")
        fact = match.key_of(provider.NAME, line)
        if facts.setdefault(line.id, fact) != fact:
            raise BadInput("bad_file", f"Two lines are called {line.id[:60]} and are about different things.")
    return sorted(lines, key=lambda line: list(LineKind).index(line.kind))


def _refuse_another(provider: PaymentProvider, lines: list[SettlementLine]) -> None:
    """Raise BadInput for a file of which so many lines are about no journal of ours that it is not ours."""
    if len(lines) <= MOST_UNMATCHED:
        return
    unmatched = 0
    for some in discrepancies.parts(lines):
        keys = match.keys_of(provider.NAME, some)
        known = _facts(provider.NAME, keys.values())
        unmatched += sum(keys[line.id] not in known for line in some)
    if unmatched > MOST_UNMATCHED:
        message = f"More than {MOST_UNMATCHED:,} lines of this file are about payments that this shop does not know."
        raise BadInput("other_file", f"{message} It is probably the file of another shop.")


# --- line by line ----------------------------------------------------------------------------------------------------


def reconcile(name: str, day: date, raw: bytes, *, by: Actor, fetched: bool = False) -> Reconciliation:
    """Compare the file `raw` of a provider's day with the ledger, book its lines, and record discrepancies.

    `fetched` is true for a file that the shop itself has from the provider. In one that a person brings, lines that
    would bring money wait for the acquirer's answer (see `brought`); they are discrepancies until the file is read
    again after it.

    Repeating it books nothing twice, opens nothing twice, and closes what is gone. Raises BadInput when the file cannot
    be read, is that of another day, or the day has not begun; then nothing has changed. Raises Forbidden for staff
    without the permission, which is demanded again for each part of the file.
    """
    _permit(by)
    provider, bounds = _provider(name), _begun(name, day)
    lines = _read(provider, day, raw)
    run = Reconciliation(name, day, len(lines), is_fetched=fetched, by=by)
    if not fetched:
        _refuse_another(provider, lines)
    _begin(run, hashlib.sha256(raw).hexdigest())
    seen = _Seen()
    for some in discrepancies.parts(lines):
        _process(run, provider, some, seen)
    is_over = clock.now() >= bounds[1]
    horizon = bounds[1] if is_over else max((line.at for line in lines), default=bounds[0])
    seen.found += _missing(name, day, seen.facts)
    in_no_file = _in_no_file(name, bounds[0] - SLACK, min(bounds[1], horizon) - SLACK, seen.failed)
    seen.found += [one for one in in_no_file if one.about not in seen.facts]
    run.opened, run.closed = discrepancies.note(name, day, seen.found, seen.facts, may=lambda: _permit(by))
    _conclude(run, is_whole_day=is_over)
    log.info("reconciled", provider=name, day=day.isoformat(), **run.counts() | {"applied": len(run.applied)})
    return run


@transactional
def _permit(by: Actor) -> None:
    rights.demand_of_staff(by, Permission.RECONCILIATION_DECIDE)


@transactional
def _begin(run: Reconciliation, sha256: str) -> None:
    """Record in the audit log, before anything is booked, which file is read."""
    rights.demand_of_staff(run.by, Permission.RECONCILIATION_DECIDE)
    audit.record(run.by, Act.FILE_GIVEN, run.subject, after={"lines": run.lines, "sha256": sha256})


@transactional
def _conclude(run: Reconciliation, *, is_whole_day: bool) -> None:
    """Record that the file was read, and the run in the audit log."""
    rights.demand_of_staff(run.by, Permission.RECONCILIATION_DECIDE)
    if is_whole_day:
        files.record_read(run.provider, run.day, run.lines, final=not run.waiting)
    audit.record(run.by, Act.FILE_RECONCILED, run.subject, after=run.counts())


def _process(run: Reconciliation, provider: PaymentProvider, lines: Sequence[SettlementLine], seen: _Seen) -> None:
    """Apply, compare and book some lines of the file, if the person still may."""
    _permit(run.by)
    name = provider.NAME
    keys = match.keys_of(name, lines)
    facts = _facts(name, keys.values())
    new = [line.id for line in lines if keys[line.id] not in facts and _apply_or_query(run, line)]
    if new:  # the owner of a refund is decided under its lock
        keys = match.keys_of(name, lines)
        facts = _facts(name, keys.values())
        run.applied += sorted({keys[line_id] for line_id in new} & facts.keys())
    seen.failed |= {keys[line.id].removesuffix(":failed") for line in lines if line.kind == LineKind.REFUND_FAILED}
    done = _book_lines(run, provider, [(line, facts.get(keys[line.id])) for line in lines], seen.facts)
    run.booked += done.booked
    run.waiting += done.waiting
    seen.found += done.found
    seen.facts |= facts.keys()


@transactional
def _book_lines(
    run: Reconciliation, provider: PaymentProvider, lines: list[tuple[SettlementLine, Fact | None]], seen: set[str]
) -> _Booked:
    """Book the lines whose journal the ledger has."""
    rights.demand_of_staff(run.by, Permission.RECONCILIATION_DECIDE)
    done = _Booked()
    once: dict[str, tuple[SettlementLine, Fact]] = {}
    for line, fact in lines:
        if fact is None:
            done.found.append(_without_fact(provider.NAME, line))
        elif fact.key in seen or fact.key in once:
            done.found.append(_twice(line, fact))
        elif run.is_fetched or brought.may_book(provider, line, fact.money):
            once[fact.key] = line, fact
        else:
            done.waiting += 1
            done.found += _differences(provider, line, fact) or [_other_fee(line, fact)]
    booked = booking.book(provider.NAME, run.day, list(once.values()))
    for key, (line, fact) in once.items():
        done.found += [_twice(line, fact)] if booked[key] is None else _differences(provider, line, fact)
    done.booked = sum(map(bool, booked.values()))
    return done


def _facts(provider: str, keys: Iterable[str]) -> dict[str, Fact]:
    """Ledger entries of the journals with that key."""
    rows = db.session.execute(
        select(Journal.key, Journal.order_id, LedgerEntry.amount, LedgerEntry.currency)
        .join(LedgerEntry, LedgerEntry.journal_key == Journal.key)
        .where(Journal.key.in_(set(keys)), LedgerEntry.account == chart.receivable(provider))
    ).all()
    db.session.rollback()
    return {row.key: Fact(row.key, row.order_id, Money(row.amount, row.currency)) for row in rows}


def _apply_or_query(run: Reconciliation, line: SettlementLine) -> bool:
    """Apply a line that the ledger lacks, or have the acquirer asked about it; True if it was applied."""
    if run.is_fetched or brought.may_apply(line):
        return _apply_line(run.provider, line)
    run.waiting += 1
    brought.request_query(run.provider, line)
    return False


def _apply_line(provider: str, line: SettlementLine) -> bool:
    """Apply the payment update or refund in a line that the ledger lacks. False if it belongs to none of our
    payments.
    """
    if not (line.about or line.refund_id):
        return False
    amount, currency = line.money.amount, line.money.currency
    if line.kind == LineKind.CAPTURE and line.reference and amount > 0:
        fact = CaptureFact(line.about, line.money, line.at)
        try:
            apply(
                PaymentUpdate(line.reference, Facts(PaymentState.CAPTURED, (fact,)), Source.SETTLEMENT_FILE, provider)
            )
        except UnknownPayment:
            return False
        return True
    if line.kind in match.REFUNDS:
        return _apply_refund(provider, line) not in (Outcome.ORPHAN, Outcome.FOREIGN, Outcome.ILLEGAL)
    if line.kind in (LineKind.DISPUTE, LineKind.DISPUTE_WON) and amount:
        state = DisputeState.WON if line.kind == LineKind.DISPUTE_WON else DisputeState.OPEN
        money = Money(abs(amount), currency)
        dispute = DisputeFact(line.about, line.capture_id, DisputeKind.CHARGEBACK, state, money, line.at)
        return disputes.apply(provider, dispute, Source.SETTLEMENT_FILE) != Outcome.ORPHAN
    return False


def _apply_refund(provider: str, line: SettlementLine) -> str:
    fact = match.refund_fact(line)
    if line.kind == LineKind.REFUND_FAILED:
        return outside.apply_failed_later(provider, fact, Source.SETTLEMENT_FILE, code=line.kind)
    return outside.apply_reported(provider, fact, Source.SETTLEMENT_FILE)


def _without_fact(provider: str, line: SettlementLine) -> Found:
    mine = select(Payment.order_id).where(Payment.provider == provider)
    order_id = db.session.scalar(mine.where(Payment.id == line.reference))
    if order_id is None and line.capture_id:
        by_capture = mine.join(Capture, Capture.payment_id == Payment.id)
        order_id = db.session.scalar(by_capture.where(Capture.capture_id == line.capture_id))
    cause = "unknown" if order_id is None else "missing_here"
    return Found(cause, line.id, order_id, None, line.money.amount, line.money.currency)


def _twice(line: SettlementLine, fact: Fact) -> Found:
    return Found("twice", line.id, fact.order_id, None, line.money.amount, line.money.currency)


def _other_fee(line: SettlementLine, fact: Fact) -> Found:
    return Found("fee", fact.key, fact.order_id, None, line.fee.amount, line.fee.currency)


def _differences(provider: PaymentProvider, line: SettlementLine, fact: Fact) -> list[Found]:
    if line.money.currency != fact.money.currency:  # a row has one currency: ours. Fees are not compared
        return [Found("amount", fact.key, fact.order_id, fact.money.amount, None, fact.money.currency)]
    found = []
    if line.money != fact.money:
        found.append(
            Found("amount", fact.key, fact.order_id, fact.money.amount, line.money.amount, line.money.currency)
        )
    fee = provider.contract_fee(line.kind, fact.money.amount)
    if fee is not None and fee != line.fee.amount:
        found.append(Found("fee", fact.key, fact.order_id, fee, line.fee.amount, line.fee.currency))
    return found


# --- discrepancies ---------------------------------------------------------------------------------------------------


def _missing(provider: str, day: date, facts: set[str]) -> list[Found]:
    """Journals with lines in an earlier file of the day and none in this one."""
    rows = db.session.execute(
        select(SettlementLineRow.fact, SettlementLineRow.amount, SettlementLineRow.currency, Journal.order_id)
        .join(Journal, Journal.key == SettlementLineRow.fact)
        .where(SettlementLineRow.provider == provider, SettlementLineRow.day == day)
    ).all()
    db.session.rollback()
    return [
        Found("missing_there", row.fact, row.order_id, row.amount, None, row.currency)
        for row in rows
        if row.fact not in facts
    ]


def _in_no_file(provider: str, begin: datetime, end: datetime, failed: set[str]) -> list[Found]:
    """Journals that were booked between the two times and are in no settlement file, without the refunds that `failed`
    in this one.
    """
    rows = db.session.execute(
        select(Journal.key, Journal.order_id, LedgerEntry.amount, LedgerEntry.currency)
        .join(LedgerEntry, LedgerEntry.journal_key == Journal.key)
        .where(
            LedgerEntry.account == chart.receivable(provider),
            Journal.kind.in_(MOVE_THE_RECEIVABLE),
            and_(Journal.at >= begin, Journal.at < end) | Journal.key.in_(failed),
            ~select(SettlementLineRow.fact).where(SettlementLineRow.fact == Journal.key).exists(),
        )
        .order_by(Journal.key)
    ).all()
    db.session.rollback()
    return [Found("missing_there", row.key, row.order_id, row.amount, None, row.currency) for row in rows]
