"""Order statuses for open pages and sockets: rendered once per event, language and form, and shared by all viewers of
the order.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask
from flask_babel import force_locale

from shop.checkout.order_status import OrderStatus, load_status
from shop.orders import find

_FRESH = 2.0  # seconds for which a fragment is shared; its countdowns are at most so old
_KEPT = 512
Render = Callable[[OrderStatus], str]


@dataclass(frozen=True)
class Fragment:
    """Current status of an order: number of its newest event, status key, finality, and what viewers are sent. The
    content is empty when the viewer has this status already.
    """

    seq: int
    key: str
    final: bool
    content: str = ""


class _Shared:
    """Cache of the latest fragments by order and language; one viewer renders, the others wait and share the result."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.fragments: OrderedDict[tuple[str, ...], tuple[float, Fragment]] = OrderedDict()
        self.turns: dict[tuple[str, ...], threading.Lock] = {}

    def fresh(self, name: tuple[str, ...], at_least: int, begun_after: float) -> Fragment | None:
        with self.lock:
            at, fragment = self.fragments.get(name, (0.0, None))
        recent = at >= begun_after and time.monotonic() - at < _FRESH
        return fragment if fragment and fragment.seq >= at_least and recent else None

    def keep(self, name: tuple[str, ...], fragment: Fragment, begun: float) -> None:
        with self.lock:
            self.fragments[name] = (begun, fragment)
            self.fragments.move_to_end(name)
            while len(self.fragments) > _KEPT:
                oldest, _ = self.fragments.popitem(last=False)
                self.turns.pop(oldest, None)

    def turn(self, name: tuple[str, ...]) -> threading.Lock:
        with self.lock:
            return self.turns.setdefault(name, threading.Lock())


def current(
    app: Flask,
    token: str,
    locale: str,
    render: Render,
    *,
    at_least: int = 0,
    begun_after: float = 0.0,
    seen: tuple[int, str] = (-1, ""),
) -> Fragment | None:
    """Current fragment of the order of `token`, not older than event `at_least`; None when the token is no longer
    valid. `render`, a function of a module, makes its content.

    A fragment whose rendering began before `begun_after` (monotonic seconds) is not shared. `seen` is the event number
    and the status key that the viewer has ("" when only the number is known); nothing is rendered for a viewer that is
    up to date. Holds a database connection only while it renders. Raises SQLAlchemyError when the database is
    unavailable.
    """
    shared: _Shared = app.extensions.get("settled_fragments") or app.extensions.setdefault(
        "settled_fragments", _Shared()
    )
    name = (token, locale, render.__name__)

    def usable() -> Fragment | None:
        found = shared.fresh(name, at_least, begun_after)
        return found if found and (found.content or _same(found.seq, found.key, seen)) else None

    found = usable()
    if found:
        return found
    with shared.turn(name):
        found = usable()
        if found:
            return found
        begun = time.monotonic()
        made = _make(app, token, locale, render, seen)
        if made:
            shared.keep(name, made, begun)
        return made


def _same(seq: int, key: str, seen: tuple[int, str]) -> bool:
    return seq == seen[0] and seen[1] in ("", key)


def _make(app: Flask, token: str, locale: str, render: Render, seen: tuple[int, str]) -> Fragment | None:
    there = app.test_request_context("/", base_url=app.config["SHOP_URL"])  # templates make links
    with app.app_context(), there, force_locale(locale):
        order = find.by_token(token)
        if order is None:
            return None
        status = load_status(order)
        content = "" if _same(status.seq, status.key, seen) else render(status)
        return Fragment(status.seq, status.key, status.final, content)
