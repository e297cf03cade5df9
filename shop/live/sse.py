"""The event stream of an order's page. The token in the address is the right to read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, current_app, request, session
from flask_babel import get_locale
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from shop.core import logs
from shop.core.db import db
from shop.live import fragments, hub
from shop.orders import find
from shop.orders.models import Order

HEARTBEAT = 12.0
"""Seconds between two signs of life, at which the stream compares itself with the database. A client that has gone away
is noticed only by writing to it."""
_RETRY = b"retry: 300\n\n"  # milliseconds after which a browser comes back
_PING = b": ping\n\n"
_DONE = b"event: done\ndata: done\n\n"  # hx-sse closes on it; without data it would not be delivered
_HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}

log = logs.get()
blueprint = Blueprint("live", __name__)


@dataclass
class _Watch:
    """One stream: which order, in which language, up to which event it was sent; `key` is how the page shows the order,
    empty while that is not known.
    """

    token: str
    order_id: int
    locale: str
    session: str
    sent: int
    key: str = ""


@blueprint.get("/orders/<token>/events")
def events(token: str) -> Response:
    """The order's changes as server-sent events, numbered like its history; `event: done` when nothing more will come.

    Starts after the larger of `?since=` and `Last-Event-ID`; a page that says what it is `showing` is told what changed
    with time alone before it got here. Sets no cookie. 404 for a token that opens nothing; a page
    whose token has run out since is told `done` instead, because its browser would ask again for ever.
    """
    order = find.by_token(token)
    if order is None:
        was_page = "since" in request.args or "Last-Event-ID" in request.headers
        if was_page and db.session.scalar(select(Order.id).where(Order.token == token)):
            return _stream(iter([_DONE]))
        return Response("There is no such order.\n", 404, mimetype="text/plain", headers={"Cache-Control": "no-store"})
    sent = min(_position(), order.event_seq)
    watch = _Watch(token, order.id, str(get_locale() or order.locale), _session(token), sent, _showing())
    return _stream(_messages(current_app._get_current_object(), watch))  # type: ignore[attr-defined]


events.access = "order_token"  # type: ignore[attr-defined]


def _stream(messages: Iterator[bytes]) -> Response:
    return Response(messages, mimetype="text/event-stream", headers=_HEADERS)


def _position() -> int:
    """Up to which event the page has everything; what is no number counts as nothing."""
    given = (request.args.get("since", ""), request.headers.get("Last-Event-ID", ""))
    return max(int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0 for text in given)


def _showing() -> str:
    """The standing with which the page was rendered; a page that comes back shows something else by now."""
    return "" if "Last-Event-ID" in request.headers else request.args.get("showing", "")


def _session(token: str) -> str:
    """What tells one visitor from another for the cap on open streams."""
    known = session.get("csrf_token") or session.get("cart")
    return f"visitor {known}" if known else f"address {request.remote_addr} {token}"


def _messages(app: Flask, watch: _Watch) -> Iterator[bytes]:
    """The stream's body. Between two messages it holds no database connection and no application context."""
    here = hub.of(app)
    heartbeat = app.config.get("STREAM_HEARTBEAT", HEARTBEAT)
    viewer = here.join(watch.order_id, watch.session, watch.sent)
    joined = time.monotonic()  # what happened before that rang no bell here: a look from before could miss it
    try:
        yield _RETRY
        while not (viewer.closing or viewer.evicted):
            try:
                seen, newest = (watch.sent, watch.key), max(watch.sent, viewer.newest)
                look = fragments.look(app, watch.token, watch.locale, at_least=newest, begun_after=joined, seen=seen)
            except Exception as error:  # noqa: BLE001 an open page outlives whatever goes wrong behind it
                log.warning("live.look_failed", order=watch.order_id, error=type(error).__name__)
                yield _PING
                viewer.wait(hub.WITHOUT_REDIS if isinstance(error, SQLAlchemyError) else heartbeat)
                continue
            if look is None:
                break
            yield _news(watch, look) or _PING
            if look.final:
                break
            viewer.wait(heartbeat)
        if not viewer.closing:
            yield _DONE
    finally:
        here.leave(viewer)


def _news(watch: _Watch, look: fragments.Look) -> bytes:
    """What the page has not been told, one message per event number; nothing when it has everything.

    A page shows the present, so the last message has all of it, and those before it only carry their numbers. What
    changed with time alone has no number.
    """
    numbers = range(watch.sent + 1, look.seq + 1)
    moved = watch.key not in ("", look.key)
    watch.sent, watch.key = max(watch.sent, look.seq), look.key
    if numbers:
        passed = b"".join(_message(f"<!-- {number} -->", number) for number in numbers[:-1])
        return passed + _message(look.html, look.seq)
    return _message(look.html, None) if moved else b""


def _message(html: str, number: int | None) -> bytes:
    lines = [f"data: {line}" for line in html.strip().splitlines()]
    if number is not None:
        lines.insert(0, f"id: {number}")
    return ("\n".join(lines) + "\n\n").encode()
