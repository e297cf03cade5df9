"""The real mock acquirer on its own port, which the shop reaches over HTTP alone."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import func, select
from werkzeug.serving import make_server

import mock_acquirer
from mock_acquirer import loop
from mock_acquirer.db import db as acquirer_db
from mock_acquirer.handover import HandOver
from mock_acquirer.models import Payment, TimelineEntry
from mock_acquirer.settings import load
from tests.parts import lending
from tests.parts.lending import Databases
from tests.parts.processes import NOWHERE, free_port

TOKEN = "sim_tests"
QUIET = {"REDIS_URL": "", "SHOP_CLOCK_URL": "", "ACQUIRER_LOG_LEVEL": "ERROR", "ACQUIRER_LOOP": "off"}
HOLD = 3.0
"""Seconds that a call with a timeout fault hangs."""
PATIENT, IMPATIENT = httpx.Timeout(30), httpx.Timeout(HOLD / 2)
"""The shop's timeouts in tests. It is impatient while a timeout fault is planned, so that a slow machine is none."""


class ReusedApps:
    """Apps made for one test and reused by the next one, because compiling statements and templates is slow."""

    AT_START = {
        "REDIS_URL",
        "ACQUIRER_LOOP",
        "ACQUIRER_LOG_LEVEL",
        "ACQUIRER_PUBLIC_URL",
        "ACQUIRER_RATE_LIMIT",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    }
    """Settings read while an app is created; all others are read at each request."""

    def __init__(self) -> None:
        self._apps: dict[str, tuple[Flask, dict[str, Any], dict[str, Any]]] = {}

    def app(self, settings: dict[str, str], wanted: dict[str, Any]) -> Flask:
        """An app with these settings plus those `wanted` by this test alone, as if newly created."""
        url = settings["ACQUIRER_DATABASE_URL"]
        if url not in self._apps:
            app = mock_acquirer.create_app(settings)
            self._apps[url] = (app, dict(app.config), _copies(app.extensions))
        app, config, extensions = self._apps[url]
        with app.app_context():
            acquirer_db.engine.dispose()  # connections to the file that was there before
        for live, first in ((app.config, config), (app.extensions, _copies(extensions))):
            live.clear()
            live.update(first)
        vars(app).pop("wsgi_app", None)  # what a test has wrapped around it
        read = load(mock_acquirer.setting_rows(), settings | wanted)
        app.config.update({name: read[name] for name in settings | wanted})
        app.extensions["acquirer.courier"] = HandOver(app)
        return app


def _copies(extensions: dict[str, Any]) -> dict[str, Any]:
    """The extensions with copied tables, so that a test's replacement of an entry does not reach the next test."""
    return {name: dict(each) if type(each) is dict else each for name, each in extensions.items()}


