"""Paid and refunded orders without their documents, such as those whose events a clock process of an older version has
published during an upgrade. A repair in the clock issues them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import current_app
from sqlalchemy import or_, select
from sqlalchemy.orm import aliased

from shop.core import clock
from shop.core.db import db
from shop.documents import decide, issue
from shop.documents.kinds import DocumentKind
from shop.documents.models import Document
from shop.orders.models import Order, OrderEvent
from shop.orders.states import OrderState
from shop.payments.providers.types import RefundState
from shop.payments.records.models import Capture, Refund
from shop.payments.records.types import Allocation

SLACK = timedelta(seconds=90)
"""Time in which an event is published, and its document is issued."""
WINDOW = 200
"""Orders that one step of the repair reads."""
PAUSE = 3600.0
"""Seconds between two passes of the repair."""
RECENT = timedelta(days=30)
"""The first pass of a process reads all orders, later ones those that were placed in this time."""
_NO_LIMIT = 2**31 - 1


@dataclass
class _Pass:
    """Progress of this process: orders with ids below `before` are still to be read, the newest first."""

    before: int = _NO_LIMIT
    ended_at: float = float("-inf")
    is_first: bool = True


def find(*within: Any) -> list[dict[str, Any]]:
    """Orders that were paid or refunded more than SLACK ago and lack a document; `within` are conditions on Order."""
    late, found = clock.now() - SLACK, dict[int, dict[str, Any]]()
    for kind, query in ((DocumentKind.RECEIPT, _paid(late)), *_refunded(late)):
        for order_id, number in db.session.execute(query.where(*within)):
            found.setdefault(order_id, {"id": order_id, "number": number, "lacks": kind.value})
    db.session.rollback()
    return list(found.values())


def since_the_first(orders: Sequence[int] | None) -> list[dict[str, Any]]:
    """As `find`, for all orders or for these, but only those that were placed after the first document was issued: an
    older version of the shop issued none, and the repair needs some time.
    """
    first = db.session.scalar(select(Document.issued_at).order_by(Document.year, Document.sequence).limit(1))
    if first is None:
        return []
    return find(Order.placed_at >= first, *(() if orders is None else (Order.id.in_(orders),)))


def _paid(late: Any) -> Any:
    """Paid orders without a receipt. One whose history does not say so is a violation of another invariant."""
    says_so = select(OrderEvent.seq).where(OrderEvent.order_id == Order.id, OrderEvent.target == OrderState.PAID)
    return select(Order.id, Order.number).where(Order.paid_at < late, says_so.exists(), ~_has(decide.PAID))


def _refunded(late: Any) -> list[tuple[DocumentKind, Any]]:
    """Refunds that are done without a credit note, and credit notes of refunds that failed without a cancellation."""
    refund = (
        select(Order.id, Order.number)
        .join(Refund, Refund.order_id == Order.id)
        .outerjoin(Capture, Capture.id == Refund.capture_id)
        .where(Refund.ended_at < late, or_(Capture.id.is_(None), Capture.allocation == Allocation.PAYS_ORDER))
    )
    credited, cancelled = (_has(cause("") + Refund.id) for cause in (decide.credit_cause, decide.cancel_cause))
    return [
        (DocumentKind.CREDIT_NOTE, refund.where(Refund.state == RefundState.DONE, ~credited)),
        (DocumentKind.CANCELLATION, refund.where(Refund.state == RefundState.REJECTED, credited, ~cancelled)),
    ]


def _has(cause: Any) -> Any:
    """Condition that the order has a document with this cause."""
    of = aliased(Document)
    return select(of.number).where(of.order_id == Order.id, of.cause == cause).exists()


def due() -> list[int]:
    """Ids of orders to issue documents for, from the next window of orders; a pass begins PAUSE after the last one.

    Windows follow the primary key, so a step costs the same for any number of orders.
    """
    progress: _Pass = current_app.extensions.setdefault("settled_missing_documents", _Pass())
    if progress.before == _NO_LIMIT and time.monotonic() - progress.ended_at < PAUSE:
        return []
    newest = select(Order.id, Order.placed_at).where(Order.id < progress.before).order_by(Order.id.desc())
    window = db.session.execute(newest.limit(WINDOW)).all()
    is_over = len(window) < WINDOW or (not progress.is_first and window[-1].placed_at < clock.now() - RECENT)
    if is_over:
        progress.before, progress.ended_at, progress.is_first = _NO_LIMIT, time.monotonic(), False
    else:
        progress.before = window[-1].id
    return [row["id"] for row in find(Order.id.between(window[-1].id, window[0].id))] if window else []


def do(order_id: int) -> None:
    """Issue the missing documents of one order."""
    issue.bring_up_to_date(order_id)
