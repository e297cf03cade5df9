"""WebSockets on flask-sock: views behind checks before the handshake, limits on messages, closing."""

from __future__ import annotations

import socket as sockets
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, request
from flask.blueprints import BlueprintSetupState
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server

PING = 25
"""Seconds between two pings. A client that has not answered the last one is disconnected."""
LARGEST_MESSAGE = 256  # bytes
IDLE = 5.0
"""Seconds after which a connection is looked at without a notification."""
_CLOSES_WITHIN = 1.0  # seconds
View = Callable[..., Any]


class Ending(NamedTuple):
    """Close code of a socket, and the reason that its page shows; at most 123 bytes."""

    code: int
    reason: str


NO_MESSAGES = Ending(1008, "This connection takes no messages.")
SHUT_DOWN = Ending(1012, "The server is restarting.")


def register(blueprint: Blueprint, path: str, serve: View, guard: Callable[[View], View]) -> None:
    """Register the WebSocket `serve` at `path`. `guard` checks access before the handshake, and so is the origin."""

    @blueprint.record_once
    def _configure(state: BlueprintSetupState) -> None:
        options = {"ping_interval": PING, "max_message_size": LARGEST_MESSAGE}
        state.app.config.setdefault("SOCK_SERVER_OPTIONS", options)

    Sock().route(path, bp=_Guarded(blueprint, guard))(serve)


class _Guarded:
    """A blueprint, as flask-sock uses it: registers views behind the checks that come before the handshake."""

    def __init__(self, blueprint: Blueprint, guard: Callable[[View], View]) -> None:
        self._blueprint, self._guard = blueprint, guard

    def route(self, path: str, **options: Any) -> Callable[[View], View]:
        return lambda view: self._blueprint.route(path, **options)(self._guard(_prepared(view)))


def _prepared(view: View) -> View:
    @wraps(view)
    def connect(*arguments: Any, **values: Any) -> Any:
        if not _is_own_origin():
            abort(403, "This connection was opened by a page of another origin.")
        environ = request.environ
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)  # compression would need 300 KB for each socket
        for name in ("gunicorn.socket", "werkzeug.socket"):
            if name in environ:
                environ[name] = WholeSends(environ[name])
        return view(*arguments, **values)

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


def close(connection: Server, ending: Ending) -> None:
    """Close the connection and wait for the client's close frame.

    The development server writes a response afterwards, which would hide the reason, so nothing can be sent any more.
    """
    with suppress(ConnectionClosed, OSError):
        connection.close(*ending)
        connection.thread.join(_CLOSES_WITHIN)
    disconnect(connection)


def disconnect(connection: Server) -> None:
    """End the connection without a close frame."""
    with suppress(OSError):
        connection.sock.shutdown(sockets.SHUT_RDWR)
