"""WebSocket of an order, for programs. The token in the path grants access.

JSON messages: a `snapshot` has the order, an `event` has the order after a change, and `done` is the last one: the
order is final, or its token has ended. Changes that come together give one `event`; `seq` is the number of the newest
event of the order that it includes. Clients send nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import unescape
from typing import Any

from flask import Blueprint, Flask, Response, current_app, get_template_attribute, request
from flask_babel import get_locale
from simple_websocket import ConnectionClosed, Server
from sqlalchemy.exc import SQLAlchemyError

from shop.checkout.order_status import OrderStatus
from shop.checkout.order_summary import summary
from shop.core import logs
from shop.core.client_address import client_network
from shop.core.db import db
from shop.http_kit.access import access
from shop.live import cap, fragments, hub, sse, websocket
from shop.live.websocket import Ending
from shop.orders.models import Order

_DONE = Ending(1000, "This was the last message.")
_EVICTED = Ending(1008, "You have opened too many live connections; this was the oldest one.")

log = logs.get()
blueprint = Blueprint("live_order", __name__)


@dataclass
class _Watch:
    """An open socket: the order, the language, and the number and status key that were sent last."""

    token: str
    locale: str
    seen: tuple[int, str] = (-1, "")


def as_json(status: OrderStatus) -> str:
    """The order as JSON, with the heading of its page in the language of the viewer."""
    heading = unescape(get_template_attribute("shop/_words.html", "heading")(status)).strip()
    return json.dumps({"seq": status.seq, "order": {**summary(status), "heading": heading}}, ensure_ascii=False)


def serve(connection: Server, watch: _Watch, viewer: hub.Viewer) -> None:
    """WebSocket of an order: its state, amounts and payment as JSON messages, until it is final."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    viewer.notify_by(connection.event)
    db.session.remove()  # no database connection while the socket is open
    try:
        websocket.close(connection, _ending(app, connection, watch, viewer))
    except (ConnectionClosed, OSError):
        return


def _admitted(view: Callable[..., Any]) -> Callable[..., Any]:
    """`view` of an order with a viewer of the hub; 503 above the limits, before the handshake."""

    @wraps(view)
    def admitted(order: Order) -> Any:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        here, network = hub.of(app), client_network(request.remote_addr)
        watch = _Watch(order.token, str(get_locale() or order.locale))
        try:
            viewer = here.join(order.id, cap.visitor(order.token), order.event_seq, network, channel="order_websocket")
        except hub.Full:
            return sse.at_capacity()
        try:
            return view(watch, viewer)
        finally:
            here.leave(viewer)

    return admitted


def _guard(view: Callable[..., Any]) -> Callable[..., Response]:
    guarded: Callable[..., Response] = access("order_token")(_admitted(view))
    return guarded


websocket.register(blueprint, "/ws/orders/<token>", serve, _guard)


def _ending(app: Flask, connection: Server, watch: _Watch, viewer: hub.Viewer) -> Ending:
    """Send messages until the connection has to be closed; returns how. Raises ConnectionClosed and OSError."""
    heartbeat = app.config.get("STREAM_HEARTBEAT", sse.HEARTBEAT)
    while connection.connected:
        if connection.input_buffer:
            return websocket.NO_MESSAGES
        if viewer.closing:
            return websocket.SHUT_DOWN
        if viewer.evicted:
            return _EVICTED
        try:
            current = _current(app, watch, viewer)
        except Exception as error:  # noqa: BLE001 - an error must not end an open connection
            log.warning("live.render_failed", order=viewer.order_id, error=type(error).__name__)
            viewer.wait(hub.WITHOUT_REDIS if isinstance(error, SQLAlchemyError) else heartbeat)
            continue
        if current is not None and (current.seq, current.key) != watch.seen:
            kind = "event" if watch.seen[0] >= 0 else "snapshot"
            connection.send(f'{{"type": "{kind}", {current.content[1:]}')
            watch.seen = (current.seq, current.key)
        if current is None or current.final:
            connection.send('{"type": "done"}')
            return _DONE
        viewer.wait(heartbeat)
    raise ConnectionClosed


def _current(app: Flask, watch: _Watch, viewer: hub.Viewer) -> fragments.Fragment | None:
    """The order as it is now, as JSON; None when its token has ended."""
    newest, since = max(watch.seen[0], viewer.newest), viewer.changed_at
    return fragments.current(
        app, watch.token, watch.locale, as_json, at_least=newest, begun_after=since, seen=watch.seen
    )
