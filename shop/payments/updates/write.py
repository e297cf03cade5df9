"""Carry out a decision: one statement for each kind of change, in one fixed order.

Nothing here reads a result, so PostgreSQL gets all statements in one round trip (see `shop.core.db.pipeline`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, insert, select, update

from shop.core import logs, metrics, outbox
from shop.core.db import after_commit, db, pipeline, table
from shop.core.event_types import OrderMoved
from shop.core.one_command import OneCommand
from shop.inventory.models import Reservation, Stock
from shop.inventory.states import ReservationState
from shop.ledger import book
from shop.ledger.hold_states import HoldState
from shop.ledger.models import CreditHold, Journal, LedgerEntry, StoreCredit
from shop.orders import events, move
from shop.orders.models import OrderEvent
from shop.payments.order_money import write as order_money
from shop.payments.providers.types import Outcome
from shop.payments.records.models import Capture, Payment, PaymentUpdateRow, Refund, WebhookEventRow
from shop.payments.records.types import Allocation, Source
from shop.payments.updates.decision import Decision, StockChange
from shop.payments.updates.listed_refunds import with_capture_ids
from shop.payments.updates.snapshot import PaymentUpdate, Snapshot
from shop.pricing import uses

log = logs.get()
_PAYMENTS, _CAPTURES, _REFUNDS = table(Payment), table(Capture), table(Refund)
_WEBHOOK_EVENTS, _HOLDS = table(WebhookEventRow), table(CreditHold)
_STOCK, _RESERVATIONS, _CREDITS = table(Stock), table(Reservation), table(StoreCredit)
_NEW_EVENT = insert(_WEBHOOK_EVENTS).inline()
_NEW_CAPTURE = insert(_CAPTURES).inline()
_NEW_REFUND = (
    insert(_REFUNDS)
    .values(
        capture_id=select(_CAPTURES.c.id)
        .where(_CAPTURES.c.provider == bindparam("of_provider"), _CAPTURES.c.capture_id == bindparam("of_capture"))
        .scalar_subquery()
    )
    .inline()
)
_NEW_JOURNAL, _NEW_ENTRY = insert(table(Journal)).inline(), insert(table(LedgerEntry)).inline()
_NEW_ORDER_EVENT, _NEW_OUTBOX_ROW = insert(table(OrderEvent)).inline(), insert(table(outbox.OutboxRow)).inline()
_NEW_UPDATE = insert(table(PaymentUpdateRow)).inline()
_EVENT_ID = (
    select(_WEBHOOK_EVENTS.c.id)
    .where(
        _WEBHOOK_EVENTS.c.provider == bindparam("of_provider"), _WEBHOOK_EVENTS.c.dedupe_key == bindparam("of_event")
    )
    .scalar_subquery()
)
_NEW_UPDATE_OF_EVENT = insert(table(PaymentUpdateRow)).values(webhook_event_id=_EVENT_ID).inline()
_ACCEPT = (
    update(_CAPTURES).where(_CAPTURES.c.id == bindparam("accepted")).values(allocation=bindparam("new_allocation"))
)
_SELL = (
    update(_RESERVATIONS)
    .where(
        _RESERVATIONS.c.order_id == bindparam("of_order"),
        _RESERVATIONS.c.state != ReservationState.SOLD,
    )
    .values(state=ReservationState.SOLD)
)
_SELL_STOCK = (
    update(_STOCK)
    .where(_STOCK.c.sku == bindparam("of_sku"))
    .values(reserved=_STOCK.c.reserved - bindparam("held"), on_hand=_STOCK.c.on_hand - bindparam("sold"))
)
_USE_HOLD = update(_HOLDS).where(_HOLDS.c.order_id == bindparam("of_order")).values(state=HoldState.USED)
_SPEND = (
    update(_CREDITS)
    .where(_CREDITS.c.user_id == bindparam("of_user"), _CREDITS.c.currency == bindparam("of_currency"))
    .values(held=_CREDITS.c.held - bindparam("freed"), balance=_CREDITS.c.balance - bindparam("spent"))
)


@dataclass(frozen=True)
class NewEvent:
    """A webhook event that is stored together with its effects; `row` gives its columns for an outcome."""

    provider: str
    dedupe_key: str
    row: Callable[[Outcome], dict[str, Any]]


def write(seen: Snapshot, decision: Decision, now: datetime, *, source: Source | None = None) -> None:
    """Write a decision into the current transaction, without the record of an update."""
    with pipeline() as connection:
        _write(connection, seen, decision, now, source)
    _report_changes(seen, decision, source)


def write_update(
    seen: Snapshot,
    decision: Decision,
    update: PaymentUpdate,
    now: datetime,
    *,
    event: NewEvent | None = None,
    webhook_event_id: int | None = None,
    commit: bool = False,
) -> None:
    """Write a decision and the record of its update, and commit if `commit`: then the transaction is over.

    `event` is the webhook event that brought the update, if it is not stored yet; `webhook_event_id` its row, if it is.
    """
    with pipeline(commit=commit) as connection:
        _write(connection, seen, decision, now, update.source, event.row(decision.outcome) if event else None)
        if decision.is_recorded:
            _record(connection, decision.outcome, update, now, event, webhook_event_id)
    _report_changes(seen, decision, update.source)
    report_outcome(seen, decision.outcome, update)


def write_with_refunds(
    seen: Snapshot, decision: Decision, update: PaymentUpdate, now: datetime, *, webhook_event_id: int | None = None
) -> None:
    """Write a decision, then the changes of the refunds that its update lists, and the record of both."""
    with pipeline() as connection:
        _write(connection, seen, decision, now, update.source)
        if decision.is_recorded:
            _record(connection, decision.outcome, update, now, None, webhook_event_id)
    if decision.listed is not None:
        order_money.write(with_capture_ids(decision.listed, _capture_ids(update.payment_id)))
    _report_changes(seen, decision, update.source)
    report_outcome(seen, decision.outcome, update)


def _capture_ids(payment_id: str) -> dict[tuple[str, str], int]:
    found = select(_CAPTURES.c.provider, _CAPTURES.c.capture_id, _CAPTURES.c.id)
    rows = db.session.execute(found.where(_CAPTURES.c.payment_id == payment_id))
    return {(row.provider, row.capture_id): row.id for row in rows}


def report_outcome(seen: Snapshot, outcome: Outcome, update: PaymentUpdate) -> None:
    """Count and log the outcome after the commit."""
    order_number = seen.order.number

    def report() -> None:
        metrics.PAYMENT_UPDATES.labels(update.source, outcome).inc()
        if outcome != Outcome.DUPLICATE:
            fields = {"payment": update.payment_id, "order": order_number}
            log.info("payment.update", **fields, source=update.source, outcome=outcome)

    after_commit(report)


def _write(
    connection: Connection,
    seen: Snapshot,
    decision: Decision,
    now: datetime,
    source: Source | None,
    event_row: Mapping[str, Any] | None = None,
) -> None:
    """Use store credit and code, then write all that belongs to the order alone in one command, then refunds, which
    refer to its captures. Stock comes last or in the command: rows are locked in the order of `records.locking`.
    """
    _write_holdings(connection, seen, decision)
    command = OneCommand()
    if event_row is not None:
        command.add(_NEW_EVENT, event_row)
    for payment_id, change in sorted(decision.payments.items()):
        command.add(_change_payment(tuple(change)), {"the_payment": payment_id, **_new(change)})
    _write_order(command, seen, decision)
    _write_captures(command, seen, decision, now, source)
    _write_journals(command, seen, decision, now)
    _write_events(command, seen, decision, now)
    if decision.stock:
        command.add(_SELL, {"of_order": seen.order.id})
    if len(decision.stock) == 1:
        command.add(_SELL_STOCK, _sold(decision.stock[0]))
    command.execute(connection)
    _write_refunds(connection, seen, decision, now)
    if len(decision.stock) > 1:
        connection.execute(_SELL_STOCK, [_sold(one) for one in decision.stock])


def _new(change: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in change.items()}


@cache
def _change_payment(columns: tuple[str, ...]) -> Any:
    new: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
    return update(_PAYMENTS).where(_PAYMENTS.c.id == bindparam("the_payment")).values(new)


def _write_order(command: OneCommand, seen: Snapshot, decision: Decision) -> None:
    if decision.order or decision.events:
        change = dict(decision.order)
        values = {"the_order": seen.order.id, "seen": seen.order.state, "many": len(decision.events)}
        command.add(move.conditional(tuple(change)), values | _new(change))


def _write_captures(
    command: OneCommand, seen: Snapshot, decision: Decision, now: datetime, source: Source | None
) -> None:
    if decision.accepted is not None:
        command.add(_ACCEPT, {"accepted": decision.accepted, "new_allocation": Allocation.PAYS_ORDER})
    rows = [
        {
            "provider": one.provider,
            "capture_id": one.id,
            "payment_id": one.payment_id,
            "amount": one.money.amount,
            "currency": one.money.currency,
            "captured_at": one.captured_at,
            "received_at": now,
            "source": source,
            "allocation": one.allocation,
            "refunded_amount": one.refunded,
        }
        for one in decision.captures
    ]
    _add(command, _NEW_CAPTURE, rows)


def _write_refunds(connection: Connection, seen: Snapshot, decision: Decision, now: datetime) -> None:
    rows = [
        {"of_provider": one.provider, "of_capture": one.capture_id, **one.columns(seen.order.id, now)}
        for one in decision.refunds
    ]
    if rows:
        connection.execute(_NEW_REFUND, rows)


def _write_holdings(connection: Connection, seen: Snapshot, decision: Decision) -> None:
    """Use store credit and the discount code of the order."""
    if decision.credit is not None:
        credit = decision.credit
        freed = credit.amount if credit.source == HoldState.HELD else 0
        whose = {"of_user": credit.user_id, "of_currency": credit.currency}
        connection.execute(_USE_HOLD, {"of_order": seen.order.id})
        connection.execute(_SPEND, {**whose, "freed": freed, "spent": credit.amount})
    if decision.code is not None:
        for statement, values in uses.again(
            seen.order.id, decision.code.code, decision.code.currency, decision.code.amount
        ):
            connection.execute(statement, values)


def _sold(one: StockChange) -> dict[str, Any]:
    """Units that were released are reserved again and sold, which changes only the total."""
    held = one.quantity if one.source == ReservationState.HELD else 0
    return {"of_sku": one.sku, "held": held, "sold": one.quantity}


def _write_journals(command: OneCommand, seen: Snapshot, decision: Decision, now: datetime) -> None:
    for one in decision.journals:
        book.check_balanced(one.key, one.entries)
    journals = [{"key": one.key, "kind": one.kind, "order_id": seen.order.id, "at": now} for one in decision.journals]
    entries = [
        {"journal_key": one.key, "line": line, "account": account, "currency": money.currency, "amount": money.amount}
        for one in decision.journals
        for line, (account, money) in enumerate(one.entries)
    ]
    _add(command, _NEW_JOURNAL, journals)
    _add(command, _NEW_ENTRY, entries)


def _write_events(command: OneCommand, seen: Snapshot, decision: Decision, now: datetime) -> None:
    order, history, published = seen.order, [], []
    for seq, one in enumerate(decision.events, start=order.event_seq + 1):
        about = events.About(order.id, order.number, seq, one.actor, now)
        row, outbox_row = events.rows(about, one.event)
        history.append(row)
        published.append(outbox_row)
        events.wake(about, one.event)
    _add(command, _NEW_ORDER_EVENT, history)
    _add(command, _NEW_OUTBOX_ROW, published)


def _record(
    connection: Connection,
    outcome: Outcome,
    update: PaymentUpdate,
    now: datetime,
    event: NewEvent | None,
    webhook_event_id: int | None,
) -> None:
    row = {
        "payment_id": update.payment_id,
        "source": update.source,
        "outcome": outcome,
        "state": update.facts.state,
        "facts": update.facts.as_json(),
        "occurred_at": update.facts.occurred_at or now,
        "received_at": now,
    }
    command = OneCommand()
    if event is None:
        command.add(_NEW_UPDATE, row | {"webhook_event_id": webhook_event_id})
    else:
        command.add(_NEW_UPDATE_OF_EVENT, row | {"of_provider": event.provider, "of_event": event.dedupe_key})
    command.execute(connection)


def _add(command: OneCommand, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        command.add(statement, row)


def _report_changes(seen: Snapshot, decision: Decision, source: Source | None) -> None:
    """Count and log the changes after the commit."""
    for one in decision.events:
        if isinstance(moved := one.event, OrderMoved):
            after_commit(partial(move.log_transition, seen.order.id, moved.source, moved.target, moved.because))
    for refund in decision.refunds:
        after_commit(partial(log.info, "refund.requested", refund=refund.id))
    if decision.paid_after is not None:
        seconds = decision.paid_after.total_seconds()
        after_commit(lambda: metrics.CAPTURE_TO_PAID_SECONDS.labels(source).observe(seconds))
