"""Reconciliation: compare the settlement file of one of an acquirer's business days with the ledger, line by line.

Each line is about one of our journals that changed the receivable. A capture or refund that the ledger lacks is applied
first, as an update from any other source. A line whose journal exists is booked once, even if its amount differs: the
money is in the bank, and the difference stays on the receivable until it is settled. Each discrepancy is a row, open
until it is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import httpx
from flask import current_app
from sqlalchemy import and_, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, http_client, logs
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import Away, BadInput, Refusal
from shop.core.money import Money
from shop.ledger import book, chart, funds
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
from shop.payments.records.settlement_models import Discrepancy, SettlementLineRow
from shop.payments.records.types import Source
from shop.payments.refunds import outside
from shop.payments.settlement import discrepancies, files, match
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
_AT_ONCE = 200


@dataclass(frozen=True)
class _Fact:
    """One of our journals, which changed the receivable by `money`."""

    key: str
    order_id: int | None
    money: Money


@dataclass
class Reconciliation:
    """Result of one run: `booked` lines for the first time or again, `applied` journals that only the file reported,
    discrepancies that it `opened` and `closed`.
    """

    provider: str
    day: date
    lines: int
    booked: int = 0
    applied: list[str] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    def counts(self) -> dict[str, Any]:
        names = ("lines", "booked", "applied", "opened", "closed")
        return {name: getattr(self, name) for name in names}


@dataclass
class _Seen:
    """Content of the file read so far: the journals that it has lines about, discrepancies, and the journals of refunds
    that failed.
    """

    facts: set[str] = field(default_factory=set)
    found: list[Found] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)


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


# --- line by line ----------------------------------------------------------------------------------------------------


def reconcile(name: str, day: date, raw: bytes, *, by: Actor) -> Reconciliation:
    """Compare the file `raw` of a provider's day with the ledger, book its lines, and record discrepancies.

    Repeating it books nothing twice, opens nothing twice, and closes what is gone. Raises Forbidden for staff without
    the permission, and BadInput when the file cannot be read, is that of another day, or the day has not begun; then
    nothing has changed.
    """
    _permit(by)
    provider, bounds = _provider(name), _begun(name, day)
    lines = _read(provider, day, raw)
    run = Reconciliation(name, day, len(lines))
    seen = _Seen()
    for start in range(0, len(lines), _AT_ONCE):
        _process(run, provider, lines[start : start + _AT_ONCE], seen)
    is_over = clock.now() >= bounds[1]
    horizon = bounds[1] if is_over else max((line.at for line in lines), default=bounds[0])
    seen.found += _missing(name, day, seen.facts)
    seen.found += _in_no_file(name, bounds[0] - SLACK, min(bounds[1], horizon) - SLACK, seen.failed)
    _conclude(run, seen, by, is_whole_day=is_over)
    log.info("reconciled", provider=name, day=day.isoformat(), **run.counts() | {"applied": len(run.applied)})
    return run


@transactional
def _permit(by: Actor) -> None:
    rights.demand_of_staff(by, Permission.RECONCILIATION_DECIDE)


@transactional
def _conclude(run: Reconciliation, seen: _Seen, by: Actor, *, is_whole_day: bool) -> None:
    """Record the discrepancies, that the file was read, and the run in the audit log."""
    rights.demand_of_staff(by, Permission.RECONCILIATION_DECIDE)
    run.opened, run.closed = discrepancies.note(run.provider, run.day, seen.found, seen.facts)
    if is_whole_day:
        files.record_read(run.provider, run.day, run.lines)
    subject = Subject(SubjectKind.SETTLEMENT_FILE, f"{run.provider} {run.day}")
    audit.record(by, Act.FILE_RECONCILED, subject, after=run.counts())


def _process(run: Reconciliation, provider: PaymentProvider, lines: Sequence[SettlementLine], seen: _Seen) -> None:
    """Apply, compare and book some lines of the file."""
    name = provider.NAME
    keys = match.keys_of(name, lines)
    facts = _facts(name, keys.values())
    new = [line.id for line in lines if keys[line.id] not in facts and _apply_line(name, line)]
    if new:  # the owner of a refund is decided under its lock
        keys = match.keys_of(name, lines)
        facts = _facts(name, keys.values())
        run.applied += sorted({keys[line_id] for line_id in new} & facts.keys())
    seen.failed |= {keys[line.id].removesuffix(":failed") for line in lines if line.kind == LineKind.REFUND_FAILED}
    booked, found = _book_lines(provider, run.day, [(line, facts.get(keys[line.id])) for line in lines], seen.facts)
    run.booked += booked
    seen.found += found
    seen.facts |= facts.keys()


@transactional
def _book_lines(
    provider: PaymentProvider, day: date, lines: list[tuple[SettlementLine, _Fact | None]], seen: Collection[str]
) -> tuple[int, list[Found]]:
    """Book the lines whose journal the ledger has; return how many were booked, and the discrepancies."""
    found: list[Found] = []
    once: dict[str, tuple[SettlementLine, _Fact]] = {}
    for line, fact in lines:
        if fact is None:
            found.append(_without_fact(provider.NAME, line))
        elif fact.key in seen or fact.key in once:
            found.append(_twice(line, fact))
        else:
            once[fact.key] = line, fact
    booked = _book(provider.NAME, day, list(once.values()))
    for key, (line, fact) in once.items():
        found += [_twice(line, fact)] if booked[key] is None else _differences(provider, line, fact)
    return sum(map(bool, booked.values())), found


def _facts(provider: str, keys: Iterable[str]) -> dict[str, _Fact]:
    """Ledger entries of the journals with that key."""
    rows = db.session.execute(
        select(Journal.key, Journal.order_id, LedgerEntry.amount, LedgerEntry.currency)
        .join(LedgerEntry, LedgerEntry.journal_key == Journal.key)
        .where(Journal.key.in_(set(keys)), LedgerEntry.account == chart.receivable(provider))
    ).all()
    db.session.rollback()
    return {row.key: _Fact(row.key, row.order_id, Money(row.amount, row.currency)) for row in rows}


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


def _twice(line: SettlementLine, fact: _Fact) -> Found:
    return Found("twice", line.id, fact.order_id, None, line.money.amount, line.money.currency)


def _differences(provider: PaymentProvider, line: SettlementLine, fact: _Fact) -> list[Found]:
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


# --- settlement lines ------------------------------------------------------------------------------------------------


def _book(provider: str, day: date, lines: list[tuple[SettlementLine, _Fact]]) -> dict[str, bool | None]:
    """For each line, by its journal: True if it was booked now, as new or changed; None when the journal is settled on
    another day, whose newest file has it too. The unique indexes decide.
    """
    made, at = _insert(provider, day, lines), clock.now()
    others = {fact.key for line, fact in lines if line.id not in made}
    known = {
        row.fact: row
        for row in db.session.scalars(
            select(SettlementLineRow).where(SettlementLineRow.provider == provider, SettlementLineRow.fact.in_(others)),
            execution_options={"populate_existing": True},
        )
    }
    free = _left_behind(provider, others)
    booked: dict[str, bool | None] = {}
    for line, fact in lines:
        row = known.get(fact.key)
        if line.id in made:
            _post(f"settled:{provider}:{line.id}", _sides(provider, line.money, line.fee), fact.order_id)
            booked[fact.key] = True
        elif row is None or (row.day != day and (row.day, row.fact) not in free):
            booked[fact.key] = None
        else:
            booked[fact.key] = _correct(row, day, line, fact, at)
    return booked


def _left_behind(provider: str, facts: Iterable[str]) -> set[tuple[date, str]]:
    """Days, and the journals that they settled by a file of which a newer one no longer has them: another day may
    settle those.
    """
    missing = select(Discrepancy.day, Discrepancy.about).where(
        Discrepancy.provider == provider,
        Discrepancy.cause == "missing_there",
        Discrepancy.closed_at.is_(None),
        Discrepancy.about.in_(facts),
    )
    return {(row.day, row.about) for row in db.session.execute(missing)}


def _insert(provider: str, day: date, lines: list[tuple[SettlementLine, _Fact]]) -> set[str]:
    """Insert new lines and return their ids."""
    at = clock.now()
    rows = [
        {
            "provider": provider,
            "line_id": line.id,
            "day": day,
            "kind": line.kind,
            "fact": fact.key,
            "amount": line.money.amount,
            "fee": line.fee.amount,
            "currency": line.money.currency,
            "at": line.at,
            "booked_at": at,
            "version": 0,
        }
        for line, fact in lines
    ]
    if not rows:
        return set()
    made = insert(SettlementLineRow).values(rows).on_conflict_do_nothing().returning(SettlementLineRow.line_id)
    return set(db.session.scalars(made))


def _correct(row: SettlementLineRow, day: date, line: SettlementLine, fact: _Fact, at: datetime) -> bool:
    """Book the difference when the line has changed or now belongs to another day; return True if so.

    The row keeps the line's first id, which is part of the keys of its journals.
    """
    before = Money(row.amount, row.currency), Money(row.fee, row.currency)
    if (row.day, *before) == (day, line.money, line.fee):
        return False
    version = row.version + 1
    corrected = changed(
        update(SettlementLineRow)
        .where(SettlementLineRow.fact == row.fact, SettlementLineRow.version == row.version)
        .values(
            version=version,
            booked_at=at,
            day=day,
            amount=line.money.amount,
            fee=line.fee.amount,
            currency=line.money.currency,
        )
    )
    if corrected and before != (line.money, line.fee):
        undone = [(account, money * -1) for account, money in _sides(row.provider, *before)]
        sides = undone + _sides(row.provider, line.money, line.fee)
        _post(f"settled:{row.provider}:{row.line_id}:{version}", sides, fact.order_id)
    return bool(corrected)


def _sides(provider: str, money: Money, fee: Money) -> list[tuple[str, Money]]:
    """Journal of a settled line: debit bank and fees, credit the acquirer's receivable."""
    sides = [(chart.BANK, money + fee * -1), (chart.FEES, fee), (chart.receivable(provider), money * -1)]
    return [(account, part) for account, part in sides if part.amount]


def _post(key: str, sides: list[tuple[str, Money]], order_id: int | None) -> None:
    if sides:
        book.post(key, "settled", sides, order_id=order_id)
    for account, money in sides:
        if account == chart.BANK:
            funds.received(money)


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
