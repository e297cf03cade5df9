"""What an open page is sent: rendered once per event and language, and shared by everyone who looks at the order."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from flask import Flask, render_template
from flask_babel import force_locale

from shop.checkout.standing import standing
from shop.orders import find

_FRESH = 2.0  # seconds for which a look is shared; countdowns in it are at most so old
_KEPT = 512


@dataclass(frozen=True)
class Look:
    """An order as it stands: number of its newest event, its standing, whether all is final, and the update to swap in.

    `html` is empty when the viewer has seen this already.
    """

    seq: int
    key: str
    final: bool
    html: str = ""


class _Shared:
    """The latest looks, by order and language; one viewer looks, the others wait for it and share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.looks: OrderedDict[tuple[str, str], tuple[float, Look]] = OrderedDict()
        self.turns: dict[tuple[str, str], threading.Lock] = {}

    def fresh(self, name: tuple[str, str], at_least: int, begun_after: float) -> Look | None:
        with self.lock:
            at, look = self.looks.get(name, (0.0, None))
        recent = at >= begun_after and time.monotonic() - at < _FRESH
        return look if look and look.seq >= at_least and recent else None

    def keep(self, name: tuple[str, str], look: Look, begun: float) -> None:
        with self.lock:
            self.looks[name] = (begun, look)
            self.looks.move_to_end(name)
            while len(self.looks) > _KEPT:
                oldest, _ = self.looks.popitem(last=False)
                self.turns.pop(oldest, None)

    def turn(self, name: tuple[str, str]) -> threading.Lock:
        with self.lock:
            return self.turns.setdefault(name, threading.Lock())


def look(
    app: Flask,
    token: str,
    locale: str,
    *,
    at_least: int = 0,
    begun_after: float = 0.0,
    seen: tuple[int, str] = (-1, ""),
) -> Look | None:
    """How the order of `token` stands, not older than event `at_least`; None when the token opens nothing any more.

    A look that was begun before `begun_after` (monotonic seconds) is not shared. `seen` is the number and the standing
    that the viewer has ("" when only the number is known); nothing is rendered for who has it all. Holds a database
    connection only while it looks. Raises SQLAlchemyError when the database is away.
    """
    shared: _Shared = app.extensions.get("settled_looks") or app.extensions.setdefault("settled_looks", _Shared())
    name = (token, locale)

    def usable() -> Look | None:
        found = shared.fresh(name, at_least, begun_after)
        return found if found and (found.html or _same(found.seq, found.key, seen)) else None

    found = usable()
    if found:
        return found
    with shared.turn(name):
        found = usable()
        if found:
            return found
        begun = time.monotonic()
        made = _make(app, token, locale, seen)
        if made:
            shared.keep(name, made, begun)
        return made


def _same(seq: int, key: str, seen: tuple[int, str]) -> bool:
    return seq == seen[0] and seen[1] in ("", key)


def _make(app: Flask, token: str, locale: str, seen: tuple[int, str]) -> Look | None:
    there = app.test_request_context("/", base_url=app.config["SHOP_URL"])  # templates make links
    with app.app_context(), there, force_locale(locale):
        order = find.by_token(token)
        if order is None:
            return None
        stands = standing(order)
        html = "" if _same(stands.seq, stands.key, seen) else render_template("shop/_order_update.html", s=stands)
        return Look(stands.seq, stands.key, stands.final, html)
