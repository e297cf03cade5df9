"""Event stream of an order page. The token in the path grants access."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, current_app, render_template, request
from flask_babel import get_locale
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shop.checkout.order_status import OrderStatus
from shop.core import logs
from shop.core.client_address import client_network
from shop.core.db import db
from shop.live import cap, fragments, hub
from shop.orders import find
from shop.orders.models import Order

HEARTBEAT = 12.0
"""Seconds between two heartbeats, at which the stream also reads the database. A disconnected client is detected only
by writing to it.
"""
_RETRY = b"retry: 300\n\n"  # milliseconds after which a browser reconnects
_TRY_AGAIN = 20  # seconds after which a page that was refused reconnects
_PING = b": ping\n\n"
_DONE = b"event: done\ndata: done\n\n"  # hx-sse closes on it; without data it would not be delivered
_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

log = logs.get()
blueprint = Blueprint("live", __name__)


@dataclass
class _Watch:
    """A stream: the order, the language, the last event sent; `key` is the status that the page shows, empty while
    unknown.
    """

    token: str
    order_id: int
    locale: str
    sent: int
    key: str = ""


@blueprint.get("/orders/<token>/events")
def events(token: str) -> Response:
    """The order's changes as server-sent events, numbered like its history; `event: done` when the status is final.

    Starts after the larger of `?since=` and `Last-Event-ID`; `?showing=` is the page's status key, so that a change by
    time alone since it was rendered is sent too. Sets no cookie. 404 for an invalid token; a page whose token has
    expired since gets `event: done` instead, because its browser would reconnect without end.
    """
    order = find.by_token(token)
    if order is None:
        was_page = "since" in request.args or "Last-Event-ID" in request.headers
        if was_page and db.session.scalar(select(Order.id).where(Order.token == token)):
            return _stream(iter([_DONE]))
        return Response("There is no such order.\n", 404, mimetype="text/plain", headers={"Cache-Control": "no-store"})
    sent = min(_position(), order.event_seq)
    watch = _Watch(token, order.id, str(get_locale() or order.locale), sent, _showing())
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    here = hub.of(app)
    try:
        viewer = here.join(order.id, cap.visitor(token), sent, client_network(request.remote_addr))
    except hub.Full:
        return at_capacity()
    response = _stream(_messages(app, watch, viewer))
    response.call_on_close(lambda: here.leave(viewer))  # also for a stream that was never read
    return response


events.access = "order_token"  # type: ignore[attr-defined]


def at_capacity() -> Response:
    """Answer 503: the page then polls its status every 20 seconds and tries to reconnect."""
    headers = {"Retry-After": str(_TRY_AGAIN), "Cache-Control": "no-store"}
    return Response("Too many pages are open.\n", 503, mimetype="text/plain", headers=headers)


def _stream(messages: Iterator[bytes]) -> Response:
    return Response(messages, mimetype="text/event-stream", headers=_HEADERS)


def _position() -> int:
    """Number of the last event that the page has; an invalid number counts as 0."""
    given = (request.args.get("since", ""), request.headers.get("Last-Event-ID", ""))
    return max(int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0 for text in given)


def _showing() -> str:
    """Status key with which the page was rendered; empty for a page that reconnects."""
    return "" if "Last-Event-ID" in request.headers else request.args.get("showing", "")


def _messages(app: Flask, watch: _Watch, viewer: hub.Viewer) -> Iterator[bytes]:
    """The stream's body. Between two messages it holds no database connection and no application context."""
    here = hub.of(app)
    heartbeat = app.config.get("STREAM_HEARTBEAT", HEARTBEAT)
    try:
        yield _RETRY
        while not (viewer.closing or viewer.evicted):
            try:
                seen, newest = (watch.sent, watch.key), max(watch.sent, viewer.newest)
                fragment = fragments.current(
                    app, watch.token, watch.locale, as_html, at_least=newest, begun_after=viewer.changed_at, seen=seen
                )
            except Exception as error:  # noqa: BLE001 an error must not end an open page's stream
                log.warning("live.render_failed", order=watch.order_id, error=type(error).__name__)
                yield _PING
                viewer.wait(hub.WITHOUT_REDIS if isinstance(error, SQLAlchemyError) else heartbeat)
                continue
            if fragment is None:
                break
            yield _missing(watch, fragment) or _PING
            if fragment.final:
                break
            viewer.wait(heartbeat)
        if not viewer.closing:
            yield _DONE
    finally:
        here.leave(viewer)


def as_html(status: OrderStatus) -> str:
    """The status as the HTML that pages swap in."""
    return render_template("shop/_order_update.html", s=status)


def _missing(watch: _Watch, fragment: fragments.Fragment) -> bytes:
    """The missing messages, one per event number; none if the page is up to date. The last message carries the current
    status; earlier ones carry only their numbers. Changes by time alone have no number.
    """
    numbers = range(watch.sent + 1, fragment.seq + 1)
    is_changed = watch.key not in ("", fragment.key)
    watch.sent, watch.key = max(watch.sent, fragment.seq), fragment.key
    if numbers:
        passed = b"".join(_message(f"<!-- {number} -->", number) for number in numbers[:-1])
        return passed + _message(fragment.content, fragment.seq)
    return _message(fragment.content, None) if is_changed else b""


def _message(html: str, number: int | None) -> bytes:
    lines = [f"data: {line}" for line in html.strip().splitlines()]
    if number is not None:
        lines.insert(0, f"id: {number}")
    return ("\n".join(lines) + "\n\n").encode()
