"""Viewers of orders in this process, and one Redis subscriber that wakes them.

A viewer stores only the number of the newest event, because numbers have no gaps and a page shows the current state:
the backlog of a slow client never grows. Redis pub/sub loses messages silently, so numbers are compared with the
database when the subscription is new, and continuously while there is none. Threads and locks are Python's: under
gevent they are greenlets.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import weakref
from typing import Any, Protocol

from flask import Flask
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shop.core import logs, metrics, redis
from shop.core.db import db
from shop.core.outbox import LIVE
from shop.live import cap
from shop.orders.models import Order

WITHOUT_REDIS = 1.5
"""Seconds between two comparisons with the database, and between two attempts to subscribe, while Redis is away."""
_PING = 2.0  # seconds of silence after which Redis is pinged; after as many again it counts as unavailable
_CHUNK = 500

OPEN = metrics.Gauge("settled_open_streams", "Open event streams", ["channel"], multiprocess_mode="livesum")
log = logs.get()
_hubs: weakref.WeakSet[Hub] = weakref.WeakSet()


_STAFF_SHARE = 10
"""One of so many connections for live updates is kept for staff."""


class Full(Exception):
    """The limit of streams of this process, of the client network or of the order is reached."""


class Viewer:
    """An open stream. `newest` is the number of the newest event known; `evicted` and `closing` notify it to end.

    `changed_at` (monotonic seconds) is when it joined, or learned later of a change that is no event: older renderings
    could miss it. `channel` names the kind of stream in the metrics.
    """

    def __init__(self, order_id: int, session: str, newest: int, network: str = "", channel: str = "sse") -> None:
        self.id, self.channel = secrets.token_hex(8), channel
        self.order_id, self.session, self.newest, self.network = order_id, session, newest, network
        self.evicted = self.closing = False
        self.changed_at = time.monotonic()
        self._notified = threading.Event()

    def notify_by(self, event: threading.Event) -> None:
        """Set `event` from now on, which others may set, too. Earlier notifications are to be looked up."""
        self._notified = event

    def wait(self, seconds: float) -> None:
        """Wait for a notification, at most `seconds`."""
        self._notified.wait(seconds)
        self._notified.clear()

    def notify(self, newest: int) -> None:
        if newest > self.newest:
            self.newest = newest
            self._notified.set()

    def notify_unnumbered(self) -> None:
        self.changed_at = time.monotonic()
        self._notified.set()

    def evict(self) -> None:
        self.evicted = True
        self._notified.set()

    def close(self) -> None:
        self.closing = True
        self._notified.set()


class Observer(Protocol):
    """Another user of the subscriber's messages. Both functions return at once."""

    def wake(self) -> None:
        """Something has changed."""

    def close(self) -> None:
        """The process is shutting down."""


