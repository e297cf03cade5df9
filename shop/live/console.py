"""WebSocket of the page Live, at the address of the page.

JSON messages: a `snapshot` has the figures and the newest events, an `event` has one event; `seq` is the number of the
newest event. `?since=` is the last number that a page has, so that its snapshot starts there. Clients send nothing.
"""

from __future__ import annotations

from flask import Blueprint, Flask, current_app, request
from flask_login import current_user
from simple_websocket import ConnectionClosed, Server
from sqlalchemy.exc import SQLAlchemyError

from shop.accounts import sessions
from shop.core.db import db
from shop.http_kit.access import requires
from shop.live import feed, websocket
from shop.live.websocket import Ending

_NO_DATABASE = Ending(1013, "Live updates are temporarily unavailable: the database cannot be read.")

blueprint = Blueprint("live_console", __name__)


def serve(connection: Server) -> None:
    """WebSocket of the page Live: events and figures as JSON messages."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    here, sign_in = feed.of(app), sessions.here() or ""
    consumer = feed.Socket(current_user.id, sign_in, connection.event, lambda: websocket.disconnect(connection))
    db.session.remove()  # no database connection while the socket is open
    try:
        here.join(consumer, _since())
    except feed.Full as full:
        websocket.close(connection, Ending(1013, str(full)))
        return
    except SQLAlchemyError:
        websocket.close(connection, _NO_DATABASE)
        return
    try:
        _send_all(connection, consumer)
    except (ConnectionClosed, OSError):
        return
    finally:
        here.leave(consumer)


websocket.register(blueprint, "/ops/live", serve, requires(feed.PERMISSION))


def _send_all(connection: Server, consumer: feed.Socket) -> None:
    while connection.connected:
        connection.event.wait(websocket.IDLE)
        connection.event.clear()
        if connection.input_buffer:
            websocket.close(connection, websocket.NO_MESSAGES)
            return
        if waiting := consumer.take():
            connection.sock.send(waiting)
        if consumer.ending is not None:
            websocket.close(connection, consumer.ending)
            return


def _since() -> int:
    """Number of the last event that the page has; an invalid number counts as 0."""
    text = request.args.get("since", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
