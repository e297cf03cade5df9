"""Limits of files that a person brings. They are no proof, so that no money arrives or leaves by the word of such a
file: the acquirer is asked about it, and a line is booked up to the amount of its journal.
"""

from __future__ import annotations

from sqlalchemy import select

from shop.core.db import db, transactional
from shop.core.money import Money
from shop.payments.polling import hint
from shop.payments.providers.interface import PaymentProvider, SettlementLine
from shop.payments.providers.settlement_line import LineKind
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.settlement.match import REFUNDS


def may_apply(line: SettlementLine) -> bool:
    """True if a line without a journal may be applied by the word of the file: it is about no payment. Pure."""
    return line.kind is LineKind.OTHER


def may_book(provider: PaymentProvider, line: SettlementLine, ours: Money) -> bool:
    """True if a line of a journal of `ours` brings no more money than that, takes no more, and gives back no more of
    the fee than was agreed. Pure.
    """
    if line.money.currency != ours.currency or not min(0, ours.amount) <= line.money.amount <= ours.amount:
        return False
    agreed = provider.contract_fee(line.kind, ours.amount)
    return line.fee.amount >= min(0, ours.amount if agreed is None else agreed)


@transactional
def request_query(provider: str, line: SettlementLine) -> None:
    """Make the payment of a line due for a query."""
    payment_id = line.reference
    if line.capture_id and db.session.get(Payment, payment_id) is None:
        by_capture = select(Capture.payment_id).where(
            Capture.provider == provider, Capture.capture_id == line.capture_id
        )
        payment_id = db.session.scalar(by_capture) or ""
    if not payment_id and line.kind in REFUNDS:
        payment_id = db.session.scalar(select(Refund.payment_id).where(Refund.id == line.about)) or ""
    hint.make_due(provider, payment_id)
