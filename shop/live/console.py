"""WebSocket of the page Live, at the address of the page.

JSON messages: a `snapshot` has the figures and the newest events, an `event` has one event; `seq` is the number of the
newest event. `?since=` is the last number that a page has, so that its snapshot starts there. Clients send nothing.
"""

from __future__ import annotations

import socket as sockets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, abort, current_app, request
from flask.blueprints import BlueprintSetupState
from flask_login import current_user
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from sqlalchemy.exc import SQLAlchemyError

from shop.accounts import sessions
from shop.core.db import db
from shop.http_kit.access import requires
from shop.live import feed
from shop.live.feed import Ending

PING = 20
"""Seconds between two pings. A client that has not answered the last one is disconnected."""
_LARGEST_MESSAGE = 256  # bytes
_NO_MESSAGES = Ending(1008, "This connection takes no messages.")
_NO_DATABASE = Ending(1013, "Live updates are temporarily unavailable: the database cannot be read.")
_IDLE = 5.0  # seconds
_CLOSES_WITHIN = 1.0  # seconds

blueprint = Blueprint("live_console", __name__)


@blueprint.record_once
def _configure(state: BlueprintSetupState) -> None:
    options = {"ping_interval": PING, "max_message_size": _LARGEST_MESSAGE}
    state.app.config.setdefault("SOCK_SERVER_OPTIONS", options)


class _Guarded:
    """The blueprint, as flask-sock uses it: registers its views behind the checks that come before the handshake."""

    def route(self, path: str, **options: Any) -> Callable[[Callable[[], Any]], Any]:
        return lambda view: blueprint.route(path, **options)(requires(feed.PERMISSION)(_prepared(view)))


def _prepared(view: Callable[[], Any]) -> Callable[[], Any]:
    def connect() -> Any:
        """WebSocket of the page Live: events and figures as JSON messages."""
        if not _is_own_origin():
            abort(403, "This connection was opened by a page of another origin.")
        environ = request.environ
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)  # compression would need 300 KB for each socket
        for name in ("gunicorn.socket", "werkzeug.socket"):
            if name in environ:
                environ[name] = WholeSends(environ[name])
        return view()

    return connect


def _is_own_origin() -> bool:
    """True for pages of the shop, and for programs: browsers always name the origin of the page."""
    origin, shop = request.headers.get("Origin"), urlsplit(current_app.config["SHOP_URL"])
    own = {f"{request.scheme}://{request.host}", f"{shop.scheme}://{shop.netloc}"}
    return origin is None or origin.lower() in own


class WholeSends:
    """A socket whose `send` sends everything, for one thread at a time.

    simple-websocket ignores how much a socket has taken, and sends pongs from another thread.
    """

    def __init__(self, connection: sockets.socket) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def send(self, data: bytes) -> None:
        with self._lock:
            self._connection.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def serve(connection: Server) -> None:
    """Send messages until the client leaves or the feed ends the connection."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    here, sign_in = feed.of(app), sessions.here() or ""
    consumer = feed.Socket(current_user.id, sign_in, connection.event, lambda: _abort(connection))
    db.session.remove()  # no database connection while the socket is open
    try:
        here.join(consumer, _since())
    except feed.Full as full:
        _close(connection, Ending(1013, str(full)))
        return
    except SQLAlchemyError:
        _close(connection, _NO_DATABASE)
        return
    try:
        _send_all(connection, consumer)
    except (ConnectionClosed, OSError):
        return
    finally:
        here.leave(consumer)


Sock().route("/ops/live", bp=_Guarded())(serve)


def _send_all(connection: Server, consumer: feed.Socket) -> None:
    while connection.connected:
        connection.event.wait(_IDLE)
        connection.event.clear()
        if connection.input_buffer:
            _close(connection, _NO_MESSAGES)
            return
        if waiting := consumer.take():
            connection.sock.send(waiting)
        if consumer.ending is not None:
            _close(connection, consumer.ending)
            return


def _close(connection: Server, ending: Ending) -> None:
    """Close the connection and wait for the client's close frame.

    The development server writes a response afterwards, which would hide the reason, so nothing can be sent any more.
    """
    with suppress(ConnectionClosed, OSError):
        connection.close(*ending)
        connection.thread.join(_CLOSES_WITHIN)
    _abort(connection)


def _since() -> int:
    """Number of the last event that the page has; an invalid number counts as 0."""
    text = request.args.get("since", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _abort(connection: Server) -> None:
    with suppress(OSError):
        connection.sock.shutdown(sockets.SHUT_RDWR)
