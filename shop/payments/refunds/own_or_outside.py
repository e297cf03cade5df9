"""Decide whether a refund that an acquirer reports is one of our refunds. Pure.

An id of ours in the report is no proof: people copy references, and a restored backup may lack refunds. The report is
about our refund only when the money fits and we have begun to send it.

A refund row is always committed before the refund is sent. So an id that is not found under the order's lock is not
ours: the acquirer cannot have learned it from us.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from shop.core.money import Money
from shop.payments.order_money.snapshot import RefundRow, Snapshot
from shop.payments.providers.interface import RefundFact
from shop.payments.records.types import RefundDestination


def name_of(provider: str, their_id: str) -> str:
    """Our id of a refund that was made at `provider` and has the id `their_id` there."""
    return f"{provider}:{their_id}"


@dataclass(frozen=True)
class OwnRefund:
    """The fields of our refund that identify a reported refund."""

    provider: str
    capture_id: str
    payment_id: str
    money: Money
    is_begun: bool


@dataclass(frozen=True)
class KnownRefunds:
    """Refunds that a report may be about: those of ours by id, and the ids of those made at the acquirer."""

    own: Mapping[str, OwnRefund]
    outside: Set[str]


def known_in(seen: Snapshot) -> KnownRefunds:
    """The refunds of a snapshot."""
    outside = {row.id for row in seen.refunds if row.is_made_outside}
    return KnownRefunds({row.id: own for row in seen.refunds if (own := _own(seen, row))}, outside | seen.used_ids)


def is_own(known: KnownRefunds, provider: str, fact: RefundFact, *, money: bool = True) -> bool:
    """True if the refund that `provider` reports is our refund with the id in its reference.

    Provider, capture (the payment where no capture is reported) and amount must fit, and we must have begun to send it.
    A refund that is booked as made at the acquirer stays so. Without `money` the amount is not compared.
    """
    own = known.own.get(fact.reference)
    if own is None or own.provider != provider or not own.is_begun:
        return False
    if fact.id and name_of(provider, fact.id) in known.outside:
        return False
    fits = own.capture_id == fact.capture_id if fact.capture_id else own.payment_id == fact.payment
    return fits and (not money or own.money == fact.money)


def _own(seen: Snapshot, refund: RefundRow) -> OwnRefund | None:
    capture = seen.capture_of(refund)
    if (
        refund.is_made_outside
        or refund.destination != RefundDestination.PROVIDER
        or refund.payment_id is None
        or capture is None
    ):
        return None
    provider = seen.payment(refund.payment_id).provider
    return OwnRefund(provider, capture.capture_id, refund.payment_id, refund.money, refund.is_begun)