class Hub:
    """The viewers of this process. One per app; the subscriber starts with the first viewer."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._observers: list[Observer] = []
        self.room = 0
        """Limit of streams and consoles of this process together; 0 until the server sets it. Each holds one of the
        server's connections, and webhooks and probes need some as well.
        """
        self._lock = threading.RLock()  # the garbage collector may close a stream at any moment
        self._reset()
        _hubs.add(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._viewers: dict[str, Viewer] = {}
        self._orders: dict[int, set[Viewer]] = {}
        self._sessions: dict[str, list[Viewer]] = {}
        self._networks: dict[str, set[Viewer]] = {}
        self._consoles = 0
        self._subscriber: threading.Thread | None = None
        self._stop = threading.Event()
        self.connected = False

    def join(self, order_id: int, session: str, newest: int = 0, network: str = "", *, channel: str = "sse") -> Viewer:
        """Add a viewer who knows event `newest`. The oldest stream of a session with too many is evicted. Raises Full.
        Every `join` needs a `leave`.
        """
        viewer = Viewer(order_id, session, newest, network, channel)
        with self._lock:
            if self._pid != os.getpid():
                self._reset()
            self._refuse_when_full(viewer)
            if self._stop.is_set():
                viewer.close()
            self._viewers[viewer.id] = viewer
            self._orders.setdefault(order_id, set()).add(viewer)
            self._networks.setdefault(network, set()).add(viewer)
            streams = self._sessions.setdefault(session, [])
            streams.append(viewer)
            for oldest in streams[: -cap.STREAMS_PER_SESSION]:
                oldest.evict()
            del streams[: -cap.STREAMS_PER_SESSION]
            self._start()
        OPEN.labels(channel).inc()
        cap.claim(self._app, session, viewer.id)
        return viewer

    def reserve(self) -> None:
        """Count the connection of a console. Raises Full. Every `reserve` needs a `release`."""
        with self._lock:
            if self._is_full():
                raise Full
            self._consoles += 1

    def release(self) -> None:
        """Give back the connection of a console."""
        with self._lock:
            self._consoles -= 1

    def _is_full(self) -> bool:
        return bool(self.room) and len(self._viewers) + self._consoles >= self.room

    def _is_full_for_shoppers(self) -> bool:
        """Streams of shoppers leave a tenth of the connections to consoles, whether these are open or not."""
        kept = min(self.room - 1, max(1, self.room // _STAFF_SHARE))
        return bool(self.room) and len(self._viewers) + max(self._consoles, kept) >= self.room

    def observe(self, observer: Observer) -> None:
        """Wake `observer` after each message. Safe to repeat."""
        with self._lock:
            if observer not in self._observers:
                self._observers.append(observer)
            self._start()

    def _start(self) -> None:
        if self._subscriber is None and not self._stop.is_set():
            self._subscriber = threading.Thread(target=self._run, name="live", daemon=True)
            self._subscriber.start()

    def _refuse_when_full(self, viewer: Viewer) -> None:
        """Raise Full if a limit is reached. A process counts its own streams, because they use its connections."""
        of_network, of_order = self._networks.get(viewer.network, ()), self._orders.get(viewer.order_id, ())
        if (
            self._is_full_for_shoppers()
            or (viewer.network and len(of_network) >= self._app.config["STREAMS_PER_ADDRESS"])
            or len(of_order) >= self._app.config["STREAMS_PER_ORDER"]
        ):
            raise Full

    def leave(self, viewer: Viewer) -> None:
        """Remove a stream that has ended. Safe to repeat."""
        with self._lock:
            if self._viewers.pop(viewer.id, None) is None:
                return
            self._drop(self._orders, viewer.order_id, viewer)
            self._drop(self._sessions, viewer.session, viewer)
            self._drop(self._networks, viewer.network, viewer)
        OPEN.labels(viewer.channel).dec()
        cap.release(self._app, viewer.session, viewer.id)

    @staticmethod
    def _drop(index: dict[Any, Any], key: Any, viewer: Viewer) -> None:
        if viewer in (viewers := index.get(key, ())):
            viewers.remove(viewer)
        if not viewers:
            index.pop(key, None)

    def close(self) -> None:
        """End every stream of this process and refuse new ones: the process is shutting down."""
        with self._lock:
            self._stop.set()
            for viewer in list(self._viewers.values()):
                viewer.close()
            observers = list(self._observers)
        for observer in observers:
            observer.close()

    def notify(self, order_id: int, newest: int) -> None:
        """Wake the viewers of an order with a new event."""
        with self._lock:
            viewers = list(self._orders.get(order_id, ()))
        for viewer in viewers:
            viewer.notify(newest)

    def notify_unnumbered(self, order_id: int) -> None:
        """Wake the viewers of an order whose state has changed without an event."""
        with self._lock:
            viewers = list(self._orders.get(order_id, ()))
        for viewer in viewers:
            viewer.notify_unnumbered()

    def compare(self) -> None:
        """Read the newest numbers of all viewed orders from the database."""
        with self._lock:
            wanted = list(self._orders)
        try:
            with self._app.app_context():
                for start in range(0, len(wanted), _CHUNK):
                    chunk = wanted[start : start + _CHUNK]
                    rows = db.session.execute(select(Order.id, Order.event_seq).where(Order.id.in_(chunk))).all()
                    db.session.rollback()
                    for order_id, newest in rows:
                        self.notify(order_id, newest)
        except SQLAlchemyError as error:
            log.warning("live.database_away", error=type(error).__name__)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._subscribe()
            except (RedisError, redis.RedisAway, OSError) as error:
                if self.connected:
                    log.warning("live.redis_away", error=str(error))
            self.connected = False
            if not self._stop.is_set():
                self.compare()
                self._stop.wait(WITHOUT_REDIS)

    def _subscribe(self) -> None:
        """Forward messages until Redis fails. Raises RedisError, RedisAway or OSError then."""
        with self._app.app_context():
            client = redis.client(socket_timeout=_PING)
        try:
            with client.pubsub() as subscription:  # type: ignore[no-untyped-call]
                subscription.psubscribe(f"{LIVE}:*")
                received_at, pinged = time.monotonic(), False
                while not self._stop.is_set():
                    message = subscription.get_message(timeout=1.0)
                    silence = time.monotonic() - received_at
                    if message is not None:
                        received_at, pinged = time.monotonic(), False
                        self._dispatch(message)
                    elif silence > 2 * _PING:
                        raise Disconnected("Redis does not answer")
                    elif silence > _PING and not pinged:
                        subscription.ping()
                        pinged = True
        finally:
            client.close()

    def _dispatch(self, message: dict[str, Any]) -> None:
        if message["type"] == "psubscribe":
            self.connected = True
            self.compare()
        elif message["type"] == "pmessage":
            try:
                content = json.loads(message["data"])
                if "evict" in content:
                    self._evict(content["evict"])
                elif "feed" in content:
                    pass  # for observers only
                elif "state" in content:
                    self.notify_unnumbered(int(content["order"]))
                else:
                    self.notify(int(content["order"]), int(content["seq"]))
            except (ValueError, KeyError, TypeError):
                log.warning("live.unreadable", channel=str(message["channel"]))
        for observer in self._observers:
            observer.wake()

    def _evict(self, streams: list[str]) -> None:
        """Evict streams of visitors that have exceeded their limit in this or another process."""
        for name in streams:
            if viewer := self._viewers.get(name):
                viewer.evict()


def of(app: Flask) -> Hub:
    """The hub of `app`."""
    found: Hub | None = app.extensions.get("settled_hub")
    return found or app.extensions.setdefault("settled_hub", Hub(app))


def close_all() -> None:
    """End every stream of this process; the server calls it at shutdown."""
    for hub in list(_hubs):
        hub.close()
