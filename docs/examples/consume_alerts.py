"""Example of a consumer: process each alert of the stream once, also after crashes.

    .venv/bin/python -m docs.examples.consume_alerts --url redis://localhost:6379 --name one

Several consumers share a group: each event goes to one of them. Redis delivers an event again if it was not
acknowledged, and the shop may publish an event again, with the same id. So the id is stored with the result, in one
transaction: here, a row in a SQLite file. Only then is the event acknowledged.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import redis

STREAM = "alerts.order_payment_inconsistency.v1"
AT_ONCE = 10
Entry = tuple[str, dict[str, str]]


def work(book: sqlite3.Connection, event: dict[str, str]) -> bool:
    """Process an event and store its id, in one transaction. Returns False if it was processed before."""
    payload: dict[str, Any] = json.loads(event["payload"])
    with book:
        new = book.execute(
            "INSERT OR IGNORE INTO handled (id, kind, subject, rule) VALUES (?, ?, ?, ?)",
            (int(event["id"]), event["kind"], event["subject"], payload.get("ruleId")),
        )
    return new.rowcount == 1


def left_by_others(client: redis.Redis, stream: str, group: str, name: str, idle: float) -> Iterator[Entry]:
    """Take over events that another consumer did not acknowledge within `idle` seconds."""
    start = "0-0"
    while True:
        start, entries, *_ = client.xautoclaim(
            stream, group, name, min_idle_time=int(idle * 1000), start_id=start, count=AT_ONCE
        )
        yield from entries
        if start == "0-0":
            return


def new_events(client: redis.Redis, stream: str, group: str, name: str) -> Iterator[Entry]:
    """Return events that no consumer of the group has received; wait up to a second for one."""
    for _, entries in client.xreadgroup(group, name, {stream: ">"}, count=AT_ONCE, block=1000) or []:
        yield from entries


def consume(client: redis.Redis, book: sqlite3.Connection, stream: str, group: str, name: str, idle: float) -> None:
    """Process events until stopped. Raises RedisError when Redis is unavailable."""
    try:
        client.xgroup_create(
            stream, group, id="0", mkstream=True
        )  # from the beginning, also if the stream does not exist yet
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    while True:
        for take in (left_by_others(client, stream, group, name, idle), new_events(client, stream, group, name)):
            for entry_id, event in take:
                if event and work(book, event):  # an entry that was trimmed meanwhile is empty
                    print(event["id"], event["kind"], event["subject"], flush=True)
                client.xack(stream, group, entry_id)


def open_book(path: str) -> sqlite3.Connection:
    """Open the SQLite file of results."""
    book = sqlite3.connect(path, timeout=60)
    with book:
        book.execute("CREATE TABLE IF NOT EXISTS handled (id INTEGER PRIMARY KEY, kind TEXT, subject TEXT, rule TEXT)")
    return book


def main() -> None:
    """Consume events; reconnect while Redis is unavailable."""
    parser = argparse.ArgumentParser(description="Process each alert of the shop's stream once.")
    parser.add_argument("--url", default=os.environ.get("REDIS_URL", "redis://localhost:6379"))
    parser.add_argument("--stream", default=STREAM)
    parser.add_argument("--group", default="example")
    parser.add_argument("--name", default=f"consumer-{os.getpid()}", help="unique in the group")
    parser.add_argument("--book", default="handled.db", help="SQLite file of results")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds after which others' events are taken over")
    options = parser.parse_args()
    book = open_book(options.book)
    while True:
        try:
            client = redis.Redis.from_url(options.url, decode_responses=True, socket_timeout=5)
            consume(client, book, options.stream, options.group, options.name, options.idle)
        except redis.RedisError as error:
            print(f"Redis: {error}; trying again", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main()
