"""A year of a shop in realistic shares: orders in every state, flags, webhooks, refunds, alerts, mails, people, audit.

Each kind of order happens once through the shop's own functions and is copied, spread over the year; kinds that are
few in a real shop are few here, and some values of filters have no order at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bench.copy_orders import copy_orders, copy_row
from bench.filled_shop import FilledShop, bulk
from shop.accounts import signin, verification
from shop.accounts.models import User
from shop.alerts.models import Alert
from shop.core import clock
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_models import AuditEntry
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.inventory import stock
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.orders.models import Order
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.records.models import RefusedWebhook, WebhookEventRow
from shop.payments.refunds import requests
from shop.payouts import payouts
from tests.payouts.settlement import settled
from tests.shop_fixtures import PEN, Shop

YEAR = timedelta(days=365)
ADMIN, PASSWORD = "ada@settled.example", "correct horse battery staple"
Make = Callable[[Shop], Order]


@dataclass(frozen=True)
class Kind:
    """A kind of order: how one is made, and its share of all orders or, from 1 on, its number, over `within`."""

    name: str
    make: Make
    amount: float
    within: timedelta = YEAR

    def number(self, count: int) -> int:
        return round(count * self.amount) if self.amount < 1 else round(self.amount)


def _paid(shop: Shop, **chosen: Any) -> Order:
    order = shop.order((PEN, 1), **chosen)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    return order


def _expired(shop: Shop) -> Order:
    order = shop.order((PEN, 1))
    shop.turn(minutes=31)
    return order


def _cancelled(shop: Shop) -> Order:
    order = shop.order((PEN, 1))
    shop.cancel(order)
    shop.sweep()
    return order


def _declined(shop: Shop, *, turn: int = 31) -> Order:
    order = shop.order((PEN, 1))
    shop.acquirer.end(shop.payment(order).id, "FAILED", "declined")
    shop.deliver_webhook(shop.payment(order))
    shop.turn(minutes=turn)
    return order


def _refunded(shop: Shop, amount: int = 0, *, to: str = "provider", sweep: bool = True) -> Order:
    order = _paid(shop)
    money = Money(amount or order.total_amount, order.currency)
    requests.request(shop.capture(order), money, reason="came back", by=shop.sam, to=to)
    if sweep:
        shop.sweep()
    return order


def _late(shop: Shop) -> Order:
    order = _expired(shop)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    return order


def _duplicate(shop: Shop) -> Order:
    order = _declined(shop, turn=0)
    first = shop.payment(order)
    second = shop.pay_again(order)
    for payment in (second.id, first.id):
        shop.acquirer.capture(payment)
        shop.deliver_webhook(payment)
    shop.sweep()
    return order


def _wrong_amount(shop: Shop) -> Order:
    order = shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id, money=Money(order.total_amount - 100, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    return order


def _disputed(shop: Shop, *states: str) -> Order:
    order = _paid(shop)
    theirs = shop.acquirer.payments[shop.payment(order).id].captures[0]
    until = clock.now() + timedelta(days=7)
    for state in states:
        name = f"dp_{theirs.id}"
        fact = DisputeFact(name, theirs.id, "chargeback", state, theirs.money, clock.now(), "fraudulent", until)
        disputes.apply("fakepay", fact, "webhook")
    return order


def _unknown(shop: Shop) -> Order:
    shop.acquirer.misbehave("start", "lose_answer")
    return shop.order((PEN, 1))


def _authorized(shop: Shop) -> Order:
    order = shop.order((PEN, 1))
    shop.acquirer.end(shop.payment(order).id, "AUTHORIZED", None)
    shop.deliver_webhook(shop.payment(order))
    return order


ENDED = (
    Kind("wrong amount, in review", _wrong_amount, 30, timedelta(days=20)),
    Kind("dispute, open", lambda shop: _disputed(shop, "OPEN"), 40, timedelta(days=20)),
    Kind("dispute, won", lambda shop: _disputed(shop, "OPEN", "WON"), 0.0005),
    Kind("dispute, lost", lambda shop: _disputed(shop, "OPEN", "LOST"), 0.001),
    Kind("late, refunded", _late, 0.002),
    Kind("duplicate, refunded", _duplicate, 0.001),
    Kind("paid by a regular customer", lambda shop: _paid(shop, customer=shop.customer()), 300),
    Kind("refunded in part", lambda shop: _refunded(shop, 1000), 0.01),
    Kind("refunded", _refunded, 0.02),
    Kind("declined", _declined, 0.02),
    Kind("paid in USD", lambda shop: _paid(shop, currency="USD"), 0.02),
    Kind("paid at the other provider", lambda shop: _paid(shop, provider="otherpay"), 0.03),
    Kind("cancelled", _cancelled, 0.04),
    Kind("paid in JPY", lambda shop: _paid(shop, currency="JPY"), 0.05),
    Kind("expired", _expired, 0.08),
    Kind("paid", _paid, 0.72),
)
"""Kinds that time does not change any more, the rarest first: the fill has no indexes until its end."""
UNDER_WAY = (
    Kind("declined just now", lambda shop: _declined(shop, turn=0), 40, timedelta(minutes=20)),
    Kind("refund to a bank, waits", lambda shop: _refunded(shop, to="bank", sweep=False), 30, timedelta(days=2)),
    Kind("refund requested", lambda shop: _refunded(shop, sweep=False), 20, timedelta(minutes=10)),
    Kind("opening not answered", _unknown, 20, timedelta(minutes=20)),
    Kind("authorized", _authorized, 30, timedelta(minutes=20)),
    Kind("waits for its payment", lambda shop: shop.order((PEN, 1)), 400, timedelta(minutes=20)),
)


def fill(filled: FilledShop, count: int) -> None:
    """Add a year with about `count` orders."""
    shop = filled.shop
    with transaction():
        stock.receive(PEN, 10_000)
    signin.create(ADMIN, "Ada", PASSWORD, ["admin"], by=Actor.operator())
    made = [(kind, kind.make(shop).id) for kind in ENDED]
    _requests(shop)
    for _ in range(3):
        shop.turn(minutes=2)
    for _ in range(3):
        shop.turn(days=1, seconds=1)
    made += [(kind, kind.make(shop).id) for kind in UNDER_WAY]
    _webhooks(shop)
    db.session.rollback()
    with bulk(db.engine):
        _people(count)
        _audit(count)
        _mails(count)
        _alerts()
        _copy_webhooks(count)
        for kind, order_id in sorted(made, key=lambda one: one[0].number(count)):
            times = kind.number(count)
            copy_orders(order_id, times, max(1, int(kind.within.total_seconds()) // times))


def _requests(shop: Shop) -> None:
    """Payouts and gifts of store credit, decided and waiting."""
    settled(90_000_000)
    for number in range(120):
        payout = payouts.request(Money(1000 + number, "TWD"), by=shop.sam, note="monthly")
        if number < 116:
            payouts.approve(payout.id, by=shop.kim)
    for number in range(10):
        customer = shop.customer()
        with transaction():
            verification.mark(customer)
        gifts.request(customer, Money(100 + number, "TWD"), by=shop.sam, reason="sorry")


def _webhooks(shop: Shop) -> None:
    """Webhooks of each outcome that belong to no order."""
    payment = shop.payment(shop.order((PEN, 1)))
    for name in ("orphan", "failing"):
        shop.deliver_webhook("P000000000000N0B0DYS", name)
    shop.deliver_webhook(payment, "hint", trust="unsigned")
    shop.deliver_webhook("P000000000000N0B0DYT", "foreign", merchant="other")
    shop.deliver_webhook(payment, "duplicate")
    shop.receive({"x-signature": "bad"}, b'{"id": "forged"}')
    shop.receive({"x-signature": "good"}, b"[]")


def _copy_webhooks(count: int) -> None:
    rows = db.session.execute(db.select(WebhookEventRow.dedupe_key, WebhookEventRow.id)).all()
    stored: dict[str, int] = {row[0]: row[1] for row in rows}
    for name, share, within in (
        ("orphan", 0.0001, timedelta(days=1)),
        ("foreign", 0.003, YEAR),
        ("hint", 0.02, timedelta(days=7)),
        ("duplicate", 0.03, YEAR),
    ):
        times = max(20, round(count * share))
        step = max(1, int(within.total_seconds()) // times)
        copy_row("webhook_events", stored[name], times, step, named=("dedupe_key",))
    broken = {"error": "ValueError: broken"}
    copy_row("webhook_events", stored["failing"], 15, 600, named=("dedupe_key",), changed=broken)
    for row in db.session.scalars(db.select(RefusedWebhook)).all():
        copy_row("refused_webhooks", row.id, 500, 1800)


def _people(count: int) -> None:
    """Customers' accounts, and a large staff."""
    by_email = {user.email: user for user in db.session.scalars(db.select(User))}
    customer = next(user for email, user in by_email.items() if not user.roles)
    copy_row("users", customer.id, count // 5, addresses=("email",))
    copy_row("users", by_email["sam@example.com"].id, 150, addresses=("email",))


def _audit(count: int) -> None:
    for act, share in ((Act.ACCOUNT_CREATED, 0.1), (Act.REFUND_REQUESTED, 0.03), (Act.PAYOUT_REQUESTED, 0.01)):
        entry = db.session.scalars(db.select(AuditEntry).where(AuditEntry.act == act).limit(1)).one()
        times = max(20, round(count * share))
        copy_row("audit_log", entry.id, times, int(YEAR.total_seconds()) // times, named=("subject_id", "request_id"))


def _mails(count: int) -> None:
    """Mails of 30 days, as long as they are kept: nearly all were sent, few have failed."""
    first, second, third = db.session.scalars(db.select(Mail.id).where(Mail.order_id.is_not(None)).limit(3)).all()
    at, many = clock.now(), max(100, count // 6)
    failed = {"state": MailState.FAILED, "next_attempt_at": None, "error": "550", "attempts": 9}
    queued = {"state": MailState.QUEUED, "next_attempt_at": at, "sent_at": None, "attempts": 2}
    sent = {"state": MailState.SENT, "next_attempt_at": None, "sent_at": at, "attempts": 1}
    for mail_id, times, changed in ((first, 25, failed), (second, 12, queued), (third, many, sent)):
        differing = {"ids": ("id",), "named": ("message_id", "event"), "addresses": ("recipient",)}
        differing["changed"] = {"order_id": None, **changed}  # or all would be mails of one order
        copy_row("mails", mail_id, times, max(1, int(timedelta(days=30).total_seconds()) // times), **differing)


def _alerts() -> None:
    """Open alerts that are about no order."""
    alert = db.session.scalars(db.select(Alert).where(Alert.rule == "OPS_ORPHAN")).one()
    copy_row("alerts", alert.id, 40, 3600, named=("subject", "cause"))
