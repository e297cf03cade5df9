"""The shop under test, on SQLite and PostgreSQL, with real Redis, a small honest acquirer, and words to use it with."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy.orm import Session, scoped_session

from shop import create_app
from shop.accounts.models import User
from shop.catalogue.models import Category, Product
from shop.checkout import cart, closing, saga
from shop.checkout.standing import Standing, standing
from shop.core import clock, ids, redis
from shop.core.db import Base, db, writing
from shop.core.money import Money
from shop.inventory import stock
from shop.inventory.models import Stock, StockMovement
from shop.jobs import work
from shop.ledger import chart, store_credit
from shop.orders import events
from shop.orders.models import Order
from shop.payments import inbox, registry, start
from shop.payments.models import Capture, Payment, Refund, Report
from shop.reports import invariants
from tests.fakes import Acquirer, FakePay
from tests.parts.lending import Databases
from tests.parts.postgres import PostgresServer
from tests.parts.processes import NOWHERE

KETTLE, PEN = "TEST-KETTLE", "TEST-PEN"
UNITS = 10
PRICES = {KETTLE: {"TWD": 120000, "JPY": 5600, "USD": 3800}, PEN: {"TWD": 9000, "JPY": 420, "USD": 290}}


def environ(database_url: str, redis_url: str, **more: str) -> dict[str, str]:
    """Settings of a shop under test; nothing comes from the machine it runs on."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "only for tests " * 4,
        "SHOP_URL": NOWHERE,
        "ACQUIRER_URL": "http://127.0.0.1:9",  # nobody listens there: a test that wants an acquirer brings one
        "CALLS_PER_SECOND": "100000",
    } | more


def migrate(database_url: str) -> None:
    """Make the tables and put two products on sale."""
    app = create_app(environ(database_url, ""))
    with app.app_context():
        upgrade()
        _furnish(db.session)
        db.session.commit()
        db.engine.dispose()


def _furnish(session: Session | scoped_session[Any]) -> None:
    """Two products are enough for most sentences."""
    session.add(Category(slug="test", name="Test goods", position=0))
    session.flush()
    for position, (sku, prices) in enumerate(PRICES.items()):
        name = sku.removeprefix("TEST-").capitalize()
        words = {"name": name, "summary": f"A {name}", "description": f"A good {name}", "image": "mark.svg"}
        session.add(Product(sku=sku, slug=name.lower(), category="test", prices=prices, position=position, **words))
        session.add(Stock(sku=sku, on_hand=UNITS, reserved=0))
        session.flush()
        session.add(StockMovement(sku=sku, quantity=UNITS, kind="receipt", at=clock.wall()))


def empty(session: Session | scoped_session[Any]) -> None:
    """Forget everything, and put two products on sale anew."""
    for table in reversed(db.metadata.sorted_tables):
        session.execute(table.delete())
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
    """A migrated database with two products, of this test alone; the test runs once on each kind."""
    return _databases.lend(request.param)


