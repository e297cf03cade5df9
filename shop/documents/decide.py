"""Documents that the history of an order demands, and what they state. Pure: no database, no Flask, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shop.core.event_types import EventKind
from shop.core.line_kinds import LineKind
from shop.documents.kinds import DocumentKind, DocumentLineKind
from shop.orders.states import OrderState, Reason
from shop.pricing.split import Split, largest_remainder

PAID = "paid"
"""Cause of the receipt of an order."""
KINDS = frozenset({EventKind.ORDER_MOVED, EventKind.REFUND_DONE, EventKind.REFUND_REJECTED})
"""Kinds of events that may demand a document."""


class Happened(Protocol):
    """An event of an order's history."""

    @property
    def kind(self) -> str: ...

    @property
    def target(self) -> str | None: ...

    @property
    def because(self) -> str | None: ...

    @property
    def data(self) -> dict[str, Any]: ...


class Charged(Protocol):
    """A line of an order."""

    @property
    def kind(self) -> LineKind: ...

    @property
    def name(self) -> str: ...

    @property
    def quantity(self) -> int: ...

    @property
    def unit_amount(self) -> int: ...

    @property
    def rate(self) -> int | None: ...

    @property
    def is_included(self) -> bool: ...


@dataclass(frozen=True)
class Demand:
    """A document that the history of an order demands. `refund` is the refund that causes it, `refunded` what is
    refunded of the price after it.
    """

    kind: DocumentKind
    cause: str
    refund: str | None = None
    refunded: int = 0


@dataclass(frozen=True)
class Line:
    """A line of a document."""

    kind: DocumentLineKind
    name: str
    quantity: int
    unit_amount: int
    rate: int | None = None
    is_included: bool = False

    @property
    def amount(self) -> int:
        return self.quantity * self.unit_amount


@dataclass(frozen=True)
class Content:
    """The lines of a document, and the division of its total, which is the sum of the lines that are not included."""

    lines: tuple[Line, ...]
    split: Split


def credit_cause(refund: str) -> str:
    """Cause of the credit note of a refund."""
    return f"refund:{refund}"


def cancel_cause(refund: str) -> str:
    """Cause of the cancellation of a refund's credit note."""
    return f"cancel:{refund}"


def demands(history: Iterable[Happened], refunds: Mapping[str, int]) -> list[Demand]:
    """The documents that a history demands, in its order: a receipt for the payment, a credit note for each refund of
    it that is done, and a cancellation for each that has failed later.

    `refunds` has the refunds of money that pays the order; refunds of other money were never in a receipt. Nor was a
    refund that had failed when staff accepted the money.
    """
    found: dict[str, Demand] = {}
    refunded = 0
    for event in history:
        demand = _demand(event, found, refunds)
        if demand is None or demand.cause in found:
            continue
        if demand.refund is not None:
            amount = refunds[demand.refund]
            refunded += amount if demand.kind == DocumentKind.CREDIT_NOTE else -amount
        found[demand.cause] = replace(demand, refunded=refunded)
    return list(found.values())


def _demand(event: Happened, earlier: Mapping[str, Demand], refunds: Mapping[str, int]) -> Demand | None:
    if event.kind == EventKind.ORDER_MOVED:
        is_paid = event.target == OrderState.PAID and event.because != Reason.REFUND_FAILED_LATER
        return Demand(DocumentKind.RECEIPT, PAID) if is_paid else None
    refund = str((event.data or {}).get("refund", ""))
    if event.kind == EventKind.REFUND_DONE and refund in refunds and PAID in earlier:
        return Demand(DocumentKind.CREDIT_NOTE, credit_cause(refund), refund)
    if event.kind == EventKind.REFUND_REJECTED and credit_cause(refund) in earlier:
        return Demand(DocumentKind.CANCELLATION, cancel_cause(refund), refund)
    return None


def receipt(lines: Sequence[Charged], whole: Split, price: int) -> Content:
    """The receipt of an order with these lines and this division, which has cost `price` in the end."""
    stated = [_same(line) for line in lines]
    if price != whole.total:
        stated.append(Line(DocumentLineKind.DIFFERENCE, "", 1, price - whole.total))
    return Content(tuple(stated), Split(price, whole.tax, whole.delivery, whole.discount))


def correction(
    kind: DocumentKind, lines: Sequence[Charged], whole: Split, price: int, refunded: int, before: Split, step: int
) -> Content:
    """The credit note after which `refunded` is refunded, or the cancellation. `before` is what earlier credit notes
    sum to, less cancellations.

    After each of them they sum to the shares of `refunded`, as in the ledger, so that those of a full refund sum to the
    receipt. Of money that was refunded twice, once here and once at the acquirer, the part beyond the receipt is in no
    document; if one of the two fails, the other is still credited, and the cancellation states only the difference.
    """
    now = whole.first(min(refunded, price), price, step)
    older, newer = (before, now) if kind == DocumentKind.CREDIT_NOTE else (now, before)
    split = newer - older
    taxes = [line for line in lines if line.kind == LineKind.TAX]
    shares = _by_rate(taxes, older.tax, newer.tax, step)
    added = sum(share for line, share in zip(taxes, shares, strict=True) if not line.is_included)
    stated = [Line(DocumentLineKind.REFUND, "", 1, split.total - added)]
    stated += [
        Line(DocumentLineKind.TAX, line.name, 1, share, line.rate, line.is_included)
        for line, share in zip(taxes, shares, strict=True)
    ]
    return Content(tuple(stated), split)


def _by_rate(taxes: Sequence[Charged], older: int, newer: int, step: int) -> list[int]:
    """The shares of tax lines in what is credited from `older` to `newer`. Each line is divided cumulatively."""
    weights = [line.unit_amount for line in taxes]
    up_to = [largest_remainder(tax, weights, step) if taxes else [] for tax in (older, newer)]
    return [more - less for less, more in zip(*up_to, strict=True)]


def _same(line: Charged) -> Line:
    kind = DocumentLineKind(line.kind.value)
    return Line(kind, line.name, line.quantity, line.unit_amount, line.rate, line.is_included)


def sum_of(issued: Iterable[tuple[DocumentKind, Split]]) -> Split:
    """The sum of credit notes less their cancellations."""
    total = Split(0)
    for kind, split in issued:
        if kind == DocumentKind.CREDIT_NOTE:
            total = total - (Split(0) - split)
        elif kind == DocumentKind.CANCELLATION:
            total = total - split
    return total
