"""Load the snapshot of an order's money under its locks, and the rules that decisions about it need."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields, replace
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy import ColumnElement, Table, bindparam, select

from shop.accounts.models import User
from shop.core import clock, ids
from shop.core.actor import Actor
from shop.core.db import db, table
from shop.core.event_types import EventKind
from shop.ledger.hold_states import HoldState
from shop.ledger.models import CreditHold, Journal
from shop.orders.models import Order, OrderEvent
from shop.payments.order_money.decision import Context
from shop.payments.order_money.snapshot import (
    CaptureRow,
    CreditRow,
    DisputeRow,
    OrderRow,
    PaymentRow,
    RefundRow,
    Rules,
    Snapshot,
)
from shop.payments.providers import registry
from shop.payments.records import locking
from shop.payments.records.models import Capture, Payment, Refund
from shop.payments.records.settlement_models import Dispute

R = TypeVar("R")
_ORDERS, _PAYMENTS, _CAPTURES = table(Order), table(Payment), table(Capture)
_REFUNDS, _DISPUTES, _CREDIT = table(Refund), table(Dispute), table(CreditHold)
_JOURNALS, _EVENTS, _USERS = table(Journal), table(OrderEvent), table(User)


def _columns(row: type[Any], source: Table) -> list[ColumnElement[Any]]:
    return [source.c[field.name] for field in fields(row)]


_OF_PAYMENTS = select(*_columns(PaymentRow, _PAYMENTS)).where(_PAYMENTS.c.order_id == bindparam("order"))
_ACCOUNT = select(_USERS.c.id).where(_USERS.c.id == _ORDERS.c.user_id, _USERS.c.deleted_at.is_(None))
_OF_ORDER = select(
    *(column for column in _columns(OrderRow, _ORDERS) if column is not _ORDERS.c.user_id),
    _ACCOUNT.scalar_subquery().label("user_id"),
).where(_ORDERS.c.id == bindparam("order"))


def locked(order_id: int, *, reported: Collection[str] = ()) -> Snapshot:
    """Lock an order and all rows of its money, and return their snapshot, as `snapshot` does."""
    db.session.flush()
    return snapshot(order_id, reported=reported, lock=True)


def snapshot(order_id: int, *, reported: Collection[str] = (), lock: bool) -> Snapshot:
    """Return the snapshot of an order and all rows of its money. Part of the caller's transaction.

    `reported` are the ids of refunds made at the acquirer that the decision is about. Raises NoResultFound.
    """
    found, (of_order,) = locking.rows(_OF_PAYMENTS, _OF_ORDER, {"order": order_id}, lock=lock)
    payments = tuple(PaymentRow(**each) for each in found)
    of_payments = _CAPTURES.c.payment_id.in_([payment.id for payment in payments])
    credit_used = (_CREDIT.c.order_id == order_id) & (_CREDIT.c.state == HoldState.USED)
    credits = _rows(CreditRow, _CREDIT, credit_used, by=("order_id",))
    return Snapshot(
        order=OrderRow(**of_order),
        payments=payments,
        captures=_rows(CaptureRow, _CAPTURES, of_payments, by=("id",)),
        refunds=_rows(RefundRow, _REFUNDS, _REFUNDS.c.order_id == order_id, by=("created_at", "id"), lock=lock),
        disputes=_rows(DisputeRow, _DISPUTES, _DISPUTES.c.order_id == order_id, by=("id",)),
        credit=credits[0] if credits else None,
        booked=_booked(order_id),
        not_booked=_not_booked(order_id) if reported else frozenset(),
        used_ids=_used_ids(order_id, reported) if reported else frozenset(),
    )


def of_rows(
    order: Order,
    payments: Iterable[Payment],
    captures: Iterable[Capture],
    refunds: Iterable[Refund],
    disputes: Iterable[Dispute],
    credit: CreditHold | None,
    account: int | None,
) -> Snapshot:
    """Snapshot of rows that were loaded and sorted as `snapshot` does it, to show it: the journals are not known.
    `account` is the customer's, None for a guest and for a deleted one.
    """
    return Snapshot(
        order=replace(_copy(OrderRow, order), user_id=account),
        payments=tuple(_copy(PaymentRow, one) for one in payments),
        captures=tuple(_copy(CaptureRow, one) for one in captures),
        refunds=tuple(_copy(RefundRow, one) for one in refunds),
        disputes=tuple(_copy(DisputeRow, one) for one in disputes),
        credit=_copy(CreditRow, credit) if credit else None,
    )


def _copy(row: type[R], source: object) -> R:
    return row(**{field.name: getattr(source, field.name) for field in fields(row)})  # type: ignore[arg-type]


def _rows(
    row: type[R], source: Table, where: ColumnElement[bool], *, by: tuple[str, ...], lock: bool = False
) -> tuple[R, ...]:
    found = select(*_columns(row, source)).where(where).order_by(*(source.c[name] for name in by))
    rows = db.session.execute(found.with_for_update() if lock else found).mappings()
    return tuple(row(**each) for each in rows)


def _booked(order_id: int) -> frozenset[str]:
    about_refunds = _JOURNALS.c.kind.in_(("refund", "refund_failed"))
    return frozenset(db.session.scalars(select(_JOURNALS.c.key).where(_JOURNALS.c.order_id == order_id, about_refunds)))


def _not_booked(order_id: int) -> frozenset[str]:
    reported_events = select(_EVENTS.c.data).where(
        _EVENTS.c.order_id == order_id, _EVENTS.c.kind == EventKind.REFUND_NOT_BOOKED
    )
    return frozenset(data["refund"] for data in db.session.scalars(reported_events))


def _used_ids(order_id: int, refund_ids: Collection[str]) -> frozenset[str]:
    elsewhere = _REFUNDS.c.id.in_(set(refund_ids)), _REFUNDS.c.order_id != order_id
    return frozenset(db.session.scalars(select(_REFUNDS.c.id).where(*elsewhere)))


def context(actor: Actor) -> Context:
    """The context of a decision that `actor` causes now."""
    providers = registry.all_providers()
    rules = Rules(
        two_person_limits=current_app.config["REFUND_NEEDS_TWO"],
        refund_steps={
            (name, currency): step
            for name, provider in providers.items()
            for currency, step in provider.capabilities.steps.items()
            if currency in provider.capabilities.currencies
        },
        windows={name: provider.capabilities.consistency_window for name, provider in providers.items()},
        labels={name: provider.LABEL for name, provider in providers.items()},
    )
    return Context(clock.now(), actor, rules, ids.refund_id)
