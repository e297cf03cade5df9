"""Match settlement lines with our journals: by key, and lines about refunds by the identity of the refund."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from shop.core.db import db
from shop.core.money import Money
from shop.ledger.models import Journal
from shop.payments.disputes import decide as disputes
from shop.payments.providers.interface import RefundFact, SettlementLine
from shop.payments.providers.storable import is_our_refund
from shop.payments.providers.types import RefundState
from shop.payments.records.settlement_models import SettlementLineRow
from shop.payments.refunds import journals, outside, own_or_outside

REFUNDS = ("refund", "void", "refund_failed")
"""Kinds of lines about refunds."""


def keys_of(provider: str, lines: Sequence[SettlementLine]) -> dict[str, str]:
    """Keys of the journals of lines, by line id."""
    own = _own(provider, lines)
    return {line.id: key_of(provider, line, own.get(line.id, "")) or "" for line in lines}


def key_of(provider: str, line: SettlementLine, refund: str = "") -> str | None:
    """Key of the journal of a line; None when the line does not identify it.

    `refund` is our id of the line's refund; without it, the refund is taken as made at the acquirer.
    """
    if not (line.about or line.refund_id):
        return None
    refund = refund or own_or_outside.name_of(provider, line.refund_id or line.about)
    keys = {
        "capture": f"capture:{provider}:{line.about}",
        "refund": journals.key_of(refund),
        "void": journals.key_of(refund),
        "refund_failed": journals.key_of(refund, failed=True),
        "dispute": disputes.key_of(provider, line.about),
        "dispute_won": disputes.key_of(provider, line.about, won=True),
    }
    return keys.get(line.kind)


def _own(provider: str, lines: Sequence[SettlementLine]) -> dict[str, str]:
    """Our refund ids of the lines that are about our refunds, by line id.

    A line with the id of a booked refund of ours in another amount is about that refund too, unless another line is:
    then the amount in the file is wrong, which staff have to look at.
    """
    about_refunds = [(line, refund_fact(line)) for line in lines if line.kind in REFUNDS and is_our_refund(line.about)]
    known = outside.known(provider, [fact for _, fact in about_refunds])
    own = {line.id: line.about for line, fact in about_refunds if own_or_outside.is_own(known, provider, fact)}
    exact = set(own.values())
    for line, fact in about_refunds:
        if line.about not in exact and own_or_outside.is_own(known, provider, fact, money=False):
            key = key_of(provider, line, line.about)
            settled = select(SettlementLineRow.line_id).where(
                SettlementLineRow.provider == provider, SettlementLineRow.fact == key
            )
            if _is_booked(journals.key_of(line.about)) and db.session.scalar(settled) in (None, line.id):
                own[line.id] = line.about
    db.session.rollback()
    return own


def _is_booked(key: str) -> bool:
    return db.session.scalar(select(Journal.key).where(Journal.key == key)) is not None


def refund_fact(line: SettlementLine) -> RefundFact:
    """Return what a line says about a refund."""
    return RefundFact(
        line.about if is_our_refund(line.about) else "",
        RefundState.DONE,
        id=line.refund_id or line.about,
        money=Money(abs(line.money.amount), line.money.currency),
        capture_id=line.capture_id,
        payment=line.reference,
    )
