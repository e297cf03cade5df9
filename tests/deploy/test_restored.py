"""Backup and restore as deploy/README.md documents them: a restored copy with SETTLED_PASSIVE=on does not act."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from shop import create_app
from shop.core import redis
from shop.core.db import db
from shop.core.errors import PassiveCopy
from shop.jobs import work
from shop.jobs.clock import Clock
from shop.payments.providers import registry
from shop.payments.records.models import Payment
from tests.fakes import FakePay
from tests.parts.postgres import PostgresServer
from tests.parts.statements import everything
from tests.shop_fixtures import Shop, environ

README = (Path(__file__).resolve().parents[2] / "deploy" / "README.md").read_text()
DUMP = ("pg_dump", "--format=custom")
RESTORE = ("pg_restore", "--no-owner")
BACKUP = 'sqlite3 var/shop.db ".backup copy.db"'


@pytest.fixture
def back_up_and_restore(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Callable[[], str]:
    """The documented commands; returns the address of the copy."""

    def sqlite() -> str:
        assert BACKUP in README
        original = database_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(original)) as live, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            live.backup(copy)  # what `.backup` of the sqlite3 program does
        return f"sqlite:///{tmp_path}/copy.db"

    def postgresql() -> str:
        server: PostgresServer = request.getfixturevalue("postgres")
        assert " ".join(DUMP) in README and f"{' '.join(RESTORE)} -d copy shop.dump" in README
        name, copy = database_url.partition("@/")[2].partition("?")[0], server.create()
        reach = ["-h", str(server.folder), "-U", "postgres"]
        dump = tmp_path / "shop.dump"
        for command in ([*DUMP, *reach, "-f", str(dump), name], [*RESTORE, *reach, "-d", copy, str(dump)]):
            program = server.programs / command[0]
            done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
        return server.url(copy)

    return sqlite if database_url.startswith("sqlite") else postgresql


@pytest.fixture
def restored(shop: Shop, redis_url: str, back_up_and_restore: Callable[[], str]) -> Iterator[Flask]:
    """A copy of a shop: the customer paid at the acquirer after the backup; a refund and events are due."""
    refunded, waiting = shop.paid_order(), shop.order()
    shop.staff("sam")
    shop.acquirer.misbehave("refund", "wait")
    shop.app.test_cli_runner().invoke(args=["money", "refund", refunded.number, "--by", "sam@example.com"])
    shop.acquirer.capture(shop.payment(waiting).id)
    shop.wait(minutes=40)
    db.session.remove()
    url = back_up_and_restore()
    app = create_app(environ(url, redis_url, SETTLED_PASSIVE="on"), TESTING=True, PROPAGATE_EXCEPTIONS=False)
    with app.app_context():
        registry.all_providers()["fakepay"] = FakePay(shop.acquirer)
        yield app
        db.session.remove()
        db.engine.dispose()
    db.session.remove()
    shop.sweep()
    assert set(db.session.scalars(db.select(Payment.state))) == {"CAPTURED"}, "the original goes on"


def test_a_restored_copy_polls_refunds_and_applies_nothing_and_its_ledger_is_consistent(
    shop: Shop, restored: Flask
) -> None:
    before: dict[str, Any] = everything()
    calls, keys = list(shop.acquirer.calls), set(redis.client().keys())
    [waiting] = db.session.scalars(db.select(Payment).where(Payment.state == "OPEN"))
    headers, body = shop.acquirer.webhook(waiting.id, "evt-after-the-backup")
    Clock().tick()
    for kind in ("poll", "refund", "outbox"):
        with pytest.raises(PassiveCopy):
            work.batch(kind, [waiting.id])
    answer = restored.test_client().post("/webhooks/fakepay", headers=headers, data=body)
    assert (answer.status_code, (answer.json or {})["code"]) == (503, "passive_copy")
    done = restored.test_cli_runner().invoke(args=["check"])
    assert done.exit_code == 0, done.output
    assert everything() == before
    assert shop.acquirer.calls == calls
    assert set(redis.client().keys()) <= keys, "windows of rate limits may have ended"
