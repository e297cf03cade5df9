"""The shop under test, on SQLite and PostgreSQL, with real Redis, the fake acquirer, and helpers for its actions."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy.orm import Session, scoped_session

from shop import create_app
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.catalogue.models import Category, Product
from shop.checkout import agreement, cart, end_order, place_order
from shop.checkout.order_status import OrderStatus, load_status
from shop.checkout.placing.request import Customer
from shop.core import audit_seals, clock, ids, redis
from shop.core.actor import Actor
from shop.core.db import Base, db, transaction
from shop.core.line_kinds import LineKind
from shop.core.money import Money
from shop.integrity import invariants
from shop.inventory import stock
from shop.inventory.models import Stock, StockMovement
from shop.jobs import work
from shop.ledger import chart, store_credit
from shop.orders import events
from shop.orders.models import Order, OrderLine
from shop.payments.initiation import initiate
from shop.payments.providers import registry
from shop.payments.records.models import Capture, Payment, PaymentUpdateRow, Refund
from shop.payments.records.types import Allocation
from shop.payments.webhooks import inbox
from shop.pricing import load as pricing
from shop.pricing.decide import Choices, quote
from shop.product_search.index import Listed
from tests.fakes import Acquirer, FakePay
from tests.parts import lending
from tests.parts.lending import Databases
from tests.parts.postgres import PostgresServer
from tests.parts.processes import NOWHERE
from tests.parts.search_entries import let_find
from tests.parts.selection import is_full

KETTLE, PEN = "TEST-KETTLE", "TEST-PEN"
UNITS = 10
PRICES = {KETTLE: {"TWD": 120000, "JPY": 5600, "USD": 3800}, PEN: {"TWD": 9000, "JPY": 420, "USD": 290}}


def environ(database_url: str, redis_url: str, **more: str) -> dict[str, str]:
    """Settings of a shop under test, independent of the machine's environment."""
    return {
        "SETTLED_ENV": "development",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "only for tests " * 4,
        "SHOP_URL": NOWHERE,
        "ACQUIRER_URL": "http://127.0.0.1:9",  # a port without a listener: a test that needs an acquirer starts one
        "CALLS_PER_SECOND": "100000",
        "SETTLEMENT_FETCH": "false",  # tests of the daily fetch switch it on
        "UNPAID_ORDERS_PER_VISITOR": "1000000",  # most tests have one customer, who places all orders
        "UNPAID_UNITS_PER_VISITOR": "1000000",
        "UNPAID_VALUE_PER_VISITOR": "TWD=1000000000000",
        "DATABASE_POOL_SIZE": "20",  # races need a connection for each caller
    } | more


def migrate(database_url: str) -> None:
    """Create the tables and put two products on sale."""
    app = create_app(environ(database_url, ""))
    with app.app_context():
        upgrade()
        _furnish(db.session)
        db.session.commit()
        db.engine.dispose()


def _furnish(session: Session | scoped_session[Any]) -> None:
    """Insert two products, enough for most tests."""
    session.add(Category(slug="test", name="Test goods", position=0))
    session.flush()
    for position, (sku, prices) in enumerate(PRICES.items()):
        name = sku.removeprefix("TEST-").capitalize()
        words = {"name": name, "summary": f"A {name}", "description": f"A good {name}", "image": "mark.svg"}
        session.add(Product(sku=sku, slug=name.lower(), category="test", prices=prices, position=position, **words))
        session.add(Stock(sku=sku, on_hand=UNITS, reserved=0))
        session.flush()
        session.add(StockMovement(sku=sku, quantity=UNITS, kind="receipt", at=clock.wall()))
        texts = (words["summary"], words["description"])
        let_find(session, Listed(sku, "test", 0, position, 1, (name,), texts, prices))


def empty(session: Session | scoped_session[Any]) -> None:
    """Delete everything, and put two products on sale again."""
    lending.empty(session, db.metadata)
    _furnish(session)
    session.commit()


@pytest.fixture(scope="session")
def _databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    def sqlite() -> str:
        url = f"sqlite:///{tmp_path_factory.mktemp('database')}/shop.db"
        migrate(url)
        return url

    def postgresql() -> str:
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.url(server.create(server.template("shop", migrate)))

    databases = Databases({"sqlite": sqlite, "postgresql": postgresql}, empty)
    yield databases
    databases.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, _databases: Databases) -> str:
    """A migrated database with two products, for this test alone; the test runs once on each engine."""
    return _databases.lend(request.param)


