"""WebSocket of an order against a real server: messages, limits, and the end of sockets."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from simple_websocket import ConnectionError as Refused
from sqlalchemy import update
from werkzeug.serving import make_server

from shop.core import clock
from shop.core.db import db, transaction
from shop.live import hub
from shop.orders import find
from shop.orders.models import Order
from tests.chaos.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tests.live.test_console import Open, note
from tests.parts.waiting import until
from tests.shop_fixtures import Shop

Connect = Callable[..., Open]


@pytest.fixture
def connect(shop: Shop) -> Iterator[Connect]:
    """`connect(order, query, **headers)` opens a socket at a real server."""
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    opened: list[Open] = []

    def open_one(order: Order | str, query: str = "", **headers: str) -> Open:
        token = order if isinstance(order, str) else order.token
        opened.append(Open(f"ws://127.0.0.1:{server.server_port}/ws/orders/{token}{query}", None, headers))
        return opened[-1]

    yield open_one
    for one in opened:
        if one.client.connected:
            one.client.close()
    until(lambda: not hub.of(shop.app)._viewers, within=5, what="the end of the sockets")
    server.shutdown()
    server.server_close()


def amounts(message: dict[str, Any]) -> dict[str, int]:
    return {name: message["order"][name]["amount"] for name in ("total", "paid", "refunded")}


def test_a_program_gets_the_order_and_then_its_payment(shop: Shop, connect: Connect) -> None:
    order = shop.order()
    total, payment = order.total_amount, shop.payment(order)
    opened = connect(order, "?lang=zh-Hant")
    first = opened.message()
    assert (first["type"], first["order"]["state"], first["order"]["status"]) == (
        "snapshot",
        "WAITING_PAYMENT",
        "waiting",
    )
    assert first["order"]["heading"] == "請付款以完成訂單"
    assert first["order"]["payment"]["id"] == payment.id and first["order"]["payment"]["state"] == "OPEN"
    assert first["order"]["pay_by"] == order.pay_by.isoformat()
    assert amounts(first) == {"total": total, "paid": 0, "refunded": 0}
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment.id)
    last = opened.message("event")
    while last["order"]["state"] != "PAID":
        last = opened.message("event")
    assert last["seq"] > first["seq"] and last["order"]["pay_by"] is None
    assert amounts(last) == {"total": total, "paid": total, "refunded": 0}


def test_changes_that_come_together_are_one_event_with_the_newest_number(
    shop: Shop, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.app.config["STREAM_HEARTBEAT"] = 60
    order = shop.order()
    opened = connect(order)
    since = opened.message()["seq"]
    here = hub.of(shop.app)
    until(lambda: here.connected, within=10, what="the subscription")
    monkeypatch.setattr(hub.Hub, "notify", lambda *_: None)
    note(order, 3)
    monkeypatch.undo()
    here.compare()
    assert opened.message()["seq"] == since + 3


@pytest.mark.parametrize("is_open", [True, False])
def test_a_final_order_is_sent_and_the_socket_closes_normally(shop: Shop, connect: Connect, is_open: bool) -> None:
    order = shop.order()
    if is_open:
        opened = connect(order)
        opened.message()
        shop.cancel(order)
    else:
        shop.cancel(order)
        opened = connect(order)
    while (last := opened.message())["order"]["state"] != "CANCELLED" or not last["order"]["is_final"]:
        pass
    assert opened.message() == {"type": "done"}
    assert opened.end()[0] == 1000


def test_a_token_that_ends_while_its_socket_is_open_closes_it_normally(shop: Shop, connect: Connect) -> None:
    order = shop.order()
    opened = connect(order)
    opened.message()
    with transaction():
        long_ago = clock.now() - find.READABLE_AFTER_END - timedelta(days=1)
        db.session.execute(update(Order).values(ended_at=long_ago))
    assert opened.message("done") == {"type": "done"}
    assert opened.end()[0] == 1000


def test_a_token_that_was_never_valid_gets_404_before_the_handshake(shop: Shop, connect: Connect) -> None:
    order = shop.order()
    for token in ("nothing", order.number, order.token + "A"):
        with pytest.raises(Refused) as refused:
            connect(token)
        assert refused.value.status_code == 404


def test_a_page_of_another_origin_cannot_open_a_socket(shop: Shop, connect: Connect) -> None:
    order = shop.order()
    for origin in ("https://evil.example", "null"):
        with pytest.raises(Refused) as refused:
            connect(order, Origin=origin)
        assert refused.value.status_code == 403
    assert connect(order, Origin=shop.app.config["SHOP_URL"]).message()["type"] == "snapshot"


@pytest.mark.parametrize(("sent", "code"), [("hello", 1008), ("x" * 5000, 1009)])
def test_a_socket_that_is_sent_a_message_closes(shop: Shop, connect: Connect, sent: str, code: int) -> None:
    opened = connect(shop.order())
    opened.message()
    opened.client.send(sent)
    assert opened.end()[0] == code


def test_sockets_and_streams_of_an_order_share_their_limit(shop: Shop, connect: Connect) -> None:
    shop.app.config["STREAMS_PER_ORDER"] = 2
    order, here = shop.order(), hub.of(shop.app)
    viewer = here.join(order.id, "a stream")
    connect(order).message()
    with pytest.raises(Refused) as refused:
        connect(order)
    assert refused.value.status_code == 503
    here.leave(viewer)
    connect(order).message()


def test_the_fifth_socket_of_a_client_ends_its_oldest(shop: Shop, connect: Connect) -> None:
    order = shop.order()
    opened = [connect(order) for _ in range(5)]
    assert opened[0].end()[0] == 1008
    assert opened[1].client.connected and opened[4].message()["type"] == "snapshot"


@pytest.mark.full
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_restart_of_gunicorn_closes_sockets_with_1012(deployment: Deployment) -> None:  # noqa: F811
    web = deployment.web()
    order = deployment.order(deployment.visitor().place())
    address = deployment.site.replace("http", "ws", 1)
    assert httpx.get(f"{deployment.site}/ws/orders/{order.token}").status_code == 400, "it is no page"
    opened = Open(f"{address}/ws/orders/{order.token}", None, {})
    assert opened.message()["order"]["number"] == order.number
    web.signal(signal.SIGTERM)
    assert opened.end()[0] == 1012
