"""WebSocket of the page Live against a real server: messages, resume, limits, and the end of sockets."""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from simple_websocket import Client, ConnectionClosed
from simple_websocket import ConnectionError as Refused
from werkzeug.serving import make_server

from shop.accounts import people, sessions
from shop.accounts.models import User
from shop.accounts.permissions import PERMISSIONS, Permission, Role
from shop.activity import events as activity
from shop.activity import figures
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.event_types import OrderReviewEnded
from shop.live import feed, hub
from shop.orders import events
from shop.orders.models import Order
from tests.ops.conftest import visitor_as
from tests.ops.test_alerts import alert
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

Console = Callable[..., "Open"]


class _Client(Client):
    """The library's client, which leaves frames unread that arrive together with the handshake."""

    def _thread(self) -> None:
        self.connected = self._handle_events()
        super()._thread()


class Open:
    """An open socket of the page Live."""

    def __init__(self, address: str, visitor: Visitor | None, headers: dict[str, str]) -> None:
        cookie = visitor.client.get_cookie("settled") if visitor else None
        if cookie:
            headers = {"Cookie": f"settled={cookie.value}", **headers}
        self.client = _Client(address, headers=headers)

    def message(self, kind: str = "") -> dict[str, Any]:
        """The next message, or the next one of a kind."""
        while True:
            text = self.client.receive(timeout=5)
            assert text is not None, "no message within 5 s"
            found: dict[str, Any] = json.loads(text)
            if kind in ("", found["type"]):
                return found

    def end(self, within: float = 5) -> tuple[int, str]:
        """The code and the reason with which the server closes the socket."""
        until(lambda: not self.client.connected, within=within, what="the end of the socket")
        with pytest.raises(ConnectionClosed):
            while self.client.receive(timeout=0) is not None:
                pass
        return self.client.close_reason, self.client.close_message or ""


@pytest.fixture
def console(shop: Shop) -> Iterator[Console]:
    """`console(visitor, since=…, **headers)` opens a socket at a real server."""
    shop.app.config["RATE_LIMITS"] = False
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    opened: list[Open] = []

    def open_console(visitor: Visitor | None, since: object = "", **headers: str) -> Open:
        query = f"?since={since}" if since != "" else ""
        opened.append(Open(f"ws://127.0.0.1:{server.server_port}/ops/live{query}", visitor, headers))
        return opened[-1]

    yield open_console
    for one in opened:
        if one.client.connected:
            one.client.close()
    until(lambda: not feed.of(shop.app)._sockets, within=5, what="the end of the sockets")
    hub.of(shop.app).close()
    server.shutdown()
    server.server_close()


def note(order: Order, times: int = 1) -> None:
    """Write events of the order."""
    for _ in range(times):
        with transaction():
            events.record(order.id, OrderReviewEnded(), actor=Actor.customer())


def test_a_console_gets_a_snapshot_and_then_each_event_with_its_number(shop: Shop, console: Console) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    opened = console(support)
    first = opened.message()
    assert first["type"] == "snapshot" and first["tiles"]["paid"] == "1"
    assert [event["seq"] for event in first["events"]][-1] == first["seq"]
    note(order)
    new = opened.message("event")
    assert (new["kind"], new["order"]) == ("order.review_ended", order.number) and new["seq"] > first["seq"]
    assert f'href="/ops/orders/{order.number}"' in new["html"]


def test_a_page_that_reconnects_gets_the_events_that_it_missed(shop: Shop, console: Console) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    opened = console(support)
    since = opened.message()["seq"]
    opened.client.close()
    note(order, 3)
    again = console(support, since=since)
    missed = [event for event in again.message()["events"] if event["seq"] > since]
    while len(missed) < 3:  # what the feed had not read when the snapshot was made follows it
        missed.append(again.message("event"))
    assert [event["kind"] for event in missed] == ["order.review_ended"] * 3
    assert console(support, since="zzz").message()["type"] == "snapshot"


def test_an_alert_arrives_as_soon_as_it_is_raised(
    shop: Shop, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "READ_EVERY", 60.0)
    opened = console(visitor_as(shop, "support"))
    opened.message()
    until(lambda: hub.of(shop.app).connected, within=10, what="the subscription")
    number = alert()
    new = opened.message("event")
    assert new["kind"] == "alert.raised" and f'href="/ops/alerts/{number}"' in new["html"]


