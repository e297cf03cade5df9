"""Who is looking at which order, in this process, and one Redis subscriber that wakes them.

A viewer's mailbox is the number of the newest event, because numbers have no gaps and a page shows the present: however
slow a client is, what it has not been told fits in that number, and nothing can overflow. Redis' pub/sub loses messages
silently, so numbers are compared with the database when the subscription is new, and all the time while there is none.
Threads and locks are Python's: under gevent they are greenlets.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import weakref
from typing import Any

from flask import Flask
from prometheus_client import Gauge
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shop.core import logs, redis
from shop.core.db import db
from shop.core.outbox import LIVE
from shop.live import cap
from shop.orders.models import Order

WITHOUT_REDIS = 1.5
"""Seconds between two looks at the database, and two tries to subscribe, while Redis is away."""
_PING = 2.0  # seconds of silence after which Redis is asked whether it is there; as many again and it is not
_CHUNK = 500

OPEN = Gauge("settled_open_streams", "Open event streams", ["channel"], multiprocess_mode="livesum")
log = logs.get()
_hubs: weakref.WeakSet[Hub] = weakref.WeakSet()


class Viewer:
    """One open stream. `newest` is the number of the newest event known; `evicted` and `closing` tell it to end."""

    def __init__(self, order_id: int, session: str, newest: int) -> None:
        self.id = secrets.token_hex(8)
        self.order_id, self.session, self.newest = order_id, session, newest
        self.evicted = self.closing = False
        self._bell = threading.Event()

    def wait(self, seconds: float) -> None:
        """Return when there is something to tell, at the latest after `seconds`."""
        self._bell.wait(seconds)
        self._bell.clear()

    def tell(self, newest: int) -> None:
        if newest > self.newest:
            self.newest = newest
            self._bell.set()

    def evict(self) -> None:
        self.evicted = True
        self._bell.set()

    def close(self) -> None:
        self.closing = True
        self._bell.set()


class Hub:
    """The viewers of this process. Made once per app; the subscriber starts with the first viewer."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.RLock()  # a stream may be closed by the garbage collector, at any moment
        self._reset()
        _hubs.add(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._viewers: dict[str, Viewer] = {}
        self._orders: dict[int, set[Viewer]] = {}
        self._sessions: dict[str, list[Viewer]] = {}
        self._subscriber: threading.Thread | None = None
        self._stop = threading.Event()
        self.connected = False

    def join(self, order_id: int, session: str, newest: int = 0) -> Viewer:
        """A viewer who knows event `newest`. The oldest stream of a session that has too many is told to end."""
        viewer = Viewer(order_id, session, newest)
        with self._lock:
            if self._pid != os.getpid():
                self._reset()
            if self._stop.is_set():
                viewer.close()
            self._viewers[viewer.id] = viewer
            self._orders.setdefault(order_id, set()).add(viewer)
            streams = self._sessions.setdefault(session, [])
            streams.append(viewer)
            for oldest in streams[: -cap.STREAMS_PER_SESSION]:
                oldest.evict()
            del streams[: -cap.STREAMS_PER_SESSION]
            if self._subscriber is None and not self._stop.is_set():
                self._subscriber = threading.Thread(target=self._run, name="live", daemon=True)
                self._subscriber.start()
        OPEN.labels("sse").inc()
        cap.claim(self._app, session, viewer.id)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """The stream has ended, from either side."""
        with self._lock:
            self._viewers.pop(viewer.id, None)
            self._drop(self._orders, viewer.order_id, viewer)
            self._drop(self._sessions, viewer.session, viewer)
        OPEN.labels("sse").dec()
        cap.release(self._app, viewer.session, viewer.id)

    @staticmethod
    def _drop(index: dict[Any, Any], key: Any, viewer: Viewer) -> None:
        if viewer in (viewers := index.get(key, ())):
            viewers.remove(viewer)
        if not viewers:
            index.pop(key, None)

    def close(self) -> None:
        """End every stream of this process, and every one that comes later: the process is about to go."""
        with self._lock:
            self._stop.set()
            for viewer in list(self._viewers.values()):
                viewer.close()

    def tell(self, order_id: int, newest: int) -> None:
        """Wake the viewers of an order that has got an event."""
        with self._lock:
            viewers = list(self._orders.get(order_id, ()))
        for viewer in viewers:
            viewer.tell(newest)

    def compare(self) -> None:
        """Ask the database for the newest numbers of all orders that are looked at."""
        with self._lock:
            wanted = list(self._orders)
        try:
            with self._app.app_context():
                for start in range(0, len(wanted), _CHUNK):
                    chunk = wanted[start : start + _CHUNK]
                    rows = db.session.execute(select(Order.id, Order.event_seq).where(Order.id.in_(chunk))).all()
                    db.session.rollback()
                    for order_id, newest in rows:
                        self.tell(order_id, newest)
        except SQLAlchemyError as error:
            log.warning("live.database_away", error=type(error).__name__)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except (RedisError, redis.RedisAway, OSError) as error:
                if self.connected:
                    log.warning("live.redis_away", error=str(error))
            self.connected = False
            if not self._stop.is_set():
                self.compare()
                self._stop.wait(WITHOUT_REDIS)

    def _listen(self) -> None:
        """Pass messages on until Redis goes. Raises RedisError, RedisAway or OSError when it does."""
        with self._app.app_context():
            client = redis.client(socket_timeout=_PING)
        try:
            with client.pubsub() as subscription:
                subscription.psubscribe(f"{LIVE}:*")
                heard, asked = time.monotonic(), False
                while not self._stop.is_set():
                    message = subscription.get_message(timeout=1.0)
                    silence = time.monotonic() - heard
                    if message is not None:
                        heard, asked = time.monotonic(), False
                        self._take(message)
                    elif silence > 2 * _PING:
                        raise Disconnected("Redis does not answer")
                    elif silence > _PING and not asked:
                        subscription.ping()
                        asked = True
        finally:
            client.close()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "psubscribe":
            self.connected = True
            self.compare()
        elif message["type"] == "pmessage":
            try:
                said = json.loads(message["data"])
                if "evict" in said:
                    self._evict(said["evict"])
                else:
                    self.tell(int(said["order"]), int(said["seq"]))
            except (ValueError, KeyError, TypeError):
                log.warning("live.unreadable", channel=str(message["channel"]))

    def _evict(self, streams: list[str]) -> None:
        """Another page of the same visitor needs the place, here or in another process."""
        for name in streams:
            if viewer := self._viewers.get(name):
                viewer.evict()


def of(app: Flask) -> Hub:
    """The hub of `app`."""
    found: Hub | None = app.extensions.get("settled_hub")
    return found or app.extensions.setdefault("settled_hub", Hub(app))


def close_all() -> None:
    """End every stream of this process; the server calls it when it is asked to stop."""
    for hub in list(_hubs):
        hub.close()
