"""Example of a receiver: verify each webhook, store it once, answer at once, and process it afterwards.

    WEBHOOK_SECRET=whsec_… .venv/bin/python -m docs.examples.receive_webhooks --port 8800

The shop sends an event again until it gets a 2xx answer, and staff may send it again later, always with the same id. So
the id is the key of a table: here, in a SQLite file. The answer is sent once the event is stored; processing it takes
as long as it needs, and goes on after a restart.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

LARGEST = 1_000_000
"""Bytes of a body that are read."""


class Store:
    """Received events in a SQLite file. `received` is set when one arrives."""

    def __init__(self, path: str) -> None:
        self.path, self.received = path, Event()
        with self._open() as book:
            book.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body TEXT, done INTEGER DEFAULT 0)")

    def add(self, event_id: str, body: str) -> bool:
        """Store an event. Returns False if it was stored before."""
        with self._open() as book:
            new = book.execute("INSERT OR IGNORE INTO events (id, body) VALUES (?, ?)", (event_id, body))
        self.received.set()
        return new.rowcount == 1

    def process(self) -> None:
        """Process the events that are not done. An event whose processing fails stays for the next round."""
        self.received.clear()
        with self._open() as book:
            waiting = book.execute("SELECT id, body FROM events WHERE done = 0 ORDER BY rowid").fetchall()
        for event_id, body in waiting:
            handle(json.loads(body))
            with self._open() as book:
                book.execute("UPDATE events SET done = 1 WHERE id = ?", (event_id,))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60)


def handle(event: dict[str, Any]) -> None:
    """Process one event, for example: pack the order once it is paid."""
    order = event["data"].get("order", {})
    print(event["id"], event["type"], order.get("number", ""), flush=True)


def receiver(webhook: Webhook, store: Store) -> type[BaseHTTPRequestHandler]:
    """Make the request handler."""

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            if length > LARGEST:
                self._answer(413)
                return
            body = self.rfile.read(length)
            try:
                event = webhook.verify(body, dict(self.headers))  # the bytes as they came, before they are parsed
            except (WebhookVerificationError, ValueError):  # ValueError: no signature, or no JSON, that can be read
                self._answer(401)
                return
            if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
                self._answer(400)  # signed, but no event: it would stop the processing of those that follow
                return
            store.add(self.headers["webhook-id"], body.decode())
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

    return Receiver


def work(store: Store) -> None:
    """Process events as they arrive."""
    while True:
        store.process()
        store.received.wait(60)


def main() -> None:
    """Receive webhooks until stopped."""
    parser = argparse.ArgumentParser(description="Receive the shop's webhooks.")
    parser.add_argument("--port", type=int, default=8800)
    parser.add_argument("--file", default="events.db", help="SQLite file of events")
    options = parser.parse_args()
    store = Store(options.file)
    Thread(target=work, args=(store,), daemon=True).start()
    handler = receiver(Webhook(os.environ["WEBHOOK_SECRET"]), store)
    ThreadingHTTPServer(("127.0.0.1", options.port), handler).serve_forever()


if __name__ == "__main__":
    main()