class _Apps:
    """Shops that were made for one test and serve the next one too: what they have compiled is worth keeping."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[Flask, dict[str, Any], dict[str, Any]]] = {}

    def get(self, database_url: str, redis_url: str) -> Flask:
        """A shop on these two, as if it had just been made."""
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
    """The shop in the words of its tests. Each call is one unit, in an app context of its own."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._events = itertools.count(1)
        self.acquirer: Acquirer = app.extensions["test_acquirer"]

    # --- what people do ---

    def cart(self, *lines: tuple[str, int], currency: str = "TWD") -> str:
        """A cart with these lines; one kettle when none are named."""
        cart_id = cart.create(currency)
        for sku, quantity in lines or ((KETTLE, 1),):
            cart.add(cart_id, sku, quantity)
        return cart_id

    def customer(self, credit: int = 0, currency: str = "TWD") -> int:
        """The id of somebody with an account, and with store credit if we were kind to them."""
        with writing():
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

    def place(
        self,
        cart_id: str,
        *,
        provider: str = "fakepay",
        key: str | None = None,
        customer: int | None = None,
        credit: int = 0,
    ) -> Order:
        """Press "Place order and pay"."""
        buyer = saga.Buyer("ada@example.com", "Ada", "1 Main St", "Taipei", "TW", user_id=customer)
        return saga.place_order(cart_id, buyer, provider, key or cart.load(cart_id).checkout_key, credit=credit)

    def order(
        self,
        *lines: tuple[str, int],
        currency: str = "TWD",
        provider: str = "fakepay",
        customer: int | None = None,
        credit: int = 0,
    ) -> Order:
        """An order whose payment was opened."""
        cart_id = self.cart(*lines, currency=currency)
        return self.place(cart_id, provider=provider, customer=customer, credit=credit)

    def paid_order(self, *lines: tuple[str, int], customer: int | None = None, credit: int = 0) -> Order:
        """An order that a payment has paid."""
        order = self.order(*lines, customer=customer, credit=credit)
        self.acquirer.capture(self.payment(order).id)
        self.hear(self.payment(order))
        return order

    def cancel(self, order: Order) -> None:
        closing.cancel_order(order.id, "buyer")

    def pay_again(self, order: Order, provider: str = "fakepay") -> Payment:
        return start.open_payment(order.id, provider)

    def restock(self, sku: str = KETTLE) -> None:
        """Fill the shelf up, for tests that go round and round."""
        with writing():
            stock.receive(sku, UNITS - stock.available([sku])[sku])

    # --- what the acquirer does ---

    def hear(self, payment: Payment | str, event: str = "", **changed: Any) -> tuple[int, str]:
        """A webhook about the payment as the acquirer has it now; returns status and body of the acknowledgement."""
        reference = payment if isinstance(payment, str) else payment.id
        headers, body = self.acquirer.webhook(reference, event or f"evt-{next(self._events)}", **changed)
        return self.receive(headers, body)

    def receive(self, headers: dict[str, str], body: bytes, provider: str = "fakepay") -> tuple[int, str]:
        found = registry.get(provider)
        assert found
        return inbox.receive(found, headers, body)

    def apply(self, inbox_id: int) -> str | None:
        """What the sweep does with a stored webhook."""
        return inbox.apply(inbox_id)

    # --- time ---

    def wait(self, **by: float) -> None:
        """Turn the clock; nobody looks."""
        clock.advance(timedelta(**by))

    def turn_to(self, moment: datetime | None) -> None:
        """Turn the clock to a moment that is still to come, and let the clock process have its look."""
        assert moment, "nothing is due"
        clock.advance(max(timedelta(0), moment - clock.now()))
        self.sweep()

    def turn(self, **by: float) -> None:
        """Turn the clock and let the clock process have its look."""
        clock.advance(timedelta(**by))
        self.sweep()

    def make_due(self, payment: Payment) -> None:
        """The clock finds the payment at its next look."""
        with writing():
            db.session.get_one(Payment, payment.id).next_check_at = clock.now()

    def sweep(self) -> dict[str, int]:
        return work.sweep()

    # --- what is ---

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
        """How long until the payment is asked about; then it is."""
        due = self.payment(order).next_check_at
        assert due
        wait = due - clock.now()
        self.turn_to(due)
        return wait

    def standing(self, order: Order) -> Standing:
        db.session.rollback()
        return standing(db.session.get_one(Order, order.id, populate_existing=True))

    def captures(self, order: Order) -> list[str | None]:
        """What each capture of the order is to it, in the order of hearing; of one report, what paid comes first."""
        db.session.rollback()
        heard = (Capture.heard_at, Capture.standing)
        rows = db.select(Capture.standing).join(Payment).where(Payment.order_id == order.id).order_by(*heard)
        return list(db.session.scalars(rows))

    def verdicts(self, payment: Payment) -> list[str]:
        db.session.rollback()
        rows = db.select(Report.verdict).where(Report.payment_id == payment.id).order_by(Report.id)
        return list(db.session.scalars(rows))

    def count(self, table: type[Base]) -> int:
        db.session.rollback()
        return db.session.scalar(db.select(db.func.count()).select_from(table)) or 0

    def told(self, stream: str) -> list[int]:
        """The ids of the events on a stream, as Redis has them."""
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
        """What the customer can spend, in minor units."""
        db.session.rollback()
        return store_credit.available(customer, currency).amount

    def moves(self, order: Order) -> list[str | None]:
        """The states that the order has been in."""
        db.session.rollback()
        return [event.target for event in events.since(order.id, 0) if event.target]

    def can_sell(self, sku: str = KETTLE) -> int:
        db.session.rollback()
        return stock.available([sku])[sku]

    def price(self, sku: str = KETTLE, currency: str = "TWD") -> Money:
        return Money(PRICES[sku][currency], currency)

    def is_sound(self) -> None:
        """Every invariant holds."""
        broken = [f for f in invariants.check(ask_acquirer=False) if not f.holds]
        assert not broken, "\n".join(f"{f.name}: {f.says}: {f.rows}" for f in broken)


@pytest.fixture
def shop(app: Flask) -> Iterator[Shop]:
    """The shop in words. A test that uses it ends with the invariants."""
    with app.app_context():
        words = Shop(app)
        yield words
        words.is_sound()


def bare_order(state: str) -> int:
    """The id of an order in `state` that nothing belongs to; how it came there is left open."""
    where = {"email": "ada@example.com", "name": "Ada", "line1": "1 Main St", "city": "Taipei", "country": "TW"}
    names = {"number": ids.order_number(), "token": ids.token(), "checkout_key": ids.token()}
    times = {"placed_at": clock.now(), "pay_by": clock.now() + timedelta(minutes=30)}
    with writing():
        order = Order(state=state, currency="TWD", total_amount=1, event_seq=0, **names, **times, **where)
        db.session.add(order)
        db.session.flush()
        return order.id


Race = Callable[[Callable[[int], Any]], list[Any]]


@pytest.fixture
def race(app: Flask) -> Race:
    """`race(do)`: eight callers do `do(number)` at once, each in its own app context; what each returned or raised."""

    def run(do: Callable[[int], Any], callers: int = 8) -> list[Any]:
        barrier = threading.Barrier(callers)
        results: list[Any] = [None] * callers

        def call(number: int) -> None:
            with app.app_context():
                db.session.execute(db.select(1))
                db.session.rollback()
                barrier.wait()
                try:
                    results[number] = do(number)
                except Exception as error:  # noqa: BLE001 - what the loser of a race gets is part of the result
                    results[number] = error

        threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return results

    return run
