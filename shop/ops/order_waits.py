"""Sentences about what an order waits for that no automatic step brings, and why it has no refund. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shop.fulfilment.find import Shipping
from shop.ops.formats import shop_time
from shop.ops.order_forms import Requested
from shop.payments.order_money.snapshot import Snapshot
from shop.payments.providers.types import DisputeState
from shop.payments.refunds import refundable
from shop.returns.models import Return
from shop.returns.states import ReturnState


def waits(seen: Snapshot, refunds: Sequence[Requested]) -> Iterator[str]:
    """Decisions of staff and of banks that the order waits for."""
    if seen.order.review_since:
        yield "a decision of staff about a capture"
    for dispute in seen.disputes:
        if dispute.state is DisputeState.OPEN:
            after = f" after {shop_time(dispute.respond_by)}" if dispute.respond_by else ""
            yield f"the bank's decision{after} about the {dispute.kind} of {dispute.money.with_code()}"
    for one in refunds:
        if one.refund.awaits_approval:
            yield f"a second person's approval of the refund of {one.refund.money.with_code()}"
        elif one.again:
            yield f"a decision of staff about the refund of {one.refund.money.with_code()} that failed"


def for_goods(shipping: Shipping | None) -> Iterator[str]:
    """Packing and shipping that a paid order waits for."""
    if shipping is None:
        return
    if left := sum(line.quantity for line in shipping.left):
        yield f"{left} unit{'' if left == 1 else 's'} to be packed"
    if packed := sum(not package.is_shipped for package in shipping.packages):
        yield f"{packed} package{'' if packed == 1 else 's'} to be shipped"


def of_returns(returns: Sequence[Return]) -> Iterator[str]:
    """Steps that the returns of the order wait for."""
    for one in returns:
        if one.state in _OF_RETURN:
            yield f"{_OF_RETURN[one.state]} return {one.reference}"


_OF_RETURN = {
    ReturnState.REQUESTED: "a decision of staff about",
    ReturnState.ACCEPTED: "the parcel of",
    ReturnState.RECEIVED: "the refund of",
}


def no_refund(seen: Snapshot) -> str:
    """Reason why nothing can be refunded; empty for an order without money, or if something can be refunded."""
    is_possible = any(seen.refundable(one) > 0 for one in seen.captures) or (seen.credit and seen.credit.left)
    return refundable.refusal(seen, seen.captures).message if seen.captures and not is_possible else ""
