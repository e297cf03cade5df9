"""Decide whether units can be returned. Pure: no database, no Flask, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shop.core import text
from shop.core.errors import BadInput, Refusal
from shop.core.sentences import sentence
from shop.orders.states import OrderState
from shop.returns.snapshot import ReturnRow, Snapshot
from shop.returns.states import ReturnReason, ReturnState

MOST = 20
"""Returns of one order, withdrawn and declined ones included."""
LONGEST_COMMENT = 500
"""Characters of the customer's text."""
LONGEST_KEY = 64
RETURNABLE = frozenset({OrderState.PAID, OrderState.PARTIALLY_REFUNDED})
"""States of orders whose units can be returned: all money of the others is refunded, or was never taken."""


@dataclass(frozen=True)
class Wanted:
    """A request: units by SKU, the reason, and a text of the customer."""

    units: Mapping[str, int]
    reason: ReturnReason
    comment: str = ""

    @classmethod
    def of(cls, units: Mapping[str, int], reason: str, comment: str) -> Wanted:
        """A request as it was typed. Raises BadInput `unknown_reason` and `bad_comment`."""
        if reason not in tuple(ReturnReason):
            raise BadInput("unknown_reason", sentence("Choose a reason for the return."), field="reason")
        tidy = text.tidy(comment)
        if len(tidy) > LONGEST_COMMENT or text.is_unusable(tidy):
            message = sentence(
                "Use at most %(number)s characters, without control characters.", number=str(LONGEST_COMMENT)
            )
            raise BadInput("bad_comment", message, field="comment")
        return cls({sku: number for sku, number in units.items() if number}, ReturnReason(reason), tidy)


def refusal(seen: Snapshot, now: datetime, days: int) -> Refusal | None:
    """Reason that a customer can request no return of the order now, if any: `not_returnable`, `too_many_returns`,
    `nothing_to_return`, or `return_too_late`, which staff may overrule.
    """
    if seen.state not in RETURNABLE or seen.sent.since is None:
        return Refusal("not_returnable", sentence("The items of this order cannot be returned."))
    if len(seen.returns) >= MOST:
        return Refusal(
            "too_many_returns", sentence("There are too many returns of this order. Please contact the shop.")
        )
    if not any(seen.left().values()):
        return Refusal("nothing_to_return", sentence("All items of this order have been returned."))
    if now > seen.sent.since + timedelta(days=days):
        return Refusal("return_too_late", sentence("The time to return items of this order has ended."))
    return None


def request(seen: Snapshot, wanted: Wanted, now: datetime, days: int, *, for_customer: bool) -> None:
    """Check a request; one of staff for a customer has no deadline.

    Raises what `refusal` gives; BadInput `nothing_chosen` and `unknown_line`; Refusal `returned_before`.
    """
    refused = refusal(seen, now, days)
    if refused is not None and not (for_customer and refused.code == "return_too_late"):
        raise refused
    if unknown := [sku for sku in wanted.units if sku not in seen.sent.units]:
        raise BadInput("unknown_line", sentence("This order has no such item."), sku=unknown[0])
    if not wanted.units or min(wanted.units.values()) < 1:
        raise BadInput("nothing_chosen", sentence("Choose at least one item to return."), field="units")
    left = seen.left()
    for sku, number in wanted.units.items():
        if number > left[sku]:
            message = sentence(
                "You can return at most %(quantity)s × %(name)s.", quantity=str(left[sku]), name=seen.names[sku]
            )
            raise Refusal("returned_before", message, sku=sku, left=left[sku])


def is_same(earlier: ReturnRow, wanted: Wanted) -> bool:
    """True if the return was requested with exactly this content."""
    units = {sku: line.quantity for sku, line in earlier.lines.items()}
    return (units, earlier.reason, earlier.comment) == (dict(wanted.units), wanted.reason, wanted.comment)


def withdraw(one: ReturnRow) -> bool:
    """True if a return is to be withdrawn, False if it is already. Raises Refusal `not_withdrawn`."""
    if one.state == ReturnState.WITHDRAWN:
        return False
    if one.state not in (ReturnState.REQUESTED, ReturnState.ACCEPTED):
        raise Refusal("not_withdrawn", sentence("This return can no longer be withdrawn."))
    return True
