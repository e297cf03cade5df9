"""A day of trade between the shop and the real acquirer, whose webhooks are lost: the shop knows what it polls."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import httpx

from shop.core import clock, http_client
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.ledger.models import LedgerEntry
from shop.orders import events
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.models import Capture, Payment
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.refunds import requests
from shop.payments.settlement import reconcile
from shop.payments.settlement.reconcile import Reconciliation
from tests.real_acquirer_fixtures import TOKEN, RealAcquirer
from tests.shop_fixtures import KETTLE, Shop

CURRENCY = {"kpay": "TWD", "tpay": "TWD", "paypay": "JPY", "stripe": "USD"}
QUIET = {"ACQUIRER_TPAY_QUERY_LAG": "0", "ACQUIRER_PAYPAY_QUERIES_PER_SECOND": "0"}


class Trading:
    """A day of trade. It begins at 03:00 UTC, which is the same day in Taipei and in Tokyo."""

    def __init__(self, shop: Shop, acquirer: RealAcquirer) -> None:
        self.shop, self.acquirer = shop, acquirer
        where = {"ACQUIRER_URL": acquirer.url, "ACQUIRER_PUBLIC_URL": acquirer.url, "CONTROL_TOKEN": TOKEN}
        shop.app.config.update(where | {f"{name.upper()}_MOCKED": True for name in registry.classes()})
        for name, cls in registry.classes().items():
            registry.all_providers()[name] = cls(shop.app.config, http_client.client)
        self.day: date = clock.now().date() + timedelta(days=1)
        self.pass_until(f"{self.day}T03:00:00Z")

    def pass_until(self, moment: str) -> None:
        """Advance both clocks to a moment."""
        then = datetime.fromisoformat(moment)
        clock.advance(then - clock.now())
        self.acquirer.sim("POST", "/clock/advance", {"to": moment})

    def day_is_over(self) -> None:
        """Advance both clocks to the next day in all three zones."""
        self.pass_until(f"{self.day + timedelta(days=1)}T03:00:00Z")

    # --- trade ---

    def order(self, provider: str) -> Order:
        """An order that can be paid; the browser has posted the form where one is needed."""
        order = self.shop.order((KETTLE, 1), currency=CURRENCY[provider], provider=provider)
        action = self.shop.payment(order).action
        if action and action["kind"] == "form_post":
            httpx.post(action["url"], data=action["fields"], trust_env=False, verify=False)
        return order

    def pay(self, order: Order, **card: str) -> None:
        """Pay as the customer; the shop receives no webhook."""
        self.acquirer.approve(self.shop.payment(order).id, **card)

    def paid(self, provider: str, **card: str) -> Order:
        """A paid order that the shop has polled."""
        order = self.order(provider)
        self.pay(order, **card)
        self.look(order)
        assert self.shop.state(order) == "PAID"
        return order

    def look(self, order: Order) -> None:
        """Poll the order's payment."""
        self.shop.make_due(self.shop.payment(order))
        self.shop.sweep()

    def refund(self, order: Order, amount: int | None = None) -> str:
        """Request and send a refund; returns its id."""
        capture = self.capture(order)
        money = Money(amount or capture.amount, capture.currency)
        requested = requests.request(capture.id, money, reason="", by=self.shop.sam).id
        self.shop.sweep()
        return requested

    def capture(self, order: Order) -> Capture:
        db.session.rollback()
        return db.session.scalars(db.select(Capture).join(Payment).where(Payment.order_id == order.id)).one()

    # --- files ---

    def file(self, provider: str, day: date | None = None, **requested: Any) -> bytes:
        """The acquirer's settlement file of the day; `discrepancies=3` seeds some."""
        return self.bent(provider, day, **requested)[0]

    def bent(self, provider: str, day: date | None = None, **requested: Any) -> tuple[bytes, str]:
        """A file, and the acquirer's list of its discrepancies."""
        if provider == "stripe":
            requested.setdefault("format", "expanded")
        url = f"{self.acquirer.url}/_sim/settlement/{provider}/{day or self.day}"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(url, params=requested, headers=bearer, trust_env=False, verify=False)
        assert answer.status_code == 200, answer.text
        return answer.content, answer.headers.get("X-Sim-Discrepancies", "[]")

    def reconcile(self, provider: str, raw: bytes | None = None, day: date | None = None) -> Reconciliation:
        """Reconcile as `flask reconcile` does, by default with the provider's own file."""
        day = day or self.day
        return reconcile.reconcile(
            provider, day, reconcile.fetch(provider, day) if raw is None else raw, by=Actor.operator()
        )

    # --- queries ---

    def price_of(self, provider: str) -> int:
        return self.shop.price(currency=CURRENCY[provider]).amount

    def events(self, order: Order) -> list[str]:
        """The kinds of events in the order's history."""
        db.session.rollback()
        return [event.kind for event in events.since(order.id, 0)]

    def discrepancies(self) -> list[str]:
        """Causes of the open discrepancies, sorted."""
        db.session.rollback()
        rows = db.select(Discrepancy.cause).where(Discrepancy.closed_at.is_(None)).order_by(Discrepancy.cause)
        return list(db.session.scalars(rows))

    def balances(self) -> dict[str, int]:
        """The balance of each account that is not zero, in any currency."""
        db.session.rollback()
        total = db.func.sum(LedgerEntry.amount)
        rows = db.session.execute(db.select(LedgerEntry.account, total).group_by(LedgerEntry.account)).all()
        return {account: int(amount) for account, amount in rows if amount}