class RealAcquirer:
    """The acquirer's app behind a real socket, with its own database, loop and clock. Its app is one of `apps`, or its
    own.
    """

    def __init__(self, database: Path, apps: ReusedApps | None = None, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {
            "ACQUIRER_DATABASE_URL": f"sqlite:///{database}",
            "ACQUIRER_PUBLIC_URL": self.url,
            "ACQUIRER_CONTROL_TOKEN": TOKEN,
            "ACQUIRER_TIMEOUT_HOLD": str(HOLD),
            "ACQUIRER_WEBHOOK_TARGETS": NOWHERE,
            **{f"ACQUIRER_{name}_WEBHOOK_URL": "" for name in ("KPAY", "TPAY", "PAYPAY", "STRIPE")},
        }
        self._reused = apps is not None
        self.app = apps.app(QUIET | own, settings) if apps else mock_acquirer.create_app({**QUIET, **own, **settings})
        self._ended = threading.Event()
        self._loop = threading.Thread(target=loop.forever, args=(self.app, self._ended), daemon=True)
        self._loop.start()
        self._under_way: list[str] = []
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        plain = {"timeout": PATIENT, "trust_env": False, "verify": False}  # no TLS: reading authorities takes 30 ms
        self._client = httpx.Client(base_url=self.url, headers=bearer, **plain)
        self.shop_client = httpx.Client(**plain)
        """What the shop calls this acquirer with."""
        self._server: Any = None
        self.start()

    def start(self) -> None:
        """Listen. Does nothing when it already does."""
        if self._server is None:
            self._server = make_server("127.0.0.1", self.port, self._serve, threaded=True)
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening; its data is kept."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close(self) -> bool:
        """Stop for good. False when something goes on that could still write to the database."""
        self.stop()
        self._ended.set()
        self.app.extensions["acquirer.courier"].wake.set()
        self._loop.join(HOLD)
        self._client.close()
        self.shop_client.close()
        if not self._reused:
            self.app.extensions["acquirer.http"].close()
        with self.app.app_context():
            acquirer_db.engine.dispose()
        return not self._under_way and not self._loop.is_alive()

    def _serve(self, environ: dict[str, Any], start: Any) -> Any:
        self._under_way.append(environ["PATH_INFO"])
        try:
            return self.app(environ, start)
        finally:
            self._under_way.remove(environ["PATH_INFO"])

    # --- actions ---

    def sim(self, method: str, path: str, body: Any = None) -> Any:
        """Call its control API."""
        answer = self._client.request(method, f"/_sim{path}", json=body)
        assert answer.status_code < 400, f"{answer.status_code} {answer.text}"
        return answer.json()

    def approve(self, reference: str, card: str = "4242424242424242") -> None:
        self.sim("POST", f"/payments/{reference}/approve", {"card": card})

    def act(self, reference: str, act: str, **body: Any) -> None:
        """Perform a customer action: decline, fail, cancel."""
        self.sim("POST", f"/payments/{reference}/{act}", body)

    def faults(self, **plan: Any) -> None:
        """Arm a fault plan; without a plan, disarm."""
        self.shop_client.timeout = IMPATIENT if "timeout_" in str(plan) else PATIENT
        self.sim("PUT", "/faults", plan)

    def advance(self, by: str) -> None:
        self.sim("POST", "/clock/advance", {"by": by})

    def payment(self, reference: str) -> dict[str, Any]:
        """A payment at the acquirer, by either side's id."""
        return self.sim("GET", f"/payments/{reference}")  # type: ignore[no-any-return]

    def known(self, reference: str) -> int:
        """The number of payments under a merchant's reference, in any dialect."""
        mine = select(func.count()).select_from(Payment).where(Payment.reference == reference)
        with self.app.app_context():
            return acquirer_db.session.scalar(mine) or 0

    def requested(self, references: list[str]) -> int:
        """The number of queries for the payments under these references."""
        calls = select(func.count()).select_from(TimelineEntry).join(Payment, Payment.id == TimelineEntry.payment_id)
        queries = calls.where(TimelineEntry.kind == "call", TimelineEntry.text.startswith("query"))
        with self.app.app_context():
            return acquirer_db.session.scalar(queries.where(Payment.reference.in_(references))) or 0


@dataclass
class WebhookReceiver:
    """An endpoint that accepts webhooks and keeps them."""

    url: str = ""
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def about(self, reference: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for headers, body in self.received if reference.encode() in body]


@pytest.fixture(scope="session")
def _acquirer_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("acquirer") / "template.db"
    app = mock_acquirer.create_app(QUIET | {"ACQUIRER_DATABASE_URL": f"sqlite:///{path}"})
    with app.app_context():
        upgrade()
        acquirer_db.engine.dispose()
    return path


@pytest.fixture(scope="session")
def reused_apps() -> ReusedApps:
    return ReusedApps()


@pytest.fixture(scope="session")
def _lent(_acquirer_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    def copy() -> str:
        return f"sqlite:///{shutil.copy(_acquirer_template, tmp_path_factory.mktemp('acquirer') / 'lent.db')}"

    databases = Databases({"sqlite": copy}, lambda session: lending.empty(session, acquirer_db.metadata))
    yield databases
    databases.close()


@contextmanager
def _acquirers(template: Path, folder: Path) -> Iterator[Callable[..., RealAcquirer]]:
    made: list[RealAcquirer] = []

    def make(**settings: str) -> RealAcquirer:
        database = folder / f"acquirer-{len(made)}.db"
        shutil.copy(template, database)
        made.append(RealAcquirer(database, **settings))
        return made[-1]

    yield make
    for acquirer in made:
        acquirer.close()


@pytest.fixture
def make_acquirer(
    _acquirer_template: Path, _lent: Databases, reused_apps: ReusedApps, tmp_path: Path
) -> Iterator[Callable[..., RealAcquirer]]:
    """Start acquirers with their own database; settings by name."""
    lent: list[RealAcquirer] = []
    with _acquirers(_acquirer_template, tmp_path) as make_new:

        def make(**settings: str) -> RealAcquirer:
            if lent or settings.keys() & ReusedApps.AT_START:
                return make_new(**settings)
            database = Path(_lent.lend("sqlite").removeprefix("sqlite:///"))
            lent.append(RealAcquirer(database, reused_apps, **settings))
            return lent[0]

        yield make
    if not all(acquirer.close() for acquirer in lent):
        _lent.close()


@pytest.fixture(scope="module")
def _kept_acquirers(
    _acquirer_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Callable[..., RealAcquirer], dict[str, RealAcquirer]]]:
    with _acquirers(_acquirer_template, tmp_path_factory.mktemp("acquirers")) as make:
        yield make, {}


@pytest.fixture
def keep_acquirer(
    _kept_acquirers: tuple[Callable[..., RealAcquirer], dict[str, RealAcquirer]],
) -> Iterator[Callable[..., RealAcquirer]]:
    """As `make_acquirer`, for tests that read their own payments only: the next test with the same settings gets the
    same acquirer, without faults and listening.
    """
    make, kept = _kept_acquirers
    used: list[RealAcquirer] = []

    def keep(**settings: str) -> RealAcquirer:
        key = repr(sorted(settings.items()))
        if key not in kept:
            kept[key] = make(**settings)
        used.append(kept[key])
        return kept[key]

    yield keep
    for acquirer in used:
        acquirer.start()
        acquirer.faults()


@contextmanager
def listening() -> Iterator[WebhookReceiver]:
    found = WebhookReceiver()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.received.append((headers, self.rfile.read(int(headers.get("content-length", 0)))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A webhook receiver on its own port that acknowledges everything."""
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def kept_receiver() -> Iterator[WebhookReceiver]:
    """A receiver for a whole file, for use with kept acquirers."""
    with listening() as found:
        yield found
