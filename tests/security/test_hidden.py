"""Attacks 15, 16, 21 and 24: no secret or card number in logs or stores, and no code execution from Redis."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import io
import json
import logging
import pickle
import re
import stat
import threading
import tomllib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from redis import Redis as UnixRedis
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from werkzeug.serving import make_server

import mock_acquirer
from mock_acquirer.db import db as acquirer_db
from mock_acquirer.logs import JsonLines
from shop import create_app, settings
from shop.core import redis, task_queue
from shop.core.db import db
from shop.jobs.clock import Clock
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.records.models import Payment
from tests.parts.processes import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until
from tests.real_acquirer_fixtures import TOKEN, RealAcquirer
from tests.shop_fixtures import PEN, environ
from tools.docs.code import ROOT, sources

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PASSWORD = "correct horse battery staple"
GOOD, BAD, ODD = "4242424242424242", "4000000000000002", "4539578763621486"
CARDS = (GOOD, BAD, ODD)
CVC = "917"
ADDRESS = {"email": "mei@example.com", "name": "Mei", "line1": "1 Main St", "city": "Taipei", "country": "TW"}


class Journey:
    """A customer signs in, buys and pays by card, through real sockets; all logs and stores afterwards."""

    def __init__(self, site: str) -> None:
        self.client = httpx.Client(base_url=site, trust_env=False, timeout=20)
        self.secrets: dict[str, str] = {}

    def post(self, path: str, form_of: str, **fields: str) -> httpx.Response:
        page = self.client.get(form_of).text
        hidden = dict(re.findall(r'name="(csrf_token|key|terms|shown|customer|csrf)"[^>]*? value="([^"]+)"', page))
        for name in ("csrf_token", "csrf"):
            if name in hidden:
                self.secrets[f"a form's {name}"] = hidden[name]
        return self.client.post(path, data={**hidden, **fields})

    def buy(self) -> str:
        """The token of an order paid by card after a few declined cards."""
        self.post("/register", "/register", email="mei@example.com", name="Mei", password=PASSWORD)
        self.post("/cart/lines", "/products/pen", sku=PEN, quantity="1")
        order = self.post("/checkout", "/checkout", **ADDRESS, method="kpay").headers["Location"]
        payment_page = self.post(f"{order}/pay", order).headers["Location"]
        for number in (ODD, BAD, GOOD):
            card = {"number": number, "expiry": "12/34", "cvc": CVC, "name": "Mei"}
            answer = self.post(f"{payment_page}/card", payment_page, **card)
            assert answer.status_code in (200, 303, 422), answer.status_code
        self.secrets["the cookie"] = self.client.cookies["settled"]
        return str(order).rsplit("/", 1)[1]


Stack = tuple[Flask, str, RealAcquirer, io.StringIO]


@pytest.fixture
def stack(
    database_url: str,
    own_redis: RedisServer,
    make_acquirer: Callable[..., RealAcquirer],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stack]:
    """The shop on a port, with Redis and the real acquirer, whose webhooks reach it; both log everything."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    acquirer = make_acquirer(ACQUIRER_WEBHOOK_TARGETS=site, ACQUIRER_LOG_LEVEL="DEBUG")
    written = logging.StreamHandler(io.StringIO())
    written.setFormatter(JsonLines())
    monkeypatch.setattr(acquirer.app.logger, "handlers", [written])
    there = {"ACQUIRER_URL": acquirer.url, "ACQUIRER_PUBLIC_URL": acquirer.url, "LOG_FORMAT": "json"}
    app = create_app(environ(database_url, own_redis.url, SHOP_URL=site, **there), TESTING=True)
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield app, site, acquirer, written.stream
    server.shutdown()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def secrets_of(app: Flask, acquirer: RealAcquirer) -> dict[str, str]:
    """Every secret of shop and acquirer by name."""
    rows = [*settings.SETTINGS, *(row for cls in registry.classes().values() for row in cls.SETTINGS)]
    ours = {row.name: str(app.config[row.name]) for row in rows if row.secret}
    theirs = {
        row.name: str(acquirer.app.config.get(row.name, row.default))
        for row in mock_acquirer.setting_rows()
        if re.search("SECRET|TOKEN|KEY|IV$", row.name) and not row.name.endswith("_URL")
    }
    found = {**ours, **theirs, "the control token": TOKEN}
    return {name: value for name, value in found.items() if len(value) >= 6 and not name.endswith("_URL")}


def secrets_in(text: str, secrets: dict[str, str]) -> list[str]:
    return [name for name, value in secrets.items() if value in text]


def card_numbers(text: str) -> list[str]:
    """Digits that are a card number by prefix, length and checksum."""
    return [found for found in re.findall(r"(?<![\d.])[3-6]\d{13,18}(?!\d)", text) if _luhn(found)]


def _luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def dump(database: Any) -> str:
    """All contents of a database, as text."""
    database.session.rollback()
    rows = (row for table in database.metadata.sorted_tables for row in database.session.execute(db.select(table)))
    return "\n".join(repr(tuple(row)) for row in rows)


def redis_files(server: RedisServer) -> str:
    """Redis's files, queue included."""
    return "".join(
        p.read_text(errors="replace") for p in server.folder.rglob("*") if p.is_file() and "sock" not in p.name
    )


