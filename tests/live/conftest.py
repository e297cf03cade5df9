"""Clients of open pages that read streams as a browser does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shop.live import BLUEPRINTS, hub
from shop.orders.models import Order
from tests.parts.waiting import until


@pytest.fixture(autouse=True)
def live(app: Flask) -> Iterator[hub.Hub]:
    """The app's hub; streams query the database every 0.2 s, so that no test waits for twelve."""
    for blueprint in BLUEPRINTS:
        if blueprint.name not in app.blueprints:
            app.register_blueprint(blueprint)
    app.config["STREAM_HEARTBEAT"] = 0.2
    found = hub.of(app)
    yield found
    found.close()


def visitor(app: Flask, seed: str) -> FlaskClient:
    """A browser with its own cookie."""
    client = app.test_client()
    with client.session_transaction() as cookie:
        cookie["csrf_token"] = seed
    return client


@dataclass
class Stream:
    """An open stream, read block by block. `ids` are the event numbers received."""

    blocks: Iterator[str]
    close: Callable[[], None]
    status: int
    headers: dict[str, str]
    ids: list[int] = field(default_factory=list)

    def listen(self) -> None:
        """Read up to the first block after the greeting; the stream then waits for events."""
        assert self._block() == "retry: 300"
        self._block()

    def next(self) -> str:
        """The next message. Raises StopIteration when the stream has ended."""
        while (block := self._block()).startswith(":"):
            pass
        return block

    def _block(self) -> str:
        block = next(self.blocks)
        if found := re.search(r"^id: (\d+)$", block, re.M):
            self.ids.append(int(found[1]))
        return block

    def until_id(self, number: int) -> str:
        """The message of event `number`."""
        while True:
            block = self.next()
            if self.ids and self.ids[-1] == number:
                return block

    def rest(self) -> list[str]:
        """All messages until the stream ends."""
        found = []
        while True:
            try:
                found.append(self.next())
            except StopIteration:
                return found


OpenStream = Callable[..., Stream]


@pytest.fixture
def stream(app: Flask, live: hub.Hub) -> Iterator[OpenStream]:
    """`stream(order, since=…, showing=…, last=…, client=…)` opens the order's stream; returns once it is listening."""
    opened: list[Stream] = []

    def open_stream(
        order: Order | str,
        *,
        since: object = None,
        showing: object = None,
        last: object = None,
        client: FlaskClient | None = None,
    ) -> Stream:
        token = order if isinstance(order, str) else order.token
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        query = {name: str(value) for name, value in (("since", since), ("showing", showing)) if value is not None}
        reader = client or visitor(app, f"visitor {len(opened)}")
        response = reader.get(f"/orders/{token}/events", query_string=query, headers=headers)
        made = Stream(_blocks(response.response), response.close, response.status_code, dict(response.headers))
        opened.append(made)
        return made

    yield open_stream
    for one in opened:
        one.close()


@pytest.fixture
def subscribed(live: hub.Hub) -> Callable[[], None]:
    """Wait until the hub is subscribed to Redis, which needs an open page."""
    return lambda: until(lambda: live.connected, within=10, what="the subscription")


def _blocks(chunks: Iterator[bytes]) -> Iterator[str]:
    text = ""
    for chunk in chunks:
        text += chunk.decode()
        while "\n\n" in text:
            block, text = text.split("\n\n", 1)
            yield block