class _Apps:
    """Apps made for one test and reused by the next one, because compiling statements and templates is slow."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[Flask, dict[str, Any], dict[str, Any]]] = {}

    def get(self, database_url: str, redis_url: str) -> Flask:
        """An app on these two, as if newly created."""
        settings = environ(database_url, redis_url)
        if (database_url, redis_url) not in self._made:
            app = create_app(settings, TESTING=True)
            self._made[database_url, redis_url] = (app, dict(app.config), dict(app.extensions))
        app, config, extensions = self._made[database_url, redis_url]
        for live, first in ((app.config, config), (app.extensions, extensions)):
            live.clear()
            live.update(first)
        redis.init_app(app)
        registry.init_app(app, settings)
        return app


@pytest.fixture(scope="session")
def _apps() -> _Apps:
    return _Apps()


@pytest.fixture
def app(database_url: str, redis_url: str, _apps: _Apps) -> Iterator[Flask]:
    """The shop, with the fake acquirer `fakepay` (and once more as `otherpay`) beside its real providers."""
    app = _apps.get(database_url, redis_url)
    with app.app_context():
        acquirer = Acquirer(clock.now)
        for name in ("fakepay", "otherpay"):
            registry.all_providers()[name] = FakePay(acquirer, name)
        app.extensions["test_acquirer"] = acquirer
    yield app
    with app.app_context():
        db.engine.dispose()


class Shop:
    """Actions and queries of tests. Each call is one transaction, in its own app context."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._events = itertools.count(1)
        self._colleagues: dict[str, Actor] = {}
        self._hiring = threading.Lock()
        self.acquirer: Acquirer = app.extensions["test_acquirer"]
        self.left_out: Collection[str] = ()

    # --- actions of customers and staff ---

    def cart(self, *lines: tuple[str, int], currency: str = "TWD") -> str:
        """A cart with these lines; one kettle when none are named."""
        cart_id = cart.create(currency)
        for sku, quantity in lines or ((KETTLE, 1),):
            cart.add(cart_id, sku, quantity)
        return cart_id

    def customer(self, credit: int = 0, currency: str = "TWD") -> int:
        """The id of a customer with an account, with store credit if given."""
        with transaction():
            number = next(self._events)
            person = User(
                email=f"ada{number}@example.com", name="Ada", password_hash="-", roles=[], created_at=clock.now()
            )
            db.session.add(person)
            db.session.flush()
            if credit:
                key = f"gift:{person.id}"
                store_credit.give(
                    person.id, Money(credit, currency), key=key, kind="credit_given", debit=chart.GOODWILL
                )
            return person.id

    def staff(self, *names: str, role: Role = Role.FINANCE) -> list[Actor]:
        """Members of staff with accounts `NAME@example.com`."""
        with transaction():
            people = [
                User(email=f"{name}@example.com", name=name, password_hash="-", roles=[role], created_at=clock.now())
                for name in names
            ]
            db.session.add_all(people)
            db.session.flush()
            return [Actor.staff(person.id) for person in people]

    def colleague(self, name: str, role: Role = Role.FINANCE) -> Actor:
        """The member of staff of this name, whose account is created when the test first asks for it."""
        with self._hiring:  # races ask in several threads
            if name not in self._colleagues:
                [self._colleagues[name]] = self.staff(name, role=role)
            return self._colleagues[name]

    @property
    def sam(self) -> Actor:
        """The first person of most decisions of staff."""
        return self.colleague("sam")

    @property
    def kim(self) -> Actor:
        """The second person."""
        return self.colleague("kim")

    def form(
        self, cart_id: str, *, customer: int | None = None, country: str = "TW", delivery: str = "", code: str = ""
    ) -> agreement.Shown:
        """The checkout form as a page would show it now, for these choices."""
        now = cart.load(cart_id)
        choices = Choices(country, delivery, code)
        quoted = quote(now.total, choices, pricing.rules(choices, now.currency), clock.now(), now.tax_classes)
        db.session.rollback()
        terms = now.terms_with(quoted.terms)
        return agreement.Shown(now.checkout_key, terms.digest, agreement.customer_mark(now.checkout_key, customer))

    def place(
        self,
        cart_id: str,
        *,
        provider: str = "fakepay",
        form: agreement.Shown | None = None,
        customer: int | None = None,
        credit: int = 0,
        country: str = "TW",
        delivery: str = "",
        code: str = "",
        email: str = "ada@example.com",
    ) -> Order:
        """Press "Place order and pay" on that form, by default the one for the present cart and these choices."""
        details = Customer(email, "Ada", "1 Main St", "Taipei", country, user_id=customer)
        chosen = {"delivery": delivery, "code": code}
        shown = form or self.form(cart_id, customer=customer, country=country, **chosen)
        placed = place_order.place_order(cart_id, details, provider, shown, credit=credit, **chosen)
        return db.session.get_one(Order, placed.id, populate_existing=True)

    def order(
        self,
        *lines: tuple[str, int],
        currency: str = "TWD",
        provider: str = "fakepay",
        customer: int | None = None,
        credit: int = 0,
        **chosen: str,
    ) -> Order:
        """An order whose payment was opened. `chosen` are country, delivery method, code and e-mail, as for `place`."""
        cart_id = self.cart(*lines, currency=currency)
        return self.place(cart_id, provider=provider, customer=customer, credit=credit, **chosen)

    def paid_order(self, *lines: tuple[str, int], customer: int | None = None, credit: int = 0, **chosen: str) -> Order:
        """An order that a payment has paid."""
        order = self.order(*lines, customer=customer, credit=credit, **chosen)
        self.acquirer.capture(self.payment(order).id)
        self.deliver_webhook(self.payment(order))
        return order

    def cancel(self, order: Order) -> None:
        end_order.cancel_order(order.id, Actor.customer())

    def pay_again(self, order: Order, provider: str = "fakepay") -> Payment:
        return initiate.open_payment(order.id, provider)

    def restock(self, sku: str = KETTLE) -> None:
        """Add stock, for tests that place many orders."""
        with transaction():
            stock.receive(sku, UNITS - stock.available([sku])[sku])

    # --- actions of the acquirer ---

    def deliver_webhook(self, payment: Payment | str, event: str = "", **changed: Any) -> tuple[int, str]:
        """Post a webhook about the payment's present state; returns status and body of the acknowledgement."""
        reference = payment if isinstance(payment, str) else payment.id
        headers, body = self.acquirer.webhook(reference, event or f"evt-{next(self._events)}", **changed)
        return self.receive(headers, body)

    def receive(self, headers: dict[str, str], body: bytes, provider: str = "fakepay") -> tuple[int, str]:
        found = registry.get(provider)
        assert found
        return inbox.receive(found, headers, body)

    def apply(self, webhook_event_id: int) -> str | None:
        """Apply a stored webhook, as the sweep does."""
        return inbox.apply(webhook_event_id)

    # --- time ---

    def wait(self, **by: float) -> None:
        """Advance the clock without a sweep."""
        clock.advance(timedelta(**by))

    def turn_to(self, moment: datetime | None) -> None:
        """Advance the clock to a later moment and run the clock process's sweep."""
        assert moment, "nothing is due"
        clock.advance(max(timedelta(0), moment - clock.now()))
        self.sweep()

    def turn(self, **by: float) -> None:
        """Advance the clock and run the clock process's sweep."""
        clock.advance(timedelta(**by))
        self.sweep()

    def make_due(self, payment: Payment) -> None:
        """Make the payment due for the next sweep."""
        with transaction():
            db.session.get_one(Payment, payment.id).next_check_at = clock.now()

    def sweep(self) -> dict[str, int]:
        return work.sweep(without=self.left_out)

    # --- queries ---

    def state(self, order: Order) -> str:
        db.session.rollback()
        return db.session.get_one(Order, order.id, populate_existing=True).state

    def payments(self, order: Order) -> list[Payment]:
        db.session.rollback()
        return list(db.session.scalars(db.select(Payment).where(Payment.order_id == order.id).order_by(Payment.id)))

    def payment(self, order: Order) -> Payment:
        """Its latest payment."""
        return self.payments(order)[-1]

    def opened_at(self, order: Order) -> datetime:
        opened = self.payment(order).opened_at
        assert opened
        return opened

    def next_wait(self, order: Order) -> timedelta:
        """Time until the next poll of the payment, which then happens."""
        due = self.payment(order).next_check_at
        assert due
        wait = due - clock.now()
        self.turn_to(due)
        return wait

    def order_status(self, order: Order) -> OrderStatus:
        db.session.rollback()
        return load_status(db.session.get_one(Order, order.id, populate_existing=True))

    def captures(self, order: Order) -> list[str | None]:
        """Allocations of the order's captures, in the order of booking; within one update, the paying one first."""
        db.session.rollback()
        received = (Capture.received_at, Capture.allocation != Allocation.PAYS_ORDER, Capture.allocation)
        rows = db.select(Capture.allocation).join(Payment).where(Payment.order_id == order.id).order_by(*received)
        return list(db.session.scalars(rows))

    def outcomes(self, payment: Payment) -> list[str]:
        db.session.rollback()
        rows = (
            db.select(PaymentUpdateRow.outcome)
            .where(PaymentUpdateRow.payment_id == payment.id)
            .order_by(PaymentUpdateRow.id)
        )
        return list(db.session.scalars(rows))

    def count(self, table: type[Base]) -> int:
        db.session.rollback()
        return db.session.scalar(db.select(db.func.count()).select_from(table)) or 0

    def published(self, stream: str) -> list[int]:
        """The ids of the events on a stream in Redis."""
        entries = redis.client().xrange(stream)
        return [int(fields[b"id"]) for _, fields in entries]

    def capture(self, order: Order) -> int:
        """Our id of the order's latest capture."""
        db.session.rollback()
        rows = db.select(Capture.id).join(Payment).where(Payment.order_id == order.id).order_by(Capture.id.desc())
        return db.session.scalars(rows.limit(1)).one()

    def refunds(self, order: Order) -> list[Refund]:
        db.session.rollback()
        rows = db.select(Refund).where(Refund.order_id == order.id).order_by(Refund.created_at, Refund.id)
        return list(db.session.scalars(rows))

    def credit(self, customer: int, currency: str = "TWD") -> int:
        """The customer's store credit, in minor units."""
        db.session.rollback()
        return store_credit.available(customer, currency).amount

    def moves(self, order: Order) -> list[str | None]:
        """The order's states so far."""
        db.session.rollback()
        return [event.target for event in events.since(order.id, 0) if event.target]

    def can_sell(self, sku: str = KETTLE) -> int:
        db.session.rollback()
        return stock.available([sku])[sku]

    def price(self, sku: str = KETTLE, currency: str = "TWD") -> Money:
        return Money(PRICES[sku][currency], currency)

    def is_sound(self) -> None:
        """Every invariant holds, once the audit log is sealed, which the clock does within seconds."""
        if audit_seals.any_unsealed():
            audit_seals.seal_due()
        broken = [f for f in invariants.check(with_acquirers=False) if not f.holds]
        assert not broken, "\n".join(f"{f.name}: {f.statement}: {f.rows}" for f in broken)


