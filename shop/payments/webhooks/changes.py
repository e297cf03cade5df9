"""Changes of a decision as sentences for staff, such as those of a dry run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from shop.core.actor import Actor
from shop.core.event_types import Event, HistoryEntry
from shop.core.money import Money
from shop.payments.order_money import decision as order_money
from shop.payments.order_money.decision import Transition
from shop.payments.updates import decision as updates

_HIDDEN = frozenset({"provider_data", "action", "event_seq", "refunded_amount"})
"""Columns that are not shown: the adapter's own, secrets of the customer, and what another line says."""


def of_update(decision: updates.Decision) -> list[str]:
    """The changes of a payment update."""
    return list(_of_update(decision))


def of_money(decision: order_money.Decision) -> list[str]:
    """The changes by a reported refund or dispute."""
    return list(_of_money(decision))


def _of_update(decision: updates.Decision) -> Iterator[str]:
    yield from _columns("Order", decision.order)
    for payment_id, columns in decision.payments.items():
        yield from _columns(f"Payment {payment_id}", columns)
    for capture in decision.captures:
        allocation = capture.allocation.replace("_", " ")
        yield f"Capture {capture.id} of {capture.money.with_code()} is booked as {allocation}"
    for refund in decision.refunds:
        yield f"Refund of {refund.money.with_code()} is requested automatically"
    for journal in decision.journals:
        yield _journal(journal.kind, journal.entries)
    for stock in decision.stock:
        yield f"Stock: {stock.quantity} of {stock.sku} are sold"
    if decision.credit:
        credit = Money(decision.credit.amount, decision.credit.currency)
        yield f"Store credit of {credit.with_code()} is used"
    yield from _history(decision.events)
    if decision.listed is not None:
        yield from _of_money(decision.listed)


def _of_money(decision: order_money.Decision) -> Iterator[str]:
    for refund in decision.new_refunds:
        yield f"Refund {refund.id} of {refund.money.with_code()} is recorded as {refund.state}"
    for before in decision.before.refunds:
        after = decision.after.refund(before.id)
        if after is not None and after.state != before.state:
            yield f"Refund {before.id}: {before.state} → {after.state}"
    for posting in decision.postings:
        yield _journal(posting.kind, posting.entries)
    yield from _history(decision.history)


def _columns(subject: str, columns: Mapping[str, Any]) -> Iterator[str]:
    for name, value in columns.items():
        if name not in _HIDDEN:
            yield f"{subject}: {name.replace('_', ' ')} becomes {_text(value)}"


def _journal(kind: str, entries: Iterable[tuple[str, Money]]) -> str:
    amounts = ", ".join(f"{account} {money.with_code()}" for account, money in entries)
    return f"Journal {kind.replace('_', ' ')}: {amounts}"


def _history(entries: Iterable[HistoryEntry | Transition]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, Transition):
            yield f"Order: {entry.source} → {entry.target} ({entry.because.replace('_', ' ')})"
        else:
            yield _event(entry.event)


def _event(event: Event) -> str:
    values = event.data()
    if "target" in values:
        return f"Order: {values['source']} → {values['target']} ({str(values['because']).replace('_', ' ')})"
    return f"Event of the order: {event.KIND}"


def _text(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, Actor | str | int):
        return str(value)
    return ", ".join(f"{name} {one}" for name, one in value.items()) if isinstance(value, Mapping) else str(value)
