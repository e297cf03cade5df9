"""Newest events and figures for the consoles that are open in this process, and the check of their sign-ins.

One thread reads events and figures once for all sockets, and each message is rendered and framed once. The hub's
subscriber wakes it; without Redis messages it reads once a second. Another thread checks the sign-ins, so that slow
figures do not delay it. Both run while a socket is open. Each socket has a queue of its own, so a slow one delays no
other.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from flask import Flask, render_template
from sqlalchemy.exc import SQLAlchemyError
from wsproto.frame_protocol import FrameProtocol

from shop.accounts import sessions
from shop.accounts.permissions import Permission, permissions_of
from shop.activity import events, figures
from shop.activity.events import Entry
from shop.core import clock, logs, redis
from shop.core.db import db
from shop.live import hub
from shop.live.websocket import SHUT_DOWN, Ending

PERMISSION = Permission.ORDER_READ
QUEUED = 256
"""Messages that wait for a slow socket. Above that it is closed; its page reconnects and gets what it missed."""
OVERLAP = 100
"""Numbers before the last one of a page that are sent again when it reconnects: events may be committed late."""
_CHECK_EVERY = 0.4  # seconds between two checks of the sign-ins; a socket is closed within a second
READ_EVERY = 1.0  # seconds between two reads without a message
_FIGURES_EVERY = 2.0
_FIGURES_SHARE = 20  # the figures take at most this fraction of the time: a twentieth
_HEARTBEAT = 10.0  # seconds after which the figures are sent again, so that a page finds a dead connection
_COLLECT = 0.05  # seconds between two reads at least: each wakes all sockets

log = logs.get()


SIGNED_OUT = Ending(4401, "You have been signed out. Sign in to continue.")
NOT_ALLOWED = Ending(4403, "Your account may not read this page any more.")
AWAY = Ending(1013, "Live updates are temporarily unavailable: your sign-in cannot be checked.")
SLOW = Ending(1013, "The connection was too slow.")


class Full(Exception):
    """The limit of sockets of this process or of the person is reached."""


class Socket:
    """An open console: its account, its sign-in, and the messages that wait for it.

    `notified` is set when there is something to do; `abort` ends a connection that takes no data.
    """

    def __init__(self, person: int, sign_in: str, notified: threading.Event, abort: Callable[[], None]) -> None:
        self.person, self.sign_in = person, sign_in
        self.ending: Ending | None = None
        self._queue: deque[bytes] = deque()
        self._notified, self._abort = notified, abort

    def put(self, messages: Sequence[bytes]) -> None:
        """Add messages, framed; end the socket when too many wait."""
        if self.ending is None and len(self._queue) + len(messages) > QUEUED:
            self.end(SLOW)
            self._abort()
        elif self.ending is None:
            self._queue.extend(messages)
            self._notified.set()

    def take(self) -> bytes:
        """The messages that wait."""
        return b"".join(self._queue.popleft() for _ in range(len(self._queue)))

    def end(self, ending: Ending) -> None:
        """Close the socket without its waiting messages; abort one that was ended before and is still open."""
        if self.ending is not None:
            self._abort()
            return
        self.ending = ending
        self._queue.clear()
        self._notified.set()


class Feed:
    """The consoles of this process. One per app."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._sockets: tuple[Socket, ...] = ()  # replaced, never changed: the check of the sign-ins takes no lock
        self._running: set[str] = set()
        self._woken = threading.Event()
        self._closing = False
        self._reader: events.Reader
        self._tiles: tuple[figures.Tile, ...] = ()
        self._read_at = self._figures_at = self._sent_at = 0.0

    def join(self, socket: Socket, since: int) -> None:
        """Add a socket and queue its snapshot, with the events after number `since`. Raises Full and SQLAlchemyError.
        Every `join` needs a `leave`.
        """
        with self._lock, self._app.app_context():
            self._refuse_when_full(socket)
            try:
                if "reader" not in self._running:
                    self._reader, self._tiles = events.Reader(), figures.tiles()
                    db.session.rollback()
                    self._read_at = self._figures_at = self._sent_at = time.monotonic()
                snapshot = self._snapshot(since)
            except BaseException:
                hub.of(self._app).release()
                raise
            self._sockets = (*self._sockets, socket)
            socket.put([snapshot])
            self._start("reader", self._wait, self._turn)
            self._start("sign-ins", lambda: time.sleep(_CHECK_EVERY), lambda _: self._check_sign_ins())
        hub.OPEN.labels("websocket").inc()
        hub.of(self._app).observe(self)

    def _refuse_when_full(self, socket: Socket) -> None:
        """Raise Full if a limit is reached; else reserve a connection, which consoles share with event streams."""
        config, room = self._app.config, hub.of(self._app).room
        limit = min(config["CONSOLE_SOCKETS"], max(1, room // 2) if room else config["CONSOLE_SOCKETS"])
        of_person = sum(one.person == socket.person for one in self._sockets)
        if self._closing or len(self._sockets) >= limit:
            raise Full("Too many consoles are open on this server.")
        if of_person >= config["CONSOLE_SOCKETS_PER_PERSON"]:
            raise Full("You have opened this page too many times.")
        try:
            hub.of(self._app).reserve()
        except hub.Full as full:
            raise Full("Too many pages with live updates are open on this server.") from full

    def leave(self, socket: Socket) -> None:
        """Remove a socket that is closed. Safe to repeat."""
        with self._lock:
            if socket not in self._sockets:
                return
            self._sockets = tuple(one for one in self._sockets if one is not socket)
            hub.of(self._app).release()
        hub.OPEN.labels("websocket").dec()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._closing = True
        self._end_all(SHUT_DOWN)
        self._woken.set()

    def _end_all(self, ending: Ending) -> None:
        for socket in self._sockets:
            socket.end(ending)

    def _start(self, name: str, wait: Callable[[], Any], turn: Callable[[Any], None]) -> None:
        if name not in self._running:
            self._running.add(name)
            threading.Thread(target=self._run, args=(name, wait, turn), name=f"console {name}", daemon=True).start()

    def _run(self, name: str, wait: Callable[[], Any], turn: Callable[[Any], None]) -> None:
        """Repeat `turn` with the result of `wait` while a socket is open."""
        while True:
            result = wait()
            if not self._sockets:
                with self._lock:
                    if not self._sockets:
                        self._running.discard(name)
                        return
            with self._app.app_context():
                try:
                    turn(result)
                except SQLAlchemyError as error:
                    log.warning("console_feed.database_away", thread=name, error=type(error).__name__)
                except Exception as error:  # noqa: BLE001 - an error must not end the updates of all consoles
                    log.error("console_feed.failed", thread=name, error=f"{type(error).__name__}: {error}"[:500])
                finally:
                    with suppress(SQLAlchemyError):
                        db.session.rollback()

    def _wait(self) -> bool:
        """Wait for a message or for the next turn of the reader; True after a message."""
        woken = self._woken.wait(_CHECK_EVERY)
        if woken:
            time.sleep(max(0.0, self._read_at + _COLLECT - time.monotonic()))
        self._woken.clear()
        return woken

    def _turn(self, woken: bool) -> None:
        at = time.monotonic()
        if woken or at - self._read_at >= READ_EVERY:
            self._read_at = at
            self._read_events()
        if at >= self._figures_at:
            self._read_figures(at)

    def _check_sign_ins(self) -> None:
        """End the sockets whose sign-in has ended, or whose account has lost the permission."""
        sockets = self._sockets
        try:
            roles = sessions.active_roles({socket.sign_in for socket in sockets})
        except redis.RedisAway:
            self._end_all(AWAY)
            return
        finally:
            db.session.rollback()
        for socket in sockets:
            if socket.ending is not None:
                socket.end(socket.ending)
            elif socket.sign_in not in roles:
                socket.end(SIGNED_OUT)
            elif PERMISSION not in permissions_of(roles[socket.sign_in]):
                socket.end(NOT_ALLOWED)

    def _read_events(self) -> None:
        with self._lock:  # a socket that joins meanwhile gets each event once
            while entries := self._reader.read():
                db.session.rollback()
                messages = self._messages(entries) if len(entries) <= events.SHOWN else [self._snapshot(0)]
                for socket in self._sockets:
                    socket.put(messages)

    def _read_figures(self, at: float) -> None:
        found = figures.tiles()
        db.session.rollback()
        now = time.monotonic()
        self._figures_at = now + max(_FIGURES_EVERY, _FIGURES_SHARE * (now - at))
        with self._lock:
            if found != self._tiles or now - self._sent_at >= _HEARTBEAT:
                self._tiles, self._sent_at = found, now
                message = self._snapshot(self._last() + OVERLAP)
                for socket in self._sockets:
                    socket.put([message])

    def _last(self) -> int:
        return self._reader.newest[-1].seq if self._reader.newest else 0

    def _messages(self, entries: Sequence[Entry]) -> list[bytes]:
        with self._rendering():
            return [_frame({"type": "event"} | _event(entry)) for entry in entries]

    def _snapshot(self, since: int) -> bytes:
        """The figures, and the newest events with numbers after `since`, less OVERLAP."""
        entries = [entry for entry in self._reader.newest if entry.seq > since - OVERLAP]
        with self._rendering():
            return _frame(
                {
                    "type": "snapshot",
                    "seq": self._last(),
                    "at": clock.now().isoformat(),
                    "tiles": {tile.key: tile.value for tile in self._tiles},
                    "tiles_html": render_template("ops/_live_tiles.html", tiles=self._tiles),
                    "events": [_event(entry) for entry in entries],
                }
            )

    def _rendering(self) -> Any:
        return self._app.test_request_context("/", base_url=self._app.config["SHOP_URL"])  # templates make links


def _frame(message: dict[str, Any]) -> bytes:
    """A text frame; it is the same for all sockets, because none is compressed and servers mask nothing."""
    return bytes(FrameProtocol(client=False, extensions=[]).send_data(json.dumps(message)))


def _event(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "subject": entry.subject,
        "order": entry.order_number or None,
        "detail": entry.detail,
        "html": render_template("ops/_live_event.html", event=entry),
    }


def of(app: Flask) -> Feed:
    """The feed of `app`."""
    found: Feed | None = app.extensions.get("settled_feed")
    return found or app.extensions.setdefault("settled_feed", Feed(app))
