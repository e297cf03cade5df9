"""Addresses of the console that `bench/console` measures. To measure another page, add it to `PAGES` or `_known`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import func, select

from shop.core import clock
from shop.core.audit import Act, SubjectKind
from shop.core.db import db
from shop.core.money import CURRENCIES
from shop.mail.states import MailState
from shop.order_search.filters import Flag
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.providers import registry
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Capture, Payment, Refund, WebhookEventRow
from shop.payments.records.settlement_models import Dispute
from shop.payments.webhooks.filters import OF_REFUSED, OF_STORED, State

LIST = 4
"""Statements that a page with a list makes at most."""
Pairs = Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Address:
    """A page: the group that the report sums up, and the address. `pages` are measured: first, tenth and last, or
    first only. `statements` is their limit, None for no limit.
    """

    group: str
    address: str
    pages: tuple[str, ...] = ("first",)
    statements: int | None = LIST


ALL_PAGES = ("first", "tenth", "last")
PAGES = (
    Address("to do", "/ops"),
    Address("approvals", "/ops/approvals"),
    Address("alerts", "/ops/alerts"),
    Address("alerts", "/ops/alerts?rule=RULE_C"),
    Address("mails", "/ops/mails"),
    *(Address("mails", f"/ops/mails?state={state}") for state in MailState),
    Address("users", "/ops/users", ALL_PAGES[:2]),
    *(Address("users", f"/ops/users?state={state}") for state in ("active", "invited", "disabled")),
    Address("payouts", "/ops/payouts"),
    Address("disputes", "/ops/disputes"),
    *(Address("statistics", f"/ops/statistics?period={period}") for period in ("today", "7", "30", "90")),
    Address("statistics", "/ops/statistics?currency=JPY&provider=otherpay"),
)
"""Pages whose address depends on no row."""


def addresses() -> list[Address]:
    """All that is measured, in the order of the report."""
    return [*PAGES, *_orders(), *_webhooks(), *_audit(), *_searches(), *_single_pages()]


def _list(group: str, path: str, *filters: Pairs) -> Iterator[Address]:
    for pairs in filters:
        yield Address(group, f"{path}?{urlencode(pairs)}" if pairs else path, ALL_PAGES)


def _orders() -> Iterator[Address]:
    every: dict[str, Sequence[str]] = {
        "state": tuple(OrderState),
        "payment": tuple(PaymentState),
        "provider": sorted(registry.all_providers()),
        "flag": tuple(Flag),
        "currency": CURRENCIES,
    }
    yield from _list("orders", "/ops/orders", ())
    for name, values in every.items():
        yield from _list("orders, one filter", "/ops/orders", *([(name, value)] for value in values))
    for least, most in (("1", ""), ("80", ""), ("999999", ""), ("", "1"), ("", "999999")):
        given = [("currency", "TWD"), ("least", least), ("most", most)]
        yield from _list("orders, one filter", "/ops/orders", [(name, value) for name, value in given if value])
    today = clock.now().date()
    day = {days: today - timedelta(days=days) for days in (7, 30, 90, 200, 290)}
    for pairs in (
        [("from", day[7])],
        [("from", day[90])],
        [("to", day[290])],
        [("from", day[290]), ("to", day[200])],
        [("from", today), ("to", today)],
    ):
        yield from _list("orders, one filter", "/ops/orders", pairs)
    last, month, quarter = ([("from", day[days])] for days in (7, 30, 90))
    yield from _list(
        "orders, combined",
        "/ops/orders",
        [("state", "PAID"), *month],
        [("state", "EXPIRED"), ("state", "CANCELLED"), *last],
        [("payment", "CAPTURED"), ("provider", "otherpay"), *quarter],
        [("flag", "disputed"), ("flag", "in_review")],
        [("flag", "open_refund"), ("currency", "TWD")],
        [("currency", "USD"), ("least", "1"), ("most", "100"), *month],
        [("provider", "otherpay"), ("state", "REFUNDED"), *quarter],
        [("flag", "late"), ("flag", "duplicate"), *quarter],
        [("state", "WAITING_PAYMENT"), ("payment", "OPEN")],
        [("state", "PARTIALLY_REFUNDED"), ("currency", "JPY"), *quarter],
        [("payment", "FAILED"), ("payment", "EXPIRED"), *quarter],
        [("state", "PAID"), ("from", day[290]), ("to", day[200])],
    )


def _webhooks() -> Iterator[Address]:
    every = {
        "state": tuple(State),
        "outcome": (*OF_STORED, *OF_REFUSED),
        "provider": sorted(registry.all_providers()),
    }
    path, today = "/ops/webhooks", clock.now().date()
    yield from _list("webhooks", path, ())
    for name, values in every.items():
        yield from _list("webhooks, one filter", path, *([(name, value)] for value in values))
    reference, key = db.session.execute(
        select(WebhookEventRow.reference, WebhookEventRow.dedupe_key)
        .where(WebhookEventRow.reference.is_not(None))
        .order_by(WebhookEventRow.id.desc())
        .limit(1)
    ).one()
    month, quarter = [("from", today - timedelta(days=30))], [("from", today - timedelta(days=90))]
    yield from _list(
        "webhooks, one filter",
        path,
        [("payment", reference)],
        [("payment", "P000000000000N0B0DYS")],
        [("event", key)],
        month,
        [("to", today - timedelta(days=290))],
    )
    yield from _list(
        "webhooks, combined",
        path,
        [("provider", "fakepay"), ("outcome", "applied"), *month],
        [("provider", "otherpay"), ("outcome", "duplicate"), *quarter],
        [("outcome", "orphan"), ("outcome", "foreign"), *month],
        [("state", "waiting"), ("state", "failing")],
        [("provider", "otherpay"), *month],
        [("state", "done"), ("outcome", "hint")],
    )


def _audit() -> Iterator[Address]:
    today = clock.now().date()
    for pairs in (
        (),
        [("act", Act.REFUND_REQUESTED)],
        [("act", Act.REFUND_REQUESTED), ("act", Act.PAYOUT_REQUESTED)],
        [("act", Act.STOCK_RECEIVED)],
        [("kind", SubjectKind.PAYOUT)],
        [("kind", SubjectKind.REFUND)],
        [("by", "sam@example.com")],
        [("by", "kim@example.com")],
        [("by", "operator")],
        [("id", "1")],
        [("request", "none")],
        [("from", today - timedelta(days=30))],
        [("to", today - timedelta(days=290))],
        [("by", "sam@example.com"), ("act", Act.PAYOUT_REQUESTED), ("from", today - timedelta(days=90))],
    ):
        yield Address("audit log", "/ops/audit" + (f"?{urlencode(pairs)}" if pairs else ""), ALL_PAGES[:2])


def _searches() -> Iterator[Address]:
    """An id of each kind, and beginnings of addresses with one, many and no order."""
    newest = {
        "order number": select(Order.number).order_by(Order.id.desc()),
        "payment": select(Payment.id).order_by(Payment.id.desc()),
        "refund": select(Refund.id).order_by(Refund.id.desc()),
        "capture": select(Capture.capture_id).order_by(Capture.id.desc()),
        "dispute": select(Dispute.dispute_id).order_by(Dispute.id.desc()),
        "event": select(WebhookEventRow.dedupe_key).order_by(WebhookEventRow.id.desc()),
        "address": select(Order.email).order_by(Order.id.desc()),
    }
    found = [db.session.scalar(query.limit(1)) for query in newest.values()]
    for typed in [*found, "123", "1234-ada", "no such order", "zzz@example.com"]:
        yield Address("search", f"/ops/search?{urlencode({'q': typed})}", statements=None)


def _single_pages() -> Iterator[Address]:
    """The page of one order of each state and flag, and of one webhook."""
    for state in OrderState:
        number = db.session.scalar(select(Order.number).where(Order.state == state).limit(1))
        if number:
            yield Address("order page", f"/ops/orders/{number}", statements=None)
    for order_id in (
        select(func.max(Dispute.order_id)),
        select(func.max(Refund.order_id)),
        select(func.max(Order.id)).where(Order.review_since.is_not(None)),
    ):
        number = db.session.scalar(select(Order.number).where(Order.id == order_id.scalar_subquery()))
        yield Address("order page", f"/ops/orders/{number}", statements=None)
    yield Address("webhook page", f"/ops/webhooks/{db.session.scalar(select(func.max(WebhookEventRow.id)))}", (), None)
    db.session.rollback()
