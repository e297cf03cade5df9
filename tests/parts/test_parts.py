"""Behaviour of the services for tests."""

from __future__ import annotations

import sys
import threading
import time

import psycopg
import pytest
import redis
from playwright.sync_api import Page

from tests.parts.postgres import PostgresServer
from tests.parts.processes import Processes, free_port
from tests.parts.redis_server import RedisServer


def address(url: str) -> str:
    """libpq's spelling of SQLAlchemy's address."""
    return url.replace("postgresql+psycopg", "postgresql")


def test_redis_has_its_keys_again_after_a_stop_and_none_after_being_emptied(own_redis: RedisServer) -> None:
    own_redis.client.set("kept", "yes")
    own_redis.stop()
    with pytest.raises(redis.ConnectionError):
        own_redis.client.get("kept")
    own_redis.start()
    assert own_redis.client.get("kept") == "yes"
    own_redis.empty()
    assert own_redis.client.get("kept") is None


def test_a_paused_redis_takes_connections_and_answers_nothing(own_redis: RedisServer) -> None:
    own_redis.pause()
    impatient = redis.Redis.from_url(own_redis.url, socket_timeout=0.2, retry=None)
    with pytest.raises(redis.TimeoutError):
        impatient.ping()
    own_redis.resume()
    assert own_redis.client.ping()


def test_each_test_finds_redis_empty(redis_url: str) -> None:
    assert redis.Redis.from_url(redis_url).dbsize() == 0


def test_a_template_is_prepared_once_and_copies_of_it_know_nothing_of_each_other(postgres: PostgresServer) -> None:
    prepared = []

    def prepare(url: str) -> None:
        prepared.append(url)
        with psycopg.connect(address(url)) as connection:
            connection.execute("CREATE TABLE seats (number int)")

    first = postgres.create(postgres.template("seats", prepare))
    second = postgres.create(postgres.template("seats", prepare))
    with psycopg.connect(address(postgres.url(first))) as connection:
        connection.execute("INSERT INTO seats VALUES (1)")
    with psycopg.connect(address(postgres.url(second))) as connection:
        assert connection.execute("SELECT count(*) FROM seats").fetchone() == (0,)
    assert len(prepared) == 1
    postgres.drop(first)
    postgres.drop(second)


def test_postgresql_keeps_what_was_committed_through_a_crash(own_postgres: PostgresServer) -> None:
    with psycopg.connect(address(own_postgres.url())) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    own_postgres.stop("immediate")
    own_postgres.start()
    with psycopg.connect(address(own_postgres.url())) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_eight_sessions_can_race_on_one_row(postgres_url: str) -> None:
    with psycopg.connect(address(postgres_url)) as connection:
        connection.execute("CREATE TABLE stock AS SELECT 5 AS units")
    barrier, won = threading.Barrier(8), []

    def take() -> None:
        with psycopg.connect(address(postgres_url)) as connection:
            barrier.wait()
            won.append(connection.execute("UPDATE stock SET units = units - 1 WHERE units > 0").rowcount)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 5


def test_a_process_is_awaited_by_its_line_and_its_address_and_is_ended_afterwards(process: Processes) -> None:
    port = free_port()
    server = process([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"])
    server.wait_for_line(rf"port {port}")
    server.wait_for_url(f"http://127.0.0.1:{port}/")
    process.end()
    assert not server.alive()


def test_waiting_for_a_process_that_ended_shows_its_output(process: Processes) -> None:
    failing = process([sys.executable, "-c", "raise SystemExit('no such ledger')"])
    began = time.monotonic()
    with pytest.raises(AssertionError, match="no such ledger"):
        failing.wait_for_line("ready", within=30)
    assert time.monotonic() - began < 20


def test_chromium_opens_a_page(page: Page) -> None:
    page.set_content("<h1>Settled</h1>")
    assert page.get_by_role("heading").inner_text() == "Settled"
