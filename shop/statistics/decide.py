"""Count facts as figures of their days, add figures up, and percentiles of a histogram. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shop.core.event_types import EventKind
from shop.orders.states import Reason
from shop.payments.records.types import Allocation

VERSION = 1
"""Version of the figures. Raise it when facts are counted differently: all roll-ups are then made again."""


class Subject(StrEnum):
    """Kind of a figure. The values are stored."""

    ORDER = "order"
    PAYMENT = "payment"
    CAPTURE = "capture"
    SOURCE = "source"
    """Captures that paid their order, by the source of the update that reported them."""
    TIME = "time"
    """The same captures by the time from the capture at the acquirer to PAID: states are upper limits of `LIMITS`."""
    REFUND = "refund"
    DISPUTE = "dispute"
    DECLINE = "decline"
    """Declined attempts by the provider's code."""
    ALERT = "alert"
    """Alerts by rule, without currency and provider."""


PLACED, PAID, EXPIRED, CANCELLED = "placed", "paid", "expired", "cancelled"
INITIATED, FAILED = "initiated", "failed"
REQUESTED, DONE, REJECTED = "requested", "done", "rejected"
OPENED, WON, LOST = "opened", "won", "lost"
CARD, STORE, OTHER = "card", "store", "other"
"""Methods of captures. A capture whose method was not known with it has none."""

ORDER_MOVES: Mapping[str, str] = {
    Reason.CAPTURED: PAID,
    Reason.NOTHING_LEFT_TO_PAY: PAID,
    Reason.PAID_IN_TIME_SEEN_LATE: PAID,
    Reason.MISMATCH_ACCEPTED: PAID,
    Reason.TIME_OVER: EXPIRED,
    Reason.CANCELLED: CANCELLED,
}
"""States of orders that are counted, by the reason of the transition. A failed refund makes an order PAID again, which
is not counted.
"""
PAYMENT_INITIATED, ALERT_RAISED = "payment.initiated", EventKind.ALERT_RAISED
"""Kinds of facts that are no events of an order's history."""
_PLAIN: Mapping[str, tuple[Subject, str]] = {
    EventKind.ORDER_PLACED: (Subject.ORDER, PLACED),
    PAYMENT_INITIATED: (Subject.PAYMENT, INITIATED),
    EventKind.PAYMENT_FAILED: (Subject.PAYMENT, FAILED),
    EventKind.PAYMENT_CANCELLED: (Subject.PAYMENT, CANCELLED),
    EventKind.PAYMENT_EXPIRED: (Subject.PAYMENT, EXPIRED),
    EventKind.REFUND_REQUESTED: (Subject.REFUND, REQUESTED),
    EventKind.REFUND_DONE: (Subject.REFUND, DONE),
    EventKind.REFUND_REJECTED: (Subject.REFUND, REJECTED),
    EventKind.DISPUTE_OPEN: (Subject.DISPUTE, OPENED),
    EventKind.DISPUTE_WON: (Subject.DISPUTE, WON),
    EventKind.DISPUTE_LOST: (Subject.DISPUTE, LOST),
}
"""Figures of kinds whose state says nothing more."""
EVENTS = (
    *(kind for kind in _PLAIN if kind != PAYMENT_INITIATED),
    *(EventKind.ORDER_MOVED, EventKind.PAYMENT_CAPTURED, EventKind.PAYMENT_DECLINED),
)
"""Kinds of events of an order's history that are facts."""
_METHODS = {"card": CARD, "convenience store": STORE}
LIMITS = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 300, 600, 1800, 3600, 21600, 86400, float("inf"))
"""Upper limits, in seconds, of the classes in which times are counted. Classes of days and providers can be added."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact that never changes. `state` is the reason, the allocation, the code or the rule, by `kind`; `amount` is in
    minor units. `source` and `captured_at` are those of a capture that paid its order.
    """

    at: datetime
    kind: str
    state: str = ""
    currency: str = ""
    amount: int = 0
    provider: str = ""
    method: str = ""
    source: str = ""
    captured_at: datetime | None = None


class Figure(NamedTuple):
    """A figure without its day. Currency, provider and method are empty where a fact has none."""

    subject: str
    state: str
    currency: str = ""
    provider: str = ""
    method: str = ""


class Sum(NamedTuple):
    """Number of facts, and the sum of their amounts in minor units of the figure's currency."""

    number: int = 0
    amount: int = 0

    def plus(self, other: Sum) -> Sum:
        return Sum(self.number + other.number, self.amount + other.amount)


NONE = Sum()
Figures = Mapping[tuple[date, Figure], Sum]


def count(facts: Iterable[Fact], zone: ZoneInfo) -> Figures:
    """The figures of facts by day. Days begin at midnight in `zone`."""
    found: dict[tuple[date, Figure], list[int]] = defaultdict(lambda: [0, 0])
    for fact in facts:
        day = fact.at.astimezone(zone).date()
        for figure, amount in _figures(fact):
            counted = found[day, figure]
            counted[0] += 1
            counted[1] += amount
    return {key: Sum(number, amount) for key, (number, amount) in found.items()}


def _figures(fact: Fact) -> Iterator[tuple[Figure, int]]:
    """The figures that a fact adds one to, with the amount that it adds."""
    where = (fact.currency, fact.provider)
    if fact.kind in _PLAIN:
        yield Figure(*_PLAIN[fact.kind], *where), fact.amount
    elif fact.kind == EventKind.ORDER_MOVED:
        if fact.state in ORDER_MOVES:
            yield Figure(Subject.ORDER, ORDER_MOVES[fact.state], *where), fact.amount
    elif fact.kind == EventKind.PAYMENT_CAPTURED:
        method = _METHODS.get(fact.method, OTHER) if fact.method else ""
        yield Figure(Subject.CAPTURE, fact.state, *where, method), fact.amount
        if fact.state == Allocation.PAYS_ORDER and fact.captured_at is not None:
            yield Figure(Subject.SOURCE, fact.source, *where), fact.amount
            yield Figure(Subject.TIME, limit(fact.at - fact.captured_at), *where), 0
    elif fact.kind == EventKind.PAYMENT_DECLINED:
        yield Figure(Subject.DECLINE, fact.state, *where), 0
    elif fact.kind == ALERT_RAISED:
        yield Figure(Subject.ALERT, fact.state), 0


def limit(took: timedelta) -> str:
    """The upper limit of the class of a time, as the state of a figure. The clock of an acquirer may be ahead."""
    seconds = max(0.0, took.total_seconds())
    return f"{next(one for one in LIMITS if seconds <= one):g}"


def share(part: int, whole: int) -> float | None:
    """The share in percent, rounded down to a tenth, so that only all is 100; None of nothing."""
    return int(1000 * part / whole) / 10 if whole else None
