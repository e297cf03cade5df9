"""Decide what arrived units change, and from which money they are refunded. Pure: no database, no Flask, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.payments.order_money import snapshot as order_money
from shop.returns import amounts
from shop.returns.amounts import Share
from shop.returns.snapshot import LineRow, ReturnRow, Snapshot

Arrived = Mapping[str, tuple[int, int]]
"""Units by SKU that arrived: put back into stock, and not."""


@dataclass(frozen=True)
class Part:
    """A part of a refund: of a capture, or of the store credit that paid the order for None."""

    capture_id: int | None
    amount: int


def receive(seen: Snapshot, one: ReturnRow, arrived: Arrived) -> tuple[dict[str, LineRow], Share]:
    """The lines of a return with the units that arrived, and what those cost.

    Raises BadInput `unknown_line`, `bad_quantity`, and `nothing_arrived`: a parcel that never comes is declined.
    """
    if unknown := [sku for sku in arrived if sku not in one.lines]:
        raise BadInput("unknown_line", f"This return has no line {unknown[0][:64]}.")
    lines = {}
    for sku, line in one.lines.items():
        restocked, not_restocked = arrived.get(sku, (0, 0))
        if min(restocked, not_restocked) < 0 or restocked + not_restocked > line.quantity:
            message = f"Of {seen.names[sku]} at most {line.quantity} can arrive, restocked and not restocked together."
            raise BadInput("bad_quantity", message)
        lines[sku] = LineRow(line.quantity, restocked, not_restocked)
    now = {sku: line.arrived for sku, line in lines.items() if line.arrived}
    if not now:
        raise BadInput("nothing_arrived", "Enter the units that arrived. Decline the return if none did.")
    return lines, amounts.share(seen.price, seen.arrived(), now)


def refundable(one: ReturnRow, money: order_money.Snapshot) -> int:
    """Money that a return can refund now: the price of its units, as far as money that paid the order is left."""
    return min(one.amount, sum(part.amount for part in _sources(money)))


def parts(one: ReturnRow, money: order_money.Snapshot, granted: Money, expected: int) -> list[Part]:
    """The refunds that sum to `granted`: of captured money first, then of store credit that paid the order.

    Raises BadInput `bad_amount`, and Refusal `not_refundable` (details `refundable` in minor units) if less can be
    refunded, or if that is not `expected`, the number that the reader saw.
    """
    possible = refundable(one, money)
    if granted.currency != money.order.currency or granted.amount <= 0:
        raise BadInput("bad_amount", f"Enter an amount in {money.order.currency} greater than zero.")
    if granted.amount > possible or expected != possible:
        most = Money(possible, granted.currency).with_code()
        message = f"For this return {most} can be refunded now. Nothing was requested."
        raise Refusal("not_refundable", message, refundable=possible)
    found, left = [], granted.amount
    for source in _sources(money):
        amount = min(left, source.amount)
        if amount:
            found.append(Part(source.capture_id, amount))
            left -= amount
    return found


def _sources(money: order_money.Snapshot) -> list[Part]:
    """The money that paid the order and that is not refunded yet."""
    of_captures = [Part(one.id, max(0, money.refundable(one))) for one in money.captures if one.pays_order]
    return [*of_captures, *([Part(None, max(0, money.credit.left))] if money.credit else [])]
