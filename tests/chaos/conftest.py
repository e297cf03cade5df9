"""Test environment of real processes: the shop, a real Redis and the real acquirer, each of which tests may stop."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest
from flask import Flask

from shop import create_app
from shop.core import clock
from shop.core.db import db, transaction
from shop.inventory import stock
from shop.orders.models import Order
from tests.fakes import Acquirer
from tests.parts.processes import VENV_BIN, Process, Processes, free_port
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until
from tests.real_acquirer_fixtures import TOKEN, RealAcquirer
from tests.shop_fixtures import PEN, Shop, environ

ADDRESS = {"email": "ada@example.com", "name": "Ada", "line1": "1 Main St", "city": "Taipei", "country": "TW"}
_numbers = itertools.count(1)


class Visitor:
    """A client of the shop's web process. Responses are httpx's; an unreachable `site` raises httpx's error."""

    def __init__(self, site: str) -> None:
        own_address = {"X-Forwarded-For": f"10.0.0.{next(_numbers) % 250 + 1}"}
        self.client = httpx.Client(base_url=site, timeout=10, trust_env=False, headers=own_address)

    def post(self, path: str, form_of: str, **fields: str) -> httpx.Response:
        """Send the form on the page `form_of`."""
        return self.client.post(path, data={"csrf_token": self._value(form_of, "csrf_token"), **fields})

    def fill_cart(self) -> None:
        assert self.post("/cart/lines", "/products/pen", sku=PEN, quantity="1").status_code == 303

    def checkout_form(self) -> dict[str, str]:
        """The checkout form, filled in."""
        page = self.client.get("/checkout").text
        carried = {name: _find(page, name) for name in ("key", "terms", "shown", "customer", "csrf_token")}
        return {**ADDRESS, "method": "kpay", **carried}

    def place(self) -> str:
        """Order a pen, and return the path of the order page."""
        self.fill_cart()
        answer = self.client.post("/checkout", data=self.checkout_form())
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def heading(self, path: str) -> str:
        """The heading of the order page."""
        found = re.search(r"<h1[^>]*>(.*?)</h1>", self.client.get(path).text, re.S)
        assert found
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", found[1])).strip()

    def _value(self, path: str, name: str) -> str:
        return _find(self.client.get(path).text, name)


def _find(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*? value="([^"]+)"', page)
    assert found, f"no {name} in {page[:2000]}"
    return found[1]


class Deployment:
    """The processes, and ways to stop them."""

    def __init__(self, app: Flask, settings: dict[str, str], acquirer: RealAcquirer, process: Processes) -> None:
        self.app, self.settings, self.acquirer, self.process = app, settings, acquirer, process
        self.shop = Shop(app)
        self.site = settings["SHOP_URL"]

    # --- processes ---

    def clock(self, **settings: str) -> Process:
        return self.run("clock", ["flask", "--app", "wsgi", "clock"], **settings)

    def worker(self) -> Process:
        return self.run("worker", ["flask", "--app", "wsgi", "worker"])

    def web(self) -> Process:
        """The shop's web process; returns when it answers."""
        web = self.run("web", ["gunicorn", "-c", "deploy/gunicorn.py", "wsgi:app"])
        web.wait_for_url(f"{self.site}/healthz", within=30)
        return web

    def check(self) -> str:
        """Violations found by `flask check`, which queries the acquirer too."""
        done = self.app.test_cli_runner().invoke(args=["check"])
        return "clean" if done.exit_code == 0 else f"{done.output}{done.exception!r}"

    def run(self, name: str, command: list[str], **settings: str) -> Process:
        return self.process(command, self._environ(**settings), log=f"{name}-{len(self.process.started)}")

    def _environ(self, **settings: str) -> dict[str, str]:
        return {"PATH": f"{VENV_BIN}:/usr/bin:/bin", **self.settings, **settings}

    # --- customers ---

    def visitor(self) -> Visitor:
        return Visitor(self.site)

    def paid_there(self, number: int) -> list[Order]:
        """Orders paid at the acquirer without a webhook."""
        orders = [self.shop.order((PEN, 1), provider="kpay") for _ in range(number)]
        for order in orders:
            self.acquirer.approve(self.shop.payment(order).id)
        return orders

    # --- queries ---

    def states(self, orders: list[Order]) -> set[str]:
        db.session.rollback()
        return set(db.session.scalars(db.select(Order.state).where(Order.id.in_([order.id for order in orders]))))

    def until_all_are(self, state: str, orders: list[Order], within: float = 30.0) -> None:
        until(lambda: self.states(orders) == {state}, within, f"all orders to be {state}")

    def order(self, path: str) -> Order:
        """The order of a page."""
        db.session.rollback()
        return db.session.scalars(db.select(Order).where(Order.token == path.rsplit("/", 1)[1])).one()

    def requested(self, orders: list[Order]) -> int:
        """The number of queries about these orders at the acquirer."""
        return self.acquirer.requested([self.shop.payment(order).id for order in orders])


@pytest.fixture
def deployment(
    database_url: str,
    own_redis: RedisServer,
    make_acquirer: Callable[..., RealAcquirer],
    process: Processes,
) -> Iterator[Deployment]:
    """The shop with all its services. It ends with the invariants, the acquirer's totals included."""
    port = free_port()
    site = f"http://localhost:{port}"
    acquirer = make_acquirer(ACQUIRER_WEBHOOK_TARGETS=site)
    settings = environ(database_url, own_redis.url) | {
        "SHOP_URL": site,
        "PORT": str(port),
        "BIND_ADDRESS": "127.0.0.1",
        "PROXY_HOPS": "1",
        "ACQUIRER_URL": acquirer.url,
        "ACQUIRER_PUBLIC_URL": acquirer.url,
        "CONTROL_TOKEN": TOKEN,
        "KPAY_MOCKED": "on",
        "SETTLED_ENV": "development",
        "LOG_FORMAT": "text",
    }
    app = create_app(settings, TESTING=True)
    with app.app_context():
        app.extensions["test_acquirer"] = Acquirer(clock.now)
        with transaction():
            stock.receive(PEN, 100)
        yield Deployment(app, settings, acquirer, process)
        process.end()
        with suppress(Exception):
            acquirer.start()
        db.session.remove()
        db.engine.dispose()