BESIDE = frozenset({"conditions", "statistics", "retention", "integrity", "invariants"})
"""Work that reads what others wrote and takes two fifths of the time of a sweep. The tests of ALONE sweep without it
unless they are marked `whole_sweep`; with `--full` all tests sweep with it.
"""
ALONE = re.compile(
    r"tests/(payments|checkout|core|accounts|web|documents|pricing|inventory|orders|returns|fulfilment|live|commands)/"
)


@pytest.fixture
def shop(app: Flask, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """The shop under test. A test that uses it ends with the invariants."""
    with app.app_context():
        shop = Shop(app)
        is_marked = request.node.get_closest_marker("whole_sweep")
        shop.left_out = BESIDE if ALONE.match(request.node.nodeid) and not is_marked and not is_full() else ()
        yield shop
        shop.is_sound()


def bare_order(state: str) -> int:
    """The id of an order in `state` with nothing else; its history is left open."""
    where = {"email": "ada@example.com", "name": "Ada", "line1": "1 Main St", "city": "Taipei", "country": "TW"}
    names = {"number": ids.order_number(), "token": ids.token(), "checkout_key": ids.token()}
    times = {"placed_at": clock.now(), "pay_by": clock.now() + timedelta(minutes=30)}
    with transaction():
        order = Order(
            state=state, currency="TWD", total_amount=1, delivery_amount=1, event_seq=0, **names, **times, **where
        )
        db.session.add(order)
        db.session.flush()
        line = {"name": "Fee", "slug": "", "image": "", "kind": LineKind.DELIVERY}
        db.session.add(
            OrderLine(
                order_id=order.id, sku="delivery:fee", position=0, quantity=1, unit_amount=1, currency="TWD", **line
            )
        )
        return order.id
