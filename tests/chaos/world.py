"""Fast environment for generated histories of the shop.

The shop's real functions on SQLite or PostgreSQL, with a clock that only the test advances, sequential names, and
workers that can be stopped in the middle of their work. The environment reads over its own connection, so that it sees
committed rows only.
"""

from __future__ import annotations

import gc
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from flask.ctx import AppContext
from greenlet import getcurrent, greenlet

from shop import create_app
from shop.accounts.models import User
from shop.core import clock, ids, outbox
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import CURRENCIES, Money
from shop.integrity.invariants.scope import Scope
from shop.jobs import schedule, work
from shop.ledger import chart, store_credit
from shop.payments.calls import circuit_breaker
from shop.payments.providers import registry
from shop.pricing import change
from shop.pricing.decide import Choices, quote
from shop.pricing.load import rules
from tests.chaos.fast_databases import DATABASES, FastDatabase
from tests.fakes import Acquirer, FakePay
from tests.parts import staff_accounts
from tests.shop_fixtures import environ

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK = timedelta(milliseconds=1)
PROVIDERS = ("fakepay", "otherpay")
CUSTOMERS = (1, 2)
STAFF = (11, 12, 13, 14)
TAX_COUNTRY, ADDED_TAX_COUNTRY = "TW", "US"
CODES = {
    "TEN": change.NewCode("TEN", percent=10, once_per_email=False),
    "FEW": change.NewCode("FEW", percent=35, use_limit=2),
    "RICH": change.NewCode(
        "RICH", amounts={"TWD": Money(7300, "TWD")}, budgets={"TWD": Money(20000, "TWD")}, once_per_email=False
    ),
    "ALL": change.NewCode("ALL", percent=100, use_limit=3, once_per_email=False),
}
"""Discount codes: one without limits, one with few uses and once per address, one with a budget, one of everything."""
CREDIT = 150000
"""Initial store credit of the first customer, in minor units of TWD. The second has none."""
NEEDS_TWO = 100000
NOT_ABOUT_ORDERS = ("conditions", "invariants", "search")
"""Work that is left out: it looks after operations, or at what is looked at here anyhow."""
DUE = {
    "inbox": "webhook_events WHERE due_at <= :now",
    "saga": "sagas WHERE due_at <= :now",
    "poll": "payments WHERE next_check_at <= :now",
    "refund": "refunds WHERE next_check_at <= :now",
    "closing": """
        orders WHERE state IN ('PENDING', 'WAITING_PAYMENT', 'FAILED') AND review_since IS NULL
        AND (pay_by <= :now OR cancel_requested_at IS NOT NULL)
    """,
    "outbox": "outbox WHERE due_at <= :now",
    "watch": "watch_list WHERE due_at <= :now",
}
"""Tables and conditions of the due rows of each kind of job."""
IN_BATCHES = ("outbox", "watch")
"""Jobs whose own query only counts batches: one is enough here."""
_ANY_DUE = "SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {where}) AS {kind}" for kind, where in DUE.items())
MOST_ASLEEP = 6


class Killed(BaseException):
    """The worker's process ends here."""


class Worker(greenlet):
    """An actor that may be suspended at one of the points where others can run in between.

    These points are: before a transaction begins, before the acquirer receives a call, before its response arrives, and
    before and after events are published.
    """

    def __init__(self, world: World, do: Callable[[], Any], places: int) -> None:
        super().__init__(self._live)
        self.world, self.do, self.places = world, do, places
        self.refused: Refusal | None = None

    def _live(self) -> None:
        with self.world.app.app_context():
            try:
                self.do()
            except Refusal as refusal:
                db.session.rollback()
                self.refused = refusal
            except Killed:
                pass


