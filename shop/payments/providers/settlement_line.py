"""Settlement lines: what a settlement file of an acquirer says about one movement of money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shop.core.money import Money
from shop.payments.providers.storable import (
    Malformed,
    is_our_payment,
    keepable,
    keepable_money,
    keepable_time,
    printable,
)


class LineKind(StrEnum):
    """Kind of a settlement line. Lines of a file are applied in this order: captures before their refunds."""

    CAPTURE = "capture"
    REFUND_FAILED = "refund_failed"
    """Money of a refund that failed. It is applied before REFUND, the line of the completed refund."""
    REFUND = "refund"
    VOID = "void"
    """A refund that gives the fee back."""
    DISPUTE = "dispute"
    DISPUTE_WON = "dispute_won"
    OTHER = "other"
    """About no payment; staff look at it."""


_SIGN = {
    LineKind.CAPTURE: 1,
    LineKind.REFUND: -1,
    LineKind.VOID: -1,
    LineKind.REFUND_FAILED: 1,
    LineKind.DISPUTE: -1,
    LineKind.DISPUTE_WON: 1,
}
"""Sign of the amount of each kind of line, from our point of view."""


@dataclass(frozen=True)
class SettlementLine:
    """A movement in a settlement file. `id` identifies the line. `about` identifies the movement: their id of a capture
    or a dispute, our id of a refund; empty when the file does not say. `refund_id` is their id of a refund. `reference`
    is our payment id, if it says so. `money` is signed: refunds are negative. `fee` is the acquirer's fee; negative
    when it is returned. Raises Malformed.
    """

    id: str
    kind: LineKind
    about: str
    money: Money
    fee: Money
    at: datetime
    reference: str = ""
    capture_id: str = ""
    refund_id: str = ""

    def __post_init__(self) -> None:
        keepable(self.id, "the id of a line")
        if not is_our_payment(self.reference):
            object.__setattr__(self, "reference", printable(self.reference))
        for name in (self.about, self.capture_id, self.refund_id):
            keepable(name, "what the line is about", or_empty=True)
        keepable_time(self.at, "when the money moved")
        keepable_money(self.money, signed=True)
        keepable_money(self.fee, signed=True)
        if self.kind not in tuple(LineKind) or self.fee.currency != self.money.currency:
            raise Malformed("a line of a kind or in a currency that does not fit")
        if self.kind in _SIGN and self.money.amount * _SIGN[self.kind] <= 0:
            raise Malformed("a line whose money moves in the wrong direction, or none that moves")
