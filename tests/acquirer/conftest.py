"""Fixtures: an acquirer per test on SQLite and PostgreSQL, a webhook receiver that really listens, and helpers for
both.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from mock_acquirer import create_app, loop
from mock_acquirer.db import db
from tests.parts import lending
from tests.parts.lending import Databases
from tests.parts.postgres import PostgresServer
from tests.real_acquirer_fixtures import ReusedApps

T = TypeVar("T")
RETURN = "http://shop.test/orders/abc/return"
SECRET = "whsec_a3BheS1kZW1vLXdlYmhvb2stc2VjcmV0LTAwMDE="
QUIET = {"ACQUIRER_LOOP": "off", "REDIS_URL": "", "SHOP_CLOCK_URL": "", "ACQUIRER_LOG_LEVEL": "ERROR"}
PUBLIC = {"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}
"""Settings for the public certificate authorities, whatever this machine's environment says."""
GOOD_CARD = {"number": "4242 4242 4242 4242", "expiry": "12/34", "cvc": "123", "name": "Ada Test"}


@dataclass
class Hook:
    """A request received."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    @property
    def type(self) -> str:
        return str(self.event["type"])


@dataclass
class Receiver:
    """A merchant's webhook endpoint. `answer` is (status, headers, body), or a function of the hook."""

    url: str = ""
    hooks: list[Hook] = field(default_factory=list)
    answer: Any = (204, {}, b"")
    others: list[str] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [hook.type for hook in self.hooks]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Receiver on its own port."""
    found = Receiver()

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook = Hook(headers, self.rfile.read(int(headers["content-length"])))
            found.hooks.append(hook)
            status, more, body = found.answer(hook) if callable(found.answer) else found.answer
            self.send_response(status)
            for name, value in (more | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            found.others.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/hooks"
    yield found
    server.shutdown()
    server.server_close()


class World:
    """The acquirer's APIs and pages, as test helpers."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.browser: FlaskClient = app.test_client()
        self._numbers = itertools.count(1)

    def api(self, method: str, path: str, key: str | None = None, run: str = "", **more: Any) -> TestResponse:
        """Call a merchant API."""
        bearer = {"Authorization": "Bearer kp_test_demo" + (f".{run}" if run else "")}
        keyed = {"Idempotency-Key": key} if key else {}
        headers = bearer | keyed | more.pop("headers", {})
        return self.app.test_client().open("/kpay/v1" + path, method=method, headers=headers, **more)

    def sim(self, method: str, path: str, body: Any = None, run: str = "", status: int = 200) -> Any:
        """Call the control API; the response must have `status`."""
        headers = {"Authorization": "Bearer sim_demo"} | ({"X-Sim-Run": run} if run else {})
        answer = self.app.test_client().open("/_sim" + path, method=method, headers=headers, json=body)
        assert answer.status_code == status, answer.text
        return answer.json

    def wish(self, **changes: Any) -> dict[str, Any]:
        """Request body that opens a payment."""
        wish = {"reference": f"P{next(self._numbers)}", "amount": 120000, "currency": "TWD", "return_url": RETURN}
        return {name: value for name, value in (wish | changes).items() if value is not None}

    def open(self, run: str = "", **changes: Any) -> dict[str, Any]:
        """Open a payment."""
        answer = self.api("POST", "/payments", json=self.wish(**changes), run=run)
        assert answer.status_code == 201, answer.text
        return answer.json  # type: ignore[return-value]

    def shown(self, payment: dict[str, Any], run: str = "") -> dict[str, Any]:
        """The payment as the merchant's query shows it."""
        return self.api("GET", f"/payments/{payment['id']}", run=run).json  # type: ignore[return-value]

    def approve(self, payment: dict[str, Any], run: str = "", **body: Any) -> dict[str, Any]:
        """The customer pays."""
        return self.sim("POST", f"/payments/{payment['id']}/approve", body, run=run)  # type: ignore[no-any-return]

    def faults(self, run: str = "", **plan: Any) -> None:
        """Arm a global fault plan."""
        self.sim("PUT", "/faults", plan, run=run)

    def record(self, payment: dict[str, Any], run: str = "") -> dict[str, Any]:
        return self.sim("GET", f"/payments/{payment['id']}", run=run)  # type: ignore[no-any-return]

    def fired(self, payment: dict[str, Any]) -> list[str]:
        return [use["fault"] for use in self.record(payment)["faults_used"]]

    def advance(self, by: str, run: str = "") -> dict[str, Any]:
        return self.sim("POST", "/clock/advance", {"by": by}, run=run)  # type: ignore[no-any-return]

    def settle(self) -> None:
        """Run the loop until nothing is due."""
        while loop.tick(self.app):
            pass

    def csrf(self, path: str) -> str:
        """CSRF token in a page of the browser."""
        page = self.browser.get(path, follow_redirects=True)
        return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]  # type: ignore[index]

    def submit(self, payment: dict[str, Any], form: str, **values: str) -> TestResponse:
        """Send a form of the hosted page, such as `card` or `cancel`."""
        path = f"/pay/{payment['id']}"
        return self.browser.post(f"{path}/{form}", data={"csrf": self.csrf(path)} | values)

    def rows(self) -> str:
        """All rows of the database, as text."""
        with self.app.app_context():
            tables = db.metadata.sorted_tables
            return "\n".join(str(row) for table in tables for row in db.session.execute(text(f"SELECT * FROM {table}")))

    def at_once(self, count: int, do: Callable[[int], T]) -> list[T]:
        """`count` threads call `do(number)` at the same time."""
        barrier = threading.Barrier(count)
        results: list[Any] = [None] * count

        def work(number: int) -> None:
            barrier.wait(10)
            results[number] = do(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return results


def _migrate(url: str) -> None:
    app = create_app(QUIET | {"ACQUIRER_DATABASE_URL": url})
    with app.app_context():
        upgrade()
        db.engine.dispose()


def _empty(session: Session) -> None:
    lending.empty(session, db.metadata)


GIVEN = "ACQUIRER_TEST_DATABASE_URL"


@pytest.fixture(scope="session")
def _acquirer_databases(
    request: pytest.FixtureRequest, _acquirer_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    def sqlite() -> str:
        return f"sqlite:///{shutil.copy(_acquirer_template, tmp_path_factory.mktemp('acquirer') / 'acquirer.db')}"

    def postgresql() -> str:
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.url(server.create(server.template("acquirer", _migrate)))

    def given() -> str:
        _migrate(os.environ[GIVEN])
        return os.environ[GIVEN]

    databases = Databases({"sqlite": sqlite, "postgresql": postgresql, "given": given}, _empty)
    yield databases
    databases.close()


@pytest.fixture(params=["given"] if os.environ.get(GIVEN) else ["sqlite", "postgresql"])
def acquirer_database(request: pytest.FixtureRequest, _acquirer_databases: Databases) -> str:
    """A migrated database for this test; the test runs once on each engine (or on the requested one)."""
    return _acquirer_databases.lend(request.param)


@pytest.fixture
def make_world(acquirer_database: str, receiver: Receiver, reused_apps: ReusedApps) -> Iterator[Callable[..., World]]:
    """Factory of acquirers on this test's database, with other settings if given."""
    worlds: list[World] = []
    own: list[Flask] = []

    def make(**settings: Any) -> World:
        where = {"ACQUIRER_DATABASE_URL": acquirer_database, "ACQUIRER_KPAY_WEBHOOK_URL": receiver.url}
        # a port without a listener, so that a demo on this machine receives nothing from tests
        for name in ("tpay", "paypay", "stripe"):
            where[f"ACQUIRER_{name.upper()}_WEBHOOK_URL"] = f"http://localhost:9/webhooks/{name}"
        usual = QUIET | PUBLIC | where | {"ACQUIRER_TIMEOUT_HOLD": "0", "ACQUIRER_RATE_LIMIT": ""}
        if worlds or settings.keys() & ReusedApps.AT_START:
            app = create_app(usual | settings)
            own.append(app)
        else:
            app = reused_apps.app(usual, settings)
        worlds.append(World(app))
        return worlds[-1]

    yield make
    for app in own:
        if loop_stop := app.extensions.get("acquirer.loop"):
            loop_stop.set()
        app.extensions["acquirer.http"].close()
    for world in worlds:
        with world.app.app_context():
            db.engine.dispose()


@pytest.fixture
def acquirer(make_world: Callable[..., World]) -> World:
    return make_world()
