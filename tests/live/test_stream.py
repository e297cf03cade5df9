from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from flask import Flask
from sqlalchemy import event, update

from shop import create_app
from shop.core import clock, outbox
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.event_types import OrderReviewEnded
from shop.live import hub, sse
from shop.orders import events, find
from shop.orders.models import Order
from shop.payments.initiation import initiate
from shop.payments.polling import poll
from tests.live.conftest import OpenStream, visitor
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until
from tests.shop_fixtures import Shop, environ

Subscribed = Callable[[], None]


def say(order: Order, times: int = 1) -> None:
    """Write events of the order that change nothing on its page."""
    for _ in range(times):
        with transaction():
            events.record(order.id, OrderReviewEnded(), actor=Actor.customer())


def newest(order: Order) -> int:
    db.session.rollback()
    return events.last_seq(order.id)


def test_the_stream_has_the_headers_that_browsers_and_proxies_need(shop: Shop, stream: OpenStream) -> None:
    opened = stream(shop.order())
    assert opened.status == 200
    assert opened.headers["Content-Type"].startswith("text/event-stream")
    assert opened.headers["Cache-Control"] == "no-cache, no-transform"
    assert opened.headers["X-Accel-Buffering"] == "no"
    assert "Set-Cookie" not in opened.headers
    assert "Access-Control-Allow-Origin" not in opened.headers
    assert opened.next() == "retry: 300"


def test_a_change_arrives_as_a_numbered_message_that_swaps_the_status(
    shop: Shop, stream: OpenStream, subscribed: Subscribed
) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order))
    opened.listen()
    subscribed()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    message = opened.until_id(newest(order))
    assert "Payment received" in message.split("</title>")[0]
    assert '<hx-partial hx-target="#order-status" hx-swap="outerMorph">' in message
    assert '<hx-partial hx-target="#live"' in message
    assert all(line.startswith(("id: ", "data: ")) for line in message.split("\n"))
    assert "csrf" not in message


