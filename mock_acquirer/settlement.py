"""Settlement of one day: captures, refunds and disputes with their fees, and seeded discrepancies.

A dialect's `Settlement` states the day's bounds, the fees and the file formats.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from sqlalchemy import or_, select

from mock_acquirer import clock
from mock_acquirer.db import db
from mock_acquirer.errors import invalid, not_found
from mock_acquirer.models import Capture, Dispute, Payment, Refund

MOST_DISCREPANCIES = 100
LARGEST_DRIFT = 9
DRIFTS = ("missing", "unknown", "fee_drift", "amount_drift")


@dataclass(frozen=True)
class Line:
    """A settlement line. `amount` is signed (outgoing money is negative), `fee` is the acquirer's share of it.

    `kind` is capture, refund, refund_failed (the refund's money came back), dispute or dispute_won. Both amounts are
    in minor units.
    """

    kind: str
    payment: Payment
    capture: Capture
    amount: int
    fee: int
    at: datetime
    refund: Refund | None = None
    dispute: Dispute | None = None

    @property
    def source(self) -> str:
        """Our id of the capture, refund or dispute."""
        moved = self.refund or self.dispute or self.capture
        return moved.id

    @property
    def net(self) -> int:
        return self.amount - self.fee

    @property
    def currency(self) -> str:
        return self.capture.currency


@dataclass(frozen=True)
class File:
    """A settlement file."""

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Settlement:
    """A dialect's settlement rules.

    `day` is the zone whose midnight ends a day. The fee of a capture is `fee_bps` hundredths of a per cent, rounded to
    whole `unit`s (minor units); fees are kept unless `gives_fee_back(refund)`. `files` renders the lines by format; the
    first
    is the default.
    """

    day: tzinfo
    fee_bps: int
    currency: str
    files: Mapping[str, Callable[[Sequence[Line]], File]]
    unit: int = 1
    gives_fee_back: Callable[[Refund], bool] = field(default=lambda refund: False)

    def fee(self, amount: int) -> int:
        """The fee of a capture, half a unit rounded up."""
        share = 10_000 * self.unit
        return (amount * self.fee_bps * 2 + share) // (2 * share) * self.unit

    def bounds(self, day: date) -> tuple[datetime, datetime]:
        """(first moment, first moment of the next day) in UTC. Refuses (422) dates at the ends of the calendar."""
        begin = datetime.combine(day, time(), self.day)
        try:
            return begin.astimezone(UTC), (begin + timedelta(days=1)).astimezone(UTC)
        except OverflowError as far:
            raise invalid("date", "The date is out of range.") from far


@dataclass(frozen=True)
class Discrepancy:
    """A seeded difference between the file and the payments."""

    kind: str
    source: str
    was: int | None
    shown: int | None


def lines(run: str, dialect: str, settlement: Settlement, day: date) -> list[Line]:
    """All lines of the day, in order of time. Refuses (404) a day that has not begun."""
    begin, end = settlement.bounds(day)
    if begin > clock.now(run):
        raise not_found(f"The day {day} has not begun on the clock of the run {run}.")
    return between(run, dialect, settlement, begin, end)


def between(run: str, dialect: str, settlement: Settlement, begin: datetime, end: datetime) -> list[Line]:
    """All lines from `begin` until before `end`, in order of time."""
    here = (Payment.run == run, Payment.dialect == dialect)
    found = [*_captured(settlement, here, begin, end), *_refunded(settlement, here, begin, end)]
    found += _disputed(here, begin, end)
    return sorted(found, key=lambda line: (line.at, line.source, line.kind))


def _captured(settlement: Settlement, here: Iterable[Any], begin: datetime, end: datetime) -> list[Line]:
    rows = select(Capture, Payment).join(Payment, Payment.id == Capture.payment_id)
    rows = rows.where(*here, Capture.captured_at >= begin, Capture.captured_at < end)
    return [
        Line("capture", payment, one, one.amount, settlement.fee(one.amount), one.captured_at)
        for one, payment in db.session.execute(rows)
    ]


def _refunded(settlement: Settlement, here: Iterable[Any], begin: datetime, end: datetime) -> list[Line]:
    """Refunds on the day on which they succeeded, and again on the day on which they failed later."""
    rows = select(Refund, Capture, Payment).join(Capture, Capture.id == Refund.capture_id)
    rows = rows.join(Payment, Payment.id == Refund.payment_id).where(*here, Refund.succeeded_at.is_not(None))
    rows = rows.where(or_(Refund.succeeded_at >= begin, Refund.changed_at >= begin), Refund.succeeded_at < end)
    found = []
    for one, capture, payment in db.session.execute(rows):
        fee = settlement.fee(one.amount) if settlement.gives_fee_back(one) else 0
        at = one.succeeded_at or one.changed_at
        found.append(Line("refund", payment, capture, -one.amount, -fee, at, refund=one))
        if one.state == "failed":
            found.append(Line("refund_failed", payment, capture, one.amount, fee, one.changed_at, refund=one))
    return [line for line in found if begin <= line.at < end]


def _disputed(here: Iterable[Any], begin: datetime, end: datetime) -> list[Line]:
    rows = select(Dispute, Capture, Payment).join(Capture, Capture.id == Dispute.capture_id)
    rows = rows.join(Payment, Payment.id == Dispute.payment_id)
    rows = rows.where(*here, Dispute.kind == "chargeback", Dispute.state != "scheduled", Dispute.opened_at < end)
    found = []
    for one, capture, payment in db.session.execute(rows):
        found.append(Line("dispute", payment, capture, -one.amount, 0, one.opened_at, dispute=one))
        if one.state == "won":
            found.append(
                Line("dispute_won", payment, capture, one.amount, 0, one.closed_at or one.opened_at, dispute=one)
            )
    return [line for line in found if begin <= line.at < end]


# --- discrepancies


@dataclass(frozen=True)
class Draws:
    """Pseudo-random numbers that depend on the seed, the file and their purpose alone."""

    seed: int
    file: str

    def digest(self, *of: object) -> bytes:
        return hmac.new(str(self.seed).encode(), ".".join((self.file, *map(str, of))).encode(), hashlib.sha256).digest()

    def between(self, least: int, most: int, *of: object) -> int:
        return least + int.from_bytes(self.digest(*of)[:8]) % (most - least + 1)


def disagree(
    settlement: Settlement, found: list[Line], day: date, count: int, draws: Draws
) -> tuple[list[Line], list[Discrepancy]]:
    """The lines with `count` seeded discrepancies (missing, unknown, fee drift, amount drift, in turn), and their list.

    Each line gets at most one; when there are too few lines, further discrepancies are unknown lines. The same seed
    changes
    the same lines, as far as the merchant's references identify them.
    """
    order = sorted(found, key=lambda line: draws.digest("pick", line.payment.number, line.kind, line.amount))
    bent: dict[int, Line | None] = {}
    made, unknown = [], []
    for index in range(count):
        kind = DRIFTS[index % len(DRIFTS)]
        if kind == "unknown" or not order:
            line = _unknown(settlement, day, draws, index)
            unknown.append(line)
            made.append(Discrepancy("unknown", line.source, None, line.amount))
            continue
        line = order.pop(0)
        by = settlement.unit * draws.between(1, LARGEST_DRIFT, kind, index)
        bent[id(line)], discrepancy = _bend(line, kind, by)
        made.append(discrepancy)
    kept = [after for after in (bent.get(id(line), line) for line in found) if after is not None]
    return sorted([*kept, *unknown], key=lambda line: line.at), made


def _bend(line: Line, kind: str, by: int) -> tuple[Line | None, Discrepancy]:
    """(the line as the file shows it, the description of its discrepancy)."""
    if kind == "missing":
        return None, Discrepancy(kind, line.source, line.amount, None)
    if kind == "fee_drift":
        return replace(line, fee=line.fee + by), Discrepancy(kind, line.source, line.fee, line.fee + by)
    return replace(line, amount=line.amount + by), Discrepancy(kind, line.source, line.amount, line.amount + by)


def _unknown(settlement: Settlement, day: date, draws: Draws, index: int) -> Line:
    """A capture that does not exist; the rows are not saved."""
    name = draws.digest("unknown", index).hex()[:30]
    at = settlement.bounds(day)[0] + timedelta(hours=12, seconds=index)
    amount = 100 * settlement.unit * draws.between(1, 500, "amount", index)
    payment = Payment(
        id=f"pay_{name}",
        number=0,
        merchant="demo",
        reference=f"UNKNOWN{name[:8].upper()}",
        method="card",
        brand="visa",
        last4="4242",
        wire={},
    )
    money = {"amount": amount, "currency": settlement.currency, "refunded": 0}
    capture = Capture(id=f"cap_{name}", position=1, captured_at=at, **money)
    return Line("capture", payment, capture, amount, settlement.fee(amount), at)


def file_of(
    run: str, dialect: str, settlement: Settlement, written: str, form: str = "", count: int = 0, seed: int = 0
) -> tuple[File, list[Discrepancy]]:
    """The file of the day `written` (as 2026-01-31) in the format `form` (empty: the default), with `count`
    discrepancies.

    Refuses with 422 an invalid date or format, with 404 a day that has not begun.
    """
    try:
        day = date.fromisoformat(written)
    except ValueError as wrong:
        raise invalid("date", "The date must be written as 2026-01-31.") from wrong
    render = settlement.files.get(form or next(iter(settlement.files)))
    if render is None:
        raise invalid("format", "The format must be one of " + ", ".join(settlement.files) + ".")
    found, made = lines(run, dialect, settlement, day), list[Discrepancy]()
    if count:
        found, made = disagree(settlement, found, day, count, Draws(seed, f"{dialect}.{day}"))
    return render(found), made


def sheet(header: Sequence[str], rows: Iterable[Sequence[object]], charset: str = "utf-8") -> File:
    """A CSV file with CRLF line ends; characters that the character set lacks are replaced."""
    written = io.StringIO(newline="")
    table = csv.writer(written)
    table.writerow(header)
    table.writerows(rows)
    return File(f"text/csv; charset={charset}", written.getvalue().encode(charset, "replace"))