class World:
    """The environment of a history. Created once, emptied for every history."""

    def __init__(self, database: FastDatabase) -> None:
        self.database = database
        limits = ",".join(f"{currency}={NEEDS_TWO}" for currency in CURRENCIES)
        self.app = create_app(environ(database.url, "", REFUND_NEEDS_TWO=limits), TESTING=True)
        self.now = START
        self.passed = 0.0  # seconds, whatever the clock is set to
        self.acquirer = Acquirer(lambda: self.now)
        self.asleep: list[Worker] = []
        self.published: list[dict[str, Any]] = []
        self.troubles: list[dict[str, Any]] = []
        self._named: Counter[str] = Counter()
        self._context: AppContext | None = None
        self._seen = -1
        self._looked_at: tuple[datetime, int] | None = None
        self._kinds: set[str] = set()

    # --- beginning and ending ---

    @contextmanager
    def opened(self) -> Iterator[World]:
        """Open the environment, with slow and random parts replaced."""
        with pytest.MonkeyPatch.context() as patch, self.app.app_context():
            self.database.quicken(patch, db.engine, self.pause)
            patch.setattr(clock, "now", lambda: self.now)
            patch.setattr(clock, "wall", lambda: self.now)
            patch.setattr(ids, "payment_id", lambda: self._name("P"))
            patch.setattr(ids, "refund_id", lambda: self._name("R"))
            patch.setattr(ids, "is_payment_id", lambda text: re.fullmatch("P[0-9]{5}", text) is not None)
            patch.setattr(ids, "is_refund_id", lambda text: re.fullmatch("R[0-9]{5}", text) is not None)
            patch.setattr(ids, "payout_id", lambda: self._name("O"))
            patch.setattr(ids, "order_number", lambda: self._name("N"))
            patch.setattr(ids, "token", lambda: self._name("T"))
            patch.setattr(circuit_breaker, "time", SimpleNamespace(monotonic=lambda: self.passed))
            patch.setattr(work, "PARALLEL", 1)
            todo = tuple(self._looked_for_quickly(one) for one in schedule.WORK if one.kind not in NOT_ABOUT_ORDERS)
            patch.setattr(schedule, "WORK", todo)
            patch.setattr(work, "WORK", todo)
            patch.setattr(outbox, "_to_streams", self._report)
            patch.setattr(Scope, "rows", lambda _everything, sql, **values: self.rows(sql, **values))
            self.acquirer.pause = self.pause
            for name in PROVIDERS:
                registry.all_providers()[name] = FakePay(self.acquirer, name)
            self._furnish()
            logs = structlog.get_config()
            errors = structlog.make_filtering_bound_logger(logging.ERROR)
            structlog.configure(wrapper_class=errors, processors=[self._note_trouble])
            often = gc.get_threshold()
            gc.freeze()  # freeze present objects: scanning them again in every collection costs a sixth of the time
            gc.set_threshold(100_000, 50, 100)
            try:
                yield self
            finally:
                gc.set_threshold(*often)
                gc.unfreeze()
                structlog.configure(**logs)
                db.session.remove()
                db.engine.dispose()
                self.database.close()

    def _looked_for_quickly(self, one: schedule.Work) -> schedule.Work:
        """Run the shop's own query only when a row can be due."""
        if one.kind not in DUE:
            return one
        if one.kind in IN_BATCHES:
            return replace(one, due=lambda: [0] if one.kind in self._may_be_due() else [])
        return replace(one, due=lambda: one.due() if one.kind in self._may_be_due() else [])

    def _may_be_due(self) -> set[str]:
        """Kinds of jobs with rows that may be due now."""
        seen = self.now, self.database.version()
        if seen != self._looked_at:
            (found,) = self.rows(_ANY_DUE, now=self.now)
            self._looked_at, self._kinds = seen, {kind for kind, there in found.items() if there}
        return self._kinds

    def _note_trouble(self, _logger: Any, _method: str, event: Any) -> Any:
        """Record errors that production only logs, because other rows must be processed."""
        self.troubles.append(dict(event))
        raise structlog.DropEvent

    def _furnish(self) -> None:
        """Insert staff and two customers, one of them with store credit; and remember all rows."""
        for number in CUSTOMERS:
            names = {"email": f"c{number}@example.com", "name": f"C{number}", "password_hash": "none"}
            db.session.add(User(id=number, created_at=self.now, **names))
        db.session.commit()
        staff_accounts.hire(STAFF)
        self._set_prices()
        with transaction():
            store_credit.give(1, Money(CREDIT, "TWD"), key="gift:1", kind="gift", debit=chart.GOODWILL)
        self.database.remember()

    def _set_prices(self) -> None:
        """Insert taxes of odd rates, two delivery methods and the codes."""
        change.set_tax(TAX_COUNTRY, "VAT", 7750, is_included=True)
        change.set_tax(ADDED_TAX_COUNTRY, "Sales tax", 8875, is_included=False)
        free, paid = {"TWD": Money(0, "TWD")}, {"TWD": Money(12300, "TWD")}
        change.set_delivery("standard", "Standard", free, free_from={}, countries=(), position=0)
        express = {"TWD": Money(250000, "TWD")}
        change.set_delivery("express", "Express", paid, free_from=express, countries=(), position=1)
        for code in CODES.values():
            change.set_code(code)

    def begin(self) -> None:
        """Begin a history: restore the initial rows."""
        self.database.restore()
        self.now = START
        self.passed += 3600.0
        self._named.clear()
        self._looked_at = None
        self.published.clear()
        self.troubles.clear()
        there = self.acquirer
        for kept in (there.payments, there.refunds, there.done_at, there.calls, there.does, there.excessive_refunds):
            kept.clear()
        there.away = False
        self._context = self.app.app_context()
        self._context.push()

    def end(self) -> None:
        """End the history; suspended workers never resume."""
        while self.asleep:
            self.kill(self.asleep[-1])
        if self._context:
            self._context.pop()
            self._context = None

    # --- actions ---

    def do(self, do: Callable[[], Any], places: int = 0) -> Refusal | None:
        """Run an action that is suspended at the `places`-th point, or never when it is 0. Returns the shop's
        refusal, if it was refused.
        """
        self.now += TICK
        worker = Worker(self, do, places if len(self.asleep) < MOST_ASLEEP else 0)
        worker.switch()
        if not worker.dead:
            self.asleep.append(worker)
        return worker.refused

    def wake(self, worker: Worker, places: int = 0) -> None:
        """Resume a suspended worker."""
        self.now += TICK
        self.asleep.remove(worker)
        worker.places = places
        worker.switch()
        if not worker.dead:
            self.asleep.append(worker)

    def kill(self, worker: Worker) -> None:
        """Kill a suspended worker's process."""
        self.asleep.remove(worker)
        worker.throw(Killed)

    def pause(self) -> None:
        """A point where other workers can run."""
        me = getcurrent()
        if isinstance(me, Worker) and me.places:
            me.places -= 1
            if not me.places and me.parent:
                assert self.database.is_at_rest(), "a transaction is open at a point between transactions"
                me.parent.switch()

    def fill_cart(self, sku: str, quantity: int) -> tuple[str, str, int]:
        """A filled cart: its id, its checkout key, its price in TWD."""
        cart_id, key, at = self._name("T"), self._name("T"), self.now
        (price,) = self.rows(
            "SELECT CAST(prices ->> 'TWD' AS INTEGER) AS amount FROM products WHERE sku = :sku", sku=sku
        )
        cart = {"id": cart_id, "key": key, "at": at, "sku": sku, "quantity": quantity, "price": price["amount"]}
        self.rows(
            "INSERT INTO carts (id, currency, checkout_key, changed_at) VALUES (:id, 'TWD', :key, :at) RETURNING id",
            **cart,
        )
        self.rows(
            "INSERT INTO cart_lines (cart_id, sku, quantity, seen_amount, added_at)"
            " VALUES (:id, :sku, :quantity, :price, :at) RETURNING sku",
            **cart,
        )
        return cart_id, key, price["amount"] * quantity

    def charges(self, total: int, choices: Choices) -> tuple[tuple[tuple[str, int], ...], int]:
        """Terms that a page shows for goods of this total, and the total with them."""
        found = quote(Money(total, "TWD"), choices, rules(choices, "TWD"), self.now)
        db.session.rollback()
        return found.terms, found.total.amount

    def turn(self, seconds: float) -> None:
        """Advance the clock, or set it back."""
        self.now += timedelta(seconds=seconds)
        self.passed += max(0.0, seconds)

    def sweep(self) -> None:
        """Run the clock process's sweep."""
        self.do(work.sweep)

    # --- queries ---

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Committed rows. Times among `values` are aware."""
        return self.database.rows(sql, values)

    def changed(self) -> bool:
        """True when anything was committed since the last call."""
        before, self._seen = self._seen, self.database.version()
        return before != self._seen

    # --- replacements of slow or random parts ---

    def _name(self, letter: str) -> str:
        self._named[letter] += 1
        return f"{letter}{self._named[letter]:05}"

    def next_payment(self) -> str:
        """The name of the next payment."""
        return f"P{self._named['P'] + 1:05}"

    def _report(self, rows: list[dict[str, Any]]) -> str | None:
        self.pause()
        self.published += rows
        self.pause()
        return None


@contextmanager
def world(kind: str = "sqlite") -> Iterator[World]:
    """An environment on its own database."""
    with DATABASES[kind]() as database, World(database).opened() as made:
        yield made