@on_sqlite
def test_after_a_purchase_no_log_has_a_secret_and_no_card_number_is_stored(
    capfd: pytest.CaptureFixture[str], stack: Stack, own_redis: RedisServer
) -> None:
    """Attacks 15 and 16: logs of shop and acquirer, both databases, Redis's file with its jobs."""
    app, site, acquirer, written = stack
    journey = Journey(site)
    token = journey.buy()
    with app.app_context():
        order = db.session.scalars(db.select(Order).where(Order.token == token)).one()
        until(lambda: _state(order.id) == "PAID", within=20, what="the webhook")
        db.session.scalars(db.select(Payment)).one().next_check_at = order.placed_at
        db.session.commit()
        Clock().tick()
        assert task_queue.queue().count, "there is a job in Redis"
        ours = dump(db)
    with acquirer.app.app_context():
        theirs = dump(acquirer_db)
    own_redis.stop()
    kept = redis_files(own_redis)
    logs = written.getvalue() + "".join(capfd.readouterr())
    secrets = {**secrets_of(app, acquirer), **journey.secrets, "the password": PASSWORD, "the order's token": token}
    assert "payment.update" in logs and "/card" in logs, "both worlds have written"
    assert len(secrets) >= 12
    assert secrets_in(logs, secrets) == []
    assert not re.search(r"whsec_|sk_test_|kp_test_|Bearer \w|argon2|v1,[A-Za-z0-9+/]{20}", logs)
    assert secrets_in(ours, secrets) == ["the order's token"], "it alone is kept: it opens the order"
    assert secrets_in(kept, secrets) == []
    for where, text in (("logs", logs), ("shop", ours), ("acquirer", theirs), ("Redis", kept)):
        assert [card for card in CARDS if card in text] == [], where
        assert card_numbers(text) == [], where
        assert not re.search(rf"(?<!\d){CVC}(?!\d)['\"]", text), where


def _state(order_id: int) -> str | None:
    db.session.rollback()
    return db.session.scalar(db.select(Order.state).where(Order.id == order_id))


def test_a_stored_card_number_and_a_logged_secret_are_seen() -> None:
    """Attacks 15 and 16: the scan itself."""
    assert card_numbers(f"paid with {GOOD}, at 20261121") == [GOOD]
    assert card_numbers("order 4242424242424241, 1700000000000000") == []
    assert secrets_in("Authorization: Bearer kp_test_demo", {"key": "kp_test_demo", "other": "nothing"}) == ["key"]


def test_cards_are_typed_on_the_acquirers_origin_alone() -> None:
    """Attack 16: no page of the shop has a field for them."""
    asking = [
        path.name
        for path in (ROOT / "templates" / "shop").rglob("*.html")
        if re.search(r'autocomplete="cc-|name="(card|pan|number|cvc|cvv|expiry)', path.read_text(), re.I)
    ]
    assert asking == []


# --- the queue ---


class Evil:
    """Unpickling it writes a file."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.where, "ran"))


@on_sqlite
def test_a_job_injected_into_redis_runs_no_code(app: Flask, tmp_path: Path) -> None:
    """Attack 21: no pickle is read, and our queue contains JSON."""
    ran = tmp_path / "ran"
    pickled = pickle.dumps(Evil(ran))
    with app.app_context():
        assert task_queue.enqueue("shop.jobs.work.batch", "poll", ["P1"], job_id="poll-1")
        client = redis.client()
        data = client.hget("rq:job:poll-1", "data")
        assert data
        stored = _unpacked(data)
        assert json.loads(stored)[0] == "shop.jobs.work.batch"
        client.hset("rq:job:evil", mapping={"data": pickled, "status": "queued", "created_at": "2026-01-01T00:00:00Z"})
        client.lpush(f"rq:queue:{task_queue.NAME}", "evil")
        found = task_queue.queue()
        SimpleWorker([found], connection=client, serializer=JSONSerializer).work(burst=True, logging_level="CRITICAL")
    assert not ran.exists()
    pickle.loads(pickled)
    assert ran.exists(), "it would have run"


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


def test_every_queue_and_every_worker_uses_json() -> None:
    """Attack 21: in every place that creates one."""
    made = [
        (source.path, {word.arg: ast.unparse(word.value) for word in node.keywords})
        for source in sources("shop", "mock_acquirer")
        for node in source.nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Queue", "Worker"))
    ]
    assert len(made) >= 5
    assert [path for path, words in made if words.get("serializer") != "JSONSerializer"] == []


def test_the_redis_of_the_runner_is_reachable_by_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack 21: no TCP port, and a socket with owner permissions."""
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "runner"))
    server = importlib.import_module("embedded_redis").EmbeddedRedis(tmp_path / "var")
    server.start()
    try:
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) & 0o077 == 0
        with UnixRedis(unix_socket_path=str(server.socket)) as client:
            assert client.config_get("port")["port"] == "0"
    finally:
        server.stop()


# --- libraries ---


def test_every_library_is_pinned_to_the_one_version_that_was_tested() -> None:
    """Attack 24: installed versions are known, and `pip-audit -r constraints.txt` compares them with known
    vulnerabilities.
    """
    pins = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.M))
    pins = {_plain(name): version for name, version in pins.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {_plain(re.split(r"[\[<>=;! ]", line)[0]) for line in wanted}
    assert names - set(pins) == set()
    installed = {_plain(d.metadata["Name"]): d.version for d in importlib.metadata.distributions()}
    assert {name: installed[name] for name in names if name in installed and installed[name] != pins[name]} == {}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
