"""Order of polls when more are due than a provider's rate limit allows.

Client networks take turns, so that a thousand orders from one network delay an order of another network by one query.
Orders whose page is open come first; the others keep a share of the queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

TURNS = (True, False, True, True)
"""Of four polls three are of orders whose page is open, and one, the second, is of the longest due of the others."""


@dataclass(frozen=True)
class DuePayment:
    """A payment to poll. `watched`: its order's page is open. `network` is empty if the client is unknown."""

    id: str
    order_id: int
    provider: str
    due_at: datetime
    watched: bool = False
    network: str = ""


def choose(due: Iterable[DuePayment], most: Mapping[str, int]) -> list[str]:
    """Ids of the payments to poll now, most urgent first, up to the limit of each named provider."""
    by_provider: dict[str, list[DuePayment]] = defaultdict(list)
    for payment in due:
        by_provider[payment.provider].append(payment)
    return [
        payment.id
        for provider, payments in sorted(by_provider.items())
        for payment in _in_order(payments)[: most.get(provider)]
    ]


def _in_order(payments: Sequence[DuePayment]) -> list[DuePayment]:
    watched = _in_rounds([payment for payment in payments if payment.watched])
    others = _in_rounds([payment for payment in payments if not payment.watched])
    merged: list[DuePayment] = []
    while watched and others:
        merged.append((watched if TURNS[len(merged) % len(TURNS)] else others).pop())
    return merged + (watched or others)[::-1]


def _in_rounds(payments: Sequence[DuePayment]) -> list[DuePayment]:
    """The least urgent first. In each round a client has one payment: of its orders in turn, the longest due first."""
    longest_due = sorted(payments, key=lambda payment: (payment.due_at, payment.id))
    in_order = _numbered(longest_due, lambda payment: payment.order_id)
    by_client = sorted(longest_due, key=lambda payment: (in_order[payment.id], payment.due_at, payment.id))
    rounds = _numbered(by_client, lambda payment: payment.network or payment.order_id)
    return sorted(payments, key=lambda payment: (rounds[payment.id], payment.due_at, payment.id), reverse=True)


def _numbered(payments: Iterable[DuePayment], group: Callable[[DuePayment], Hashable]) -> dict[str, int]:
    """Number of payments of the same group before each payment."""
    seen: dict[Hashable, int] = defaultdict(int)
    numbers: dict[str, int] = {}
    for payment in payments:
        numbers[payment.id] = seen[group(payment)]
        seen[group(payment)] += 1
    return numbers