def test_a_page_that_was_rendered_before_an_event_gets_the_events_it_missed(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    since = newest(order)
    say(order, 3)
    opened = stream(order, since=since)
    opened.until_id(since + 3)
    assert opened.ids == [since + 1, since + 2, since + 3]


def test_a_page_opened_at_the_moment_of_a_change_does_not_get_an_older_rendering(
    app: Flask, shop: Shop, stream: OpenStream, subscribed: Subscribed
) -> None:
    app.config["STREAM_HEARTBEAT"] = 60  # heartbeats do not help here
    order = shop.order()
    since = newest(order)
    earlier = stream(order, since=0)
    earlier.until_id(since)
    subscribed()
    say(order)  # its notification arrives before the next page listens
    late = stream(order, since=since)
    late.until_id(since + 1)
    assert late.ids == [since + 1]


def test_the_larger_of_since_and_last_event_id_counts(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    say(order, 5)
    last = newest(order)
    for since, last_id in ((1, last - 2), (last - 2, 1), (last - 2, None), (None, last - 2), (last - 2, "rubbish")):
        opened = stream(order, since=since, last=last_id)
        opened.until_id(last)
        assert opened.ids == [last - 1, last], (since, last_id)


@pytest.mark.parametrize("position", ["", "rubbish", "-3", "1e3", "9" * 40, "٣"])
def test_a_position_that_is_no_number_gets_the_order_as_it_is(shop: Shop, stream: OpenStream, position: str) -> None:
    order = shop.order()
    opened = stream(order, since=position)
    opened.until_id(newest(order))
    assert opened.ids == list(range(1, newest(order) + 1))


def test_a_position_ahead_of_the_order_waits_for_the_next_event(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order) + 50)
    opened.listen()
    say(order)
    opened.until_id(newest(order))
    assert opened.ids == [newest(order)]


def test_a_stream_that_reconnects_delivers_every_event_once(
    shop: Shop, stream: OpenStream, subscribed: Subscribed
) -> None:
    order = shop.order()
    seen: list[int] = []
    last = newest(order)
    for happened in (1, 4, 0, 2):
        opened = stream(order, since=1, last=last)
        opened.listen()
        say(order, happened)
        if happened:
            opened.until_id(newest(order))
        opened.close()
        seen += opened.ids
        last = seen[-1] if seen else last
        say(order)
    opened = stream(order, since=1, last=last)
    opened.until_id(newest(order))
    seen += opened.ids
    assert all(after == before + 1 for before, after in pairwise(seen))
    assert seen[-1] == newest(order)


def test_a_heartbeat_is_sent_while_nothing_happens(shop: Shop, stream: OpenStream) -> None:
    opened = stream(shop.order())
    seen = [next(opened.blocks) for _ in range(12)]
    assert ": ping" in seen


def test_a_token_that_was_never_valid_is_not_found_and_sets_no_cookie(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    for token in ("nothing", order.number, order.token[:-1], order.token + "A", "x" * 5000):
        refused = stream(token, since=3)
        assert refused.status == 404
        assert "Set-Cookie" not in refused.headers


def test_an_expired_link_is_not_found_but_an_open_page_gets_the_done_event(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    shop.cancel(order)
    with transaction():
        long_ago = clock.now() - find.READABLE_AFTER_END - timedelta(days=1)
        db.session.execute(update(Order).values(ended_at=long_ago))
    assert stream(order).status == 404
    done = stream(order, since=2)
    assert done.status == 200
    assert done.rest() == ["event: done\ndata: done"]


def test_a_final_order_is_sent_once_and_then_the_stream_ends(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    since = newest(order)
    shop.cancel(order)
    *_, last, done = stream(order, since=since).rest()
    assert "Your order is cancelled" in last
    assert done == "event: done\ndata: done"
    assert stream(order, since=newest(order)).rest() == ["retry: 300", "event: done\ndata: done"]


def test_an_open_page_gets_an_event_when_the_order_ends(shop: Shop, stream: OpenStream, subscribed: Subscribed) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order))
    opened.listen()
    shop.cancel(order)
    *_, last, done = opened.rest()
    assert "Your order is cancelled" in last
    assert done.startswith("event: done")


def test_what_changes_with_time_alone_is_sent_without_a_number(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order))
    opened.listen()
    clock.advance(timedelta(minutes=31))
    db.session.rollback()
    message = opened.next()
    assert "Checking for a last payment" in message
    assert opened.ids == []
    shop.sweep()


def test_a_return_from_the_payment_page_reaches_open_pages_at_once(
    app: Flask, shop: Shop, stream: OpenStream, subscribed: Subscribed
) -> None:
    app.config["STREAM_HEARTBEAT"] = 60  # heartbeats do not help here
    order = shop.order()
    initiate.visited(shop.payment(order).id)
    since = newest(order)
    opened = stream(order, since=0)
    opened.until_id(since)  # rendered just now, and shared for two seconds
    subscribed()
    poll.make_due(order.id, "return")
    assert "We are confirming your payment" in opened.next()
    assert opened.ids[-1] == since


def test_what_changed_with_time_before_the_stream_was_there_is_sent_too(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    shown = shop.order_status(order).key
    clock.advance(timedelta(minutes=31))
    db.session.rollback()
    opened = stream(order, since=newest(order), showing=shown)
    assert opened.next() == "retry: 300"
    assert "Checking for a last payment" in opened.next()
    assert opened.ids == []
    shop.sweep()


def test_a_payment_that_arrives_while_its_page_is_rendered_is_sent_to_that_page(
    app: Flask, shop: Shop, stream: OpenStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order()
    token, payment = order.token, shop.payment(order)
    payment_id, look = payment.id, poll.make_due

    def settled_meanwhile(order_id: int, source: str) -> list[str]:
        found = look(order_id, source)
        shop.acquirer.capture(payment_id)
        shop.deliver_webhook(payment_id)
        return found

    monkeypatch.setattr(poll, "make_due", settled_meanwhile)
    page = app.test_client().get(f"/orders/{token}").text
    monkeypatch.undo()
    assert "Payment received" not in page
    shown = re.search(r'hx-sse:connect="[^"]*showing=(\w+)&amp;since=(\d+)"', page)
    assert shown
    assert "Payment received" in stream(token, showing=shown[1], since=shown[2]).until_id(newest(order))


def test_the_fifth_stream_of_a_visitor_ends_that_visitors_oldest_only(
    app: Flask, shop: Shop, stream: OpenStream
) -> None:
    order = shop.order()
    me = visitor(app, "me")
    theirs = stream(order)
    mine = [stream(order, client=me) for _ in range(5)]
    for opened in (theirs, *mine):
        assert opened.next() == "retry: 300"
    assert mine[0].rest() == ["event: done\ndata: done"]
    say(order)
    for opened in (theirs, *mine[1:]):
        opened.until_id(newest(order))


def test_the_cap_counts_the_streams_of_all_processes(
    app: Flask, shop: Shop, stream: OpenStream, subscribed: Subscribed, redis_url: str, database_url: str
) -> None:
    app.config["STREAM_HEARTBEAT"] = 30
    order = shop.order()
    me = visitor(app, "me")
    here = [stream(order, client=me, since=newest(order)) for _ in range(4)]
    for opened in here:
        opened.listen()
    subscribed()
    elsewhere = create_app(environ(database_url, redis_url), STREAM_HEARTBEAT=30)
    there = stream(order, client=visitor(elsewhere, "me"))
    there.next()
    assert here[0].rest() == ["event: done\ndata: done"]
    say(order)
    for opened in (*here[1:], there):
        opened.until_id(newest(order))
    hub.of(elsewhere).close()


def test_streams_end_when_the_process_is_stopped_and_browsers_reconnect(shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order))
    opened.listen()
    rest: list[list[str]] = []
    reader = threading.Thread(target=lambda: rest.append(opened.rest()))
    reader.start()
    hub.close_all()
    reader.join(5)
    assert rest == [[]], "it ended without a word, so that the browser comes back to another process"
    assert stream(order).rest() == ["retry: 300"]


def test_no_database_connection_is_held_between_two_messages(app: Flask, shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    token, engine = order.token, db.engine
    streams = [stream(token, since=1) for _ in range(6)]
    db.session.remove()
    for opened in streams:
        opened.listen()
    until(lambda: engine.pool.checkedout() == 0, within=5, what="all connections to come back")  # type: ignore[attr-defined]


def test_one_change_is_rendered_once_for_all_viewers_of_one_language(
    app: Flask, shop: Shop, stream: OpenStream, subscribed: Subscribed, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.config["STREAM_HEARTBEAT"] = 30
    order = shop.order()
    since = newest(order)
    streams = [stream(order, since=since) for _ in range(8)]
    for opened in streams:
        opened.listen()
    subscribed()
    rendered: list[str] = []
    render = sse.render_template
    monkeypatch.setattr(sse, "render_template", lambda *a, **k: rendered.append(a[0]) or render(*a, **k))
    say(order)
    readers = [threading.Thread(target=opened.until_id, args=(since + 1,)) for opened in streams]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(10)
    assert [opened.ids for opened in streams] == [[since + 1]] * 8
    assert len(rendered) == 1


def test_no_event_is_lost_when_redis_goes_away_and_comes_back(
    app: Flask, shop: Shop, stream: OpenStream, subscribed: Subscribed, own_redis: RedisServer, live: hub.Hub
) -> None:
    app.config["STREAM_HEARTBEAT"] = 30  # heartbeats do not help here
    order = shop.order()
    since = newest(order)
    opened = stream(order, since=since)
    opened.listen()
    subscribed()
    own_redis.stop()
    say(order, 2)
    opened.until_id(since + 2)
    own_redis.start()
    until(lambda: live.connected, within=10, what="a new subscription")
    say(order)
    opened.until_id(since + 3)
    assert opened.ids == [since + 1, since + 2, since + 3]


def test_a_message_that_redis_lost_is_found_at_the_next_heartbeat(
    shop: Shop, stream: OpenStream, subscribed: Subscribed, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order))
    opened.listen()
    subscribed()
    monkeypatch.setattr(outbox, "wake", lambda *_: None)
    say(order)
    opened.until_id(newest(order))


def test_invalid_messages_on_the_channel_are_ignored(
    shop: Shop, stream: OpenStream, subscribed: Subscribed, redis_server: RedisServer
) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order))
    opened.listen()
    subscribed()
    for rubbish in ("", "{", "[]", "null", '{"order": "x"}', '{"order": 1}', b"\xff"):
        redis_server.client.publish(f"settled:live:{order.id}", rubbish)
    say(order)
    opened.until_id(newest(order))


def test_a_stream_survives_an_unavailable_database(app: Flask, shop: Shop, stream: OpenStream) -> None:
    order = shop.order()
    opened = stream(order, since=newest(order))
    opened.listen()
    engine = db.engine
    broken: list[bool] = []

    def refuse(*_: object) -> None:
        broken.append(True)
        raise engine.dialect.dbapi.OperationalError("away")  # type: ignore[union-attr]

    event.listen(engine, "before_cursor_execute", refuse)
    reader = threading.Thread(target=opened.next)
    reader.start()
    until(lambda: len(broken) > 1, what="two looks at a database that is away")
    event.remove(engine, "before_cursor_execute", refuse)
    say(order)
    reader.join(10)
    assert opened.ids == [newest(order)]
