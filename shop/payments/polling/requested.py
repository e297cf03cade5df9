"""Queries that staff request: the acquirer is asked now, not when the payment is due."""

from __future__ import annotations

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import transactional
from shop.orders.models import Order
from shop.payments.polling import poll
from shop.payments.records.types import Source


def query_now(order: Order, *, by: Actor) -> None:
    """Poll the order's open payments at once, each at most every two seconds. Failures of the acquirer are not raised.

    Raises Forbidden.
    """
    order_id = order.id
    _record(order.number, by)
    poll.check_now(order_id, Source.VIEW)


@transactional
def _record(number: str, by: Actor) -> None:
    rights.demand(by, Permission.PAYMENT_SYNC)
    audit.record(by, Act.PAYMENT_QUERIED, Subject(SubjectKind.ORDER, number))
