"""Refundable amounts and refusals. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shop.core.errors import Refusal
from shop.core.money import Money
from shop.payments.order_money.snapshot import CaptureRow, Snapshot
from shop.payments.providers.types import DisputeState


def refusal(seen: Snapshot, captures: Iterable[CaptureRow]) -> Refusal:
    """Refusal that says what of these captures can be refunded and what is disputed, in the currency of the first one.
    Its details have `refundable` and `disputed` in minor units.
    """
    captures = list(captures)
    same = [one for one in captures if one.currency == captures[0].currency]

    def total(amounts: Iterable[int]) -> Money:
        return Money(sum(amounts), captures[0].currency)

    return _refusal(
        total(seen.refundable(one) for one in same),
        total(seen.charged_back(one, DisputeState.OPEN) for one in same),
        total(seen.charged_back(one, DisputeState.LOST) for one in same),
    )


def only(rest: Money) -> Refusal:
    """Refusal that says that no more than `rest` can be refunded."""
    nothing = Money(0, rest.currency)
    return _refusal(rest, nothing, nothing)


def _refusal(rest: Money, disputed: Money, lost: Money) -> Refusal:
    sentences = []
    if disputed.amount:
        sentences.append(f"{disputed.with_code()} is in dispute and cannot be refunded while the dispute is open.")
    if lost.amount:
        sentences.append(f"The customer's bank has taken back {lost.with_code()}.")
    if rest.amount > 0:
        sentences.append(f"Only {rest.with_code()} can still be refunded.")
    else:
        sentences.append("Nothing else can be refunded." if sentences else "Nothing can be refunded any more.")
    numbers = {"refundable": max(0, rest.amount), "disputed": disputed.amount}
    return Refusal("not_refundable", " ".join(sentences), **numbers)