def test_an_event_that_is_committed_after_a_later_one_is_read(shop: Shop) -> None:
    order = shop.order()
    reader = activity.Reader()
    note(order, 2)
    rows = db.session.execute(db.select(activity.OutboxRow).order_by(activity.OutboxRow.id.desc()).limit(2)).all()
    early = rows[1][0]
    number, copy = early.id, {column.key: getattr(early, column.key) for column in activity.OutboxRow.__table__.columns}
    with transaction():
        db.session.execute(db.delete(activity.OutboxRow).where(activity.OutboxRow.id == number))
    assert [entry.seq for entry in reader.read()] == [number + 1]
    with transaction():
        db.session.execute(db.insert(activity.OutboxRow).values(**copy))
    assert [entry.seq for entry in reader.read()] == [number]
    assert [entry.seq for entry in reader.newest][-2:] == [number, number + 1]
    assert reader.read() == []


def _sign_out(shop: Shop, visitor: Visitor, _user: User) -> None:
    visitor.get("/ops")
    visitor.post("/sign-out")


def _demote(shop: Shop, _visitor: Visitor, user: User) -> None:
    people.set_roles(user.id, ["merchandiser"], by=Actor.operator(), reason="a new job")


def _disable(shop: Shop, _visitor: Visitor, user: User) -> None:
    people.disable(user.id, by=Actor.operator(), reason="left")


def _change_password(shop: Shop, _visitor: Visitor, user: User) -> None:
    with transaction():
        sessions.end_all(user.id)


@pytest.mark.parametrize(
    ("act", "code"), [(_sign_out, 4401), (_demote, 4403), (_disable, 4401), (_change_password, 4401)]
)
def test_the_socket_closes_within_a_second_of_the_end_of_the_access(
    shop: Shop, console: Console, act: Callable[[Shop, Visitor, User], None], code: int
) -> None:
    support = visitor_as(shop, "support")
    opened = console(support)
    opened.message()
    user = db.session.scalars(db.select(User).where(User.email == "support@example.com")).one()
    db.session.expunge(user)
    db.session.rollback()
    act(shop, support, user)
    started = time.monotonic()
    found, reason = opened.end(within=3)
    assert time.monotonic() - started < 1.0
    assert found == code and reason


