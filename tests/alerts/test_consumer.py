"""The documented stream consumer: no lost and no repeated effects after crashes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from docs.examples import consume_alerts
from shop.alerts.events import InconsistencyRaised
from shop.core import outbox
from shop.core.db import transaction
from shop.core.event_types import Stream
from shop.jobs import effects
from tests.parts.processes import end_with_parent
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until
from tests.shop_fixtures import Shop
from tools.docs.code import ROOT

GROUP = "example"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "handled.db"
    consume_alerts.open_book(str(path)).close()
    return path


@pytest.fixture
def start(own_redis: RedisServer, book: Path) -> Iterator[Start]:
    """`start(name)`: a consumer in its own process."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(name: str, idle: float = 0.2) -> subprocess.Popen[bytes]:
        words = ["--url", own_redis.url, "--book", str(book), "--name", name, "--idle", str(idle)]
        command = [sys.executable, "-m", "docs.examples.consume_alerts", *words]
        running.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ}, preexec_fn=end_with_parent()))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait(10)


def add(client: redis.Redis, first: int, last: int) -> None:
    """Publish the outbox events numbered `first` to `last`, as the shop does."""
    for number in range(first, last + 1):
        fields = {"id": number, "kind": "alert.raised", "subject": "AAAA", "payload": json.dumps({"ruleId": "RULE_C"})}
        client.xadd(consume_alerts.STREAM, fields)


def handled(book: Path) -> list[int]:
    with closing(sqlite3.connect(book)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM handled ORDER BY id")]


def nothing_pends(client: redis.Redis) -> bool:
    return client.xpending(consume_alerts.STREAM, GROUP)["pending"] == 0


def test_killed_in_the_middle_nothing_is_lost_and_nothing_is_done_twice(
    own_redis: RedisServer, book: Path, start: Start
) -> None:
    client = own_redis.client
    add(client, 1, 25)
    first = start("one")
    until(lambda: len(handled(book)) == 25, what="the first 25")
    with closing(sqlite3.connect(book, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")  # the consumer reads the next event and cannot finish it
        add(client, 26, 60)
        until(lambda: not nothing_pends(client), what="something taken")
        first.kill()
        first.wait(10)
        lock.execute("ROLLBACK")
    assert handled(book) == list(range(1, 26))
    start("two")
    until(lambda: len(handled(book)) == 60, what="all of them")
    assert handled(book) == list(range(1, 61))
    until(lambda: nothing_pends(client), what="everything acknowledged")


def test_killed_between_the_work_and_its_acknowledgement_the_work_is_not_done_again(
    own_redis: RedisServer, book: Path, start: Start
) -> None:
    client = own_redis.client
    add(client, 1, 3)
    client.xgroup_create(consume_alerts.STREAM, GROUP, id="0")
    entries = client.xreadgroup(GROUP, "dead", {consume_alerts.STREAM: ">"}, count=3)[0][1]
    with closing(consume_alerts.open_book(str(book))) as connection:
        assert consume_alerts.work(connection, entries[0][1])
    start("two")
    until(lambda: nothing_pends(client), what="everything acknowledged")
    with closing(sqlite3.connect(book)) as connection:
        assert not consume_alerts.work(connection, entries[0][1])
    assert handled(book) == [1, 2, 3]


def test_an_event_that_the_shop_publishes_twice_is_handled_once(
    own_redis: RedisServer, book: Path, start: Start
) -> None:
    client = own_redis.client
    for _ in range(2):
        add(client, 1, 5)
    start("one")
    until(lambda: client.exists(consume_alerts.STREAM) and _all_read(client), what="everything read")
    assert handled(book) == [1, 2, 3, 4, 5]


def _all_read(client: redis.Redis) -> bool:
    groups = client.xinfo_groups(consume_alerts.STREAM)
    last = client.xinfo_stream(consume_alerts.STREAM)["last-generated-id"]
    return bool(groups) and groups[0]["last-delivered-id"] == last and groups[0]["pending"] == 0


def test_two_of_a_group_share_the_work(own_redis: RedisServer, book: Path, start: Start) -> None:
    client = own_redis.client
    start("one", idle=30)
    start("two", idle=30)
    until(lambda: client.info("clients")["blocked_clients"] == 2, what="both waiting")
    add(client, 1, 100)
    until(lambda: len(handled(book)) == 100, what="all of them")
    assert handled(book) == list(range(1, 101))


def test_a_redis_that_was_emptied_and_started_anew_is_read_on(own_redis: RedisServer, book: Path, start: Start) -> None:
    add(own_redis.client, 1, 2)
    start("one")
    until(lambda: handled(book) == [1, 2])
    own_redis.client.flushall()
    own_redis.kill()
    own_redis.start()
    add(own_redis.client, 3, 4)
    until(lambda: handled(book) == [1, 2, 3, 4], within=20)


def test_the_example_consumer_reads_what_the_shop_publishes(
    shop: Shop, redis_url: str, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order()
    shop.turn(minutes=31)
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    with transaction():
        outbox.emit(InconsistencyRaised(1, "RULE_F", "P2", None, {}, {}, "", "settlement file"), "again")
    outbox.relay(effects.follow)
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    client.xgroup_create(Stream.ALERTS, GROUP, id="0")
    with closing(consume_alerts.open_book(str(book))) as connection:
        for _, event in consume_alerts.new_events(client, Stream.ALERTS, GROUP, "one"):
            assert consume_alerts.work(connection, event)
        rows = connection.execute("SELECT kind, subject, rule FROM handled ORDER BY id").fetchall()
    assert rows == [("alert.raised", order.number, "RULE_C"), ("alert.raised", "again", "RULE_F")]
    assert consume_alerts.STREAM == Stream.ALERTS
