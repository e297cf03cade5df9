"""Issue the documents that the history of an order demands: each once, with the next number of its year.

A transaction that issues locks the row of the year, reads what exists, and only then takes a number; what fails rolls
back its number with it. It needs no other lock, so it can run at any time after the event has been committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import current_app
from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from shop.core import clock, logs
from shop.core.db import OutdatedSnapshot, after_commit, db, insert, table, transactional
from shop.core.money import smallest
from shop.documents import decide
from shop.documents.decide import Content, Demand
from shop.documents.kinds import DocumentKind
from shop.documents.models import Document, DocumentLine, DocumentYear
from shop.orders.models import ERASED, Order, OrderEvent
from shop.payments.records.models import Capture, Refund
from shop.payments.records.types import Allocation
from shop.pricing.split import Split
from shop.seller_data import seller_data

log = logs.get()
_NOT_ERASED_NOW = {"read": True, "key_share": True}
"""The lock that a document's foreign key takes on the order, before the customer is read: an erasure waits for it."""


def after_event(event: Mapping[str, Any]) -> None:
    """Issue what the order of a published event demands."""
    bring_up_to_date(event["order_id"])


def bring_up_to_date(order_id: int) -> None:
    """Issue the documents of an order that do not exist yet. Safe to repeat, and by several processes at once."""
    if not _demanded(order_id):
        return
    try:
        _issue(order_id)
    except IntegrityError:  # at New Year another process may issue them under the other year's lock
        db.session.rollback()
        _issue(order_id)


@transactional
def _issue(order_id: int) -> None:
    """Issue under the lock of the year. The time is read again once the lock is held, so that dates follow numbers."""
    year = _day(clock.now()).year
    last, at = _lock(year), clock.now()
    day = _day(at)
    if day.year != year:
        raise OutdatedSnapshot("the year has ended while its row was locked")
    order = db.session.get_one(Order, order_id, with_for_update=_NOT_ERASED_NOW)
    wanted = _demanded(order_id)
    for sequence, demand in enumerate(wanted, start=last + 1):
        _write(order, demand, sequence, at, day)
    taken = update(DocumentYear).where(DocumentYear.year == day.year).values(last=last + len(wanted))
    db.session.execute(taken)


def _day(at: datetime) -> date:
    """The date of a time in the shop's zone."""
    return at.astimezone(ZoneInfo(current_app.config["SHOP_TIME_ZONE"])).date()


def _lock(year: int) -> int:
    """Lock the row of a year and return its last number."""
    new = insert(DocumentYear, plain=True).values(year=year, last=0)
    same = {"last": table(DocumentYear).c.last}
    locked = new.on_conflict_do_update(index_elements=["year"], set_=same).returning(table(DocumentYear).c.last)
    return int(db.session.scalars(locked).one())


def _demanded(order_id: int) -> list[Demand]:
    """The documents that the order's history demands and that do not exist."""
    history = db.session.scalars(
        select(OrderEvent)
        .where(OrderEvent.order_id == order_id, OrderEvent.kind.in_(decide.KINDS))
        .order_by(OrderEvent.seq)
    ).all()
    refunds = db.session.execute(
        select(Refund.id, Refund.amount)
        .outerjoin(Capture, Capture.id == Refund.capture_id)
        .where(Refund.order_id == order_id)
        .where(or_(Refund.capture_id.is_(None), Capture.allocation == Allocation.PAYS_ORDER))
    )
    known = set(db.session.scalars(select(Document.cause).where(Document.order_id == order_id)))
    found = decide.demands(history, {row.id: row.amount for row in refunds})
    return [one for one in found if one.cause not in known]


def _write(order: Order, demand: Demand, sequence: int, at: datetime, day: date) -> None:
    number = f"{day.year}-{sequence:06d}"
    content, refers_to = _content(order, demand)
    split = content.split
    values = {
        "number": number,
        "year": day.year,
        "sequence": sequence,
        "kind": demand.kind,
        "order_id": order.id,
        "cause": demand.cause,
        "refers_to": refers_to,
        "issued_at": at,
        "issued_on": day,
        "language": order.locale,
        "currency": order.currency,
        "total_amount": split.total,
        "tax_amount": split.tax,
        "delivery_amount": split.delivery,
        "discount_amount": split.discount,
        "seller": vars(seller_data.present()),
        "customer": _customer(order),
    }
    db.session.execute(table(Document).insert(), values)
    lines = [vars(line) | {"number": number, "position": at} for at, line in enumerate(content.lines)]
    db.session.execute(table(DocumentLine).insert(), lines)
    after_commit(lambda: log.info("document.issued", kind=demand.kind, number=number))


def _content(order: Order, demand: Demand) -> tuple[Content, str | None]:
    """The lines and division of a document, and the number of the document that it refers to."""
    whole = Split(order.total_amount, order.tax_amount, order.delivery_amount, order.discount_amount)
    price = order.accepted.amount
    if demand.kind == DocumentKind.RECEIPT:
        return decide.receipt(order.all_lines, whole, price), None
    issued = list(db.session.scalars(select(Document).where(Document.order_id == order.id)))
    before = decide.sum_of((one.kind, _split_of(one)) for one in issued)
    step = smallest(order.currency)
    content = decide.correction(demand.kind, order.all_lines, whole, price, demand.refunded, before, step)
    is_note = demand.kind == DocumentKind.CREDIT_NOTE
    corrected = decide.PAID if is_note else decide.credit_cause(str(demand.refund))
    return content, next((one.number for one in issued if one.cause == corrected), None)


def _split_of(document: Document) -> Split:
    amounts = (document.total_amount, document.tax_amount, document.delivery_amount, document.discount_amount)
    return Split(*amounts)


def _customer(order: Order) -> dict[str, str]:
    """Name and address of the customer; empty once they are erased."""
    if order.email == ERASED:
        return {}
    names = ("name", "line1", "line2", "city", "region", "postcode", "country", "email")
    return {name: getattr(order, name) for name in names}