def test_slow_figures_do_not_delay_the_end_of_a_socket(
    shop: Shop, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = console(visitor_as(shop, "support"))
    opened.message()
    begun, free = threading.Event(), threading.Event()

    def slow_figures() -> tuple[figures.Tile, ...]:
        begun.set()
        free.wait(10)
        return ()

    monkeypatch.setattr(figures, "tiles", slow_figures)
    monkeypatch.setattr(feed.of(shop.app), "_figures_at", 0.0)
    assert begun.wait(5)
    user = db.session.scalars(db.select(User).where(User.email == "support@example.com")).one()
    people.set_roles(user.id, ["merchandiser"], by=Actor.operator(), reason="a new job")
    started = time.monotonic()
    try:
        assert opened.end(within=3)[0] == 4403
        assert time.monotonic() - started < 1.0
    finally:
        free.set()


def test_consoles_and_event_streams_share_the_connections_of_a_process(shop: Shop, console: Console) -> None:
    order, support, here = shop.order(), visitor_as(shop, "support"), hub.of(shop.app)
    here.room = 4
    opened = console(support)
    opened.message()
    viewers = [here.join(order.id, f"session {number}") for number in range(3)]
    with pytest.raises(hub.Full):
        here.join(order.id, "another session")
    assert console(support).end() == (1013, "Too many pages with live updates are open on this server.")
    here.leave(viewers.pop())
    second = console(support)
    second.message()
    second.client.close()
    until(lambda: len(feed.of(shop.app)._sockets) == 1, within=5, what="the end of the socket")
    viewers.append(here.join(order.id, "another session"))
    for viewer in viewers:
        here.leave(viewer)


def test_shoppers_cannot_take_the_connections_that_are_kept_for_staff(shop: Shop, console: Console) -> None:
    order, here = shop.order(), hub.of(shop.app)
    here.room = 4
    viewers = [here.join(order.id, f"session {number}") for number in range(3)]
    with pytest.raises(hub.Full):
        here.join(order.id, "another session")
    opened = console(visitor_as(shop, "support"))
    opened.message()
    for viewer in viewers:
        here.leave(viewer)


def test_a_sign_in_that_reached_its_idle_limit_closes_the_socket(shop: Shop, console: Console) -> None:
    support = visitor_as(shop, "support")
    opened = console(support)
    opened.message()
    shop.app.config["STAFF_IDLE_MINUTES"] = 0
    assert opened.end()[0] == 4401


@pytest.mark.parametrize("role", ["", "merchandiser"])
def test_a_handshake_without_the_permission_is_refused(shop: Shop, console: Console, role: str) -> None:
    visitor = visitor_as(shop, role) if role else None
    with pytest.raises(Refused):
        console(visitor)


def test_a_handshake_from_another_origin_is_refused(shop: Shop, console: Console) -> None:
    support = visitor_as(shop, "support")
    for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
        with pytest.raises(Refused):
            console(support, Origin=origin)
    assert console(support, Origin=shop.app.config["SHOP_URL"]).message()["type"] == "snapshot"


def test_a_person_and_a_process_have_a_limit_of_sockets(shop: Shop, console: Console) -> None:
    shop.app.config.update(CONSOLE_SOCKETS=3, CONSOLE_SOCKETS_PER_PERSON=2)
    support, admin = visitor_as(shop, "support"), visitor_as(shop, "admin")
    for _ in range(2):
        console(support).message()
    assert console(support).end() == (1013, "You have opened this page too many times.")
    console(admin).message()
    assert console(admin).end() == (1013, "Too many consoles are open on this server.")


def test_a_socket_that_takes_no_data_is_closed_and_delays_no_other(shop: Shop) -> None:
    notified, aborted = threading.Event(), threading.Event()
    slow = feed.Socket(1, "sign-in", notified, aborted.set)
    for _ in range(feed.QUEUED):
        slow.put([b"message"])
    assert slow.ending is None
    slow.put([b"one more"])
    assert slow.ending == feed.SLOW and aborted.is_set() and slow.take() == b""


def test_more_events_than_a_page_shows_come_as_one_snapshot(shop: Shop, console: Console) -> None:
    order, support = shop.paid_order(), visitor_as(shop, "support")
    opened = console(support)
    opened.message()
    with transaction():
        for _ in range(activity.SHOWN + 20):
            events.record(order.id, OrderReviewEnded(), actor=Actor.customer())
    found = opened.message()
    assert found["type"] == "snapshot" and len(found["events"]) == activity.SHOWN


def test_a_client_that_sends_messages_is_disconnected(shop: Shop, console: Console) -> None:
    opened = console(visitor_as(shop, "support"))
    opened.message()
    opened.client.send("hello")
    assert opened.end()[0] == 1008


def test_consoles_close_while_redis_is_away_and_come_back_with_it(
    shop: Shop, console: Console, own_redis: RedisServer
) -> None:
    support = visitor_as(shop, "support")
    opened = console(support)
    opened.message()
    own_redis.stop()
    try:
        assert opened.end() == feed.AWAY
        with pytest.raises(Refused):
            console(support)
    finally:
        own_redis.start()


def test_a_server_that_shuts_down_closes_its_sockets(shop: Shop, console: Console) -> None:
    opened = console(visitor_as(shop, "support"))
    opened.message()
    hub.of(shop.app).close()
    assert opened.end()[0] == 1012


def test_the_page_has_figures_and_events_without_javascript(shop: Shop) -> None:
    order = shop.paid_order()
    waiting = shop.order()
    shop.turn(minutes=3)
    support = visitor_as(shop, "support")
    page = support.get("/ops/live").text
    address = html.unescape(re.search(r'id="tile-waiting" href="([^"]+)"', page)[1])  # type: ignore[index]
    listed = support.get(address).text
    assert waiting.number in listed and order.number not in listed and "1 order<" in listed
    assert "live updates need JavaScript" in page
    assert f"/ops/orders/{order.number}" in page and f"/ops/orders/{waiting.number}" in page


def test_each_role_that_opens_live_may_read_what_it_links_to() -> None:
    linked = {Permission.ORDER_READ, Permission.ALERT_READ, Permission.WEBHOOK_READ}
    for role in Role:
        assert Permission.ORDER_READ not in PERMISSIONS[role] or linked <= PERMISSIONS[role]
