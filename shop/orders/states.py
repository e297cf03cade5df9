"""The states of an order and every legal move between them, as data. Pictures and tests are made from this table."""

from __future__ import annotations

from dataclasses import dataclass

PENDING = "PENDING"
WAITING_PAYMENT = "WAITING_PAYMENT"
FAILED = "FAILED"
PAID = "PAID"
EXPIRED = "EXPIRED"
CANCELLED = "CANCELLED"
PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
REFUNDED = "REFUNDED"

STATES = (PENDING, WAITING_PAYMENT, FAILED, PAID, EXPIRED, CANCELLED, PARTIALLY_REFUNDED, REFUNDED)
PAYABLE = frozenset({PENDING, WAITING_PAYMENT, FAILED})
"""Stock is held, and money that arrives makes the order PAID."""
UNPAID_END = frozenset({EXPIRED, CANCELLED})
ENDED = frozenset({PAID, EXPIRED, CANCELLED, PARTIALLY_REFUNDED, REFUNDED})


@dataclass(frozen=True)
class Move:
    """From any of `sources` to `target`, because of one thing that happened. A correction repairs what was believed
    before.
    """

    sources: frozenset[str]
    target: str
    because: str
    says: str
    correction: bool = False


def _move(sources: tuple[str, ...], target: str, because: str, says: str, *, correction: bool = False) -> Move:
    return Move(frozenset(sources), target, because, says, correction)


MOVES: tuple[Move, ...] = (
    _move((PENDING, FAILED), WAITING_PAYMENT, "payment_opened", "a provider opened a payment"),
    _move((PENDING, WAITING_PAYMENT, FAILED), PAID, "captured", "captured; amount and currency match"),
    _move((PENDING,), PAID, "nothing_left_to_pay", "store credit covered all of it"),
    _move((PENDING, WAITING_PAYMENT), FAILED, "opening_refused", "the provider refused to open a payment"),
    _move((PENDING, WAITING_PAYMENT), FAILED, "payment_ended", "the payment ended without money"),
    _move((PENDING, WAITING_PAYMENT, FAILED), EXPIRED, "time_over", "pay_by passed, the provider was asked"),
    _move(
        (PENDING, WAITING_PAYMENT, FAILED), CANCELLED, "cancelled", "buyer or staff cancelled, the provider was asked"
    ),
    _move((EXPIRED, CANCELLED), PAID, "paid_in_time_seen_late", "captured in time, heard late", correction=True),
    _move(
        (PENDING, WAITING_PAYMENT, FAILED, EXPIRED, CANCELLED),
        PAID,
        "mismatch_accepted",
        "staff accepted another amount",
        correction=True,
    ),
    _move((PAID,), PARTIALLY_REFUNDED, "refund_done", "part of the money went back"),
    _move((PAID, PARTIALLY_REFUNDED), REFUNDED, "refund_done", "all of the money went back"),
    _move((PARTIALLY_REFUNDED, REFUNDED), PAID, "refund_failed_later", "a refund bounced", correction=True),
    _move((REFUNDED,), PARTIALLY_REFUNDED, "refund_failed_later", "a refund bounced", correction=True),
)


def sources(target: str, because: str) -> frozenset[str]:
    """The states from which `because` may lead to `target`. Raises KeyError when the table knows no such move."""
    found = [move.sources for move in MOVES if (move.target, move.because) == (target, because)]
    if not found:
        raise KeyError(f"no move to {target} because of {because}")
    return frozenset().union(*found)


def is_legal(source: str, target: str) -> bool:
    """Whether any move leads from `source` to `target`."""
    return any(source in move.sources and target == move.target for move in MOVES)
