"""Refunds of a payment and what of it can be refunded, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from shop.core.db import db
from shop.core.errors import BadInput
from shop.core.money import Money
from shop.payments.order_money import load
from shop.payments.order_money.snapshot import CaptureRow
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.refunds import refundable


@dataclass(frozen=True)
class RefundableCapture:
    """A capture of a payment, and how much of it can be refunded now."""

    capture: CaptureRow
    refundable: Money


def captures(payment: Payment) -> list[RefundableCapture]:
    """The captures of a payment, the one that pays the order first."""
    seen = load.snapshot(payment.order_id, lock=False)
    mine = sorted((one for one in seen.captures if one.payment_id == payment.id), key=lambda one: not one.pays_order)
    return [RefundableCapture(one, Money(max(0, seen.refundable(one)), one.currency)) for one in mine]


def to_refund(payment: Payment, capture_id: int | None = None) -> RefundableCapture:
    """The capture of a payment with this id, else the only one from which something can be refunded, else the first.

    Raises Refusal `not_refundable` without a capture, and BadInput `choose_capture` when several can be refunded and
    none is named, or another one is named; details `captures` are those that can be.
    """
    found = captures(payment)
    if not found:
        raise refundable.only(Money(0, payment.currency))
    possible = [one for one in found if one.refundable.amount] or found[:1]
    named = [one for one in (found if capture_id else possible) if capture_id in (None, one.capture.id)]
    if len(named) == 1:
        return named[0]
    listed = [{"id": one.capture.id, "refundable": one.refundable.amount} for one in possible]
    raise BadInput("choose_capture", "Name a capture of this payment as `capture_id`.", captures=listed)


def of_payment(payment_id: str, *, limit: int, offset: int = 0) -> tuple[Sequence[Refund], int]:
    """A page of the refunds of a payment, newest first, and the number of all."""
    of_captures = select(Capture.id).where(Capture.payment_id == payment_id)
    mine = Refund.capture_id.in_(of_captures) | (Refund.payment_id == payment_id)
    total = db.session.scalar(select(func.count()).select_from(Refund).where(mine)) or 0
    newest = select(Refund).where(mine).order_by(Refund.created_at.desc(), Refund.id.desc())
    return db.session.scalars(newest.limit(limit).offset(offset)).all(), total
