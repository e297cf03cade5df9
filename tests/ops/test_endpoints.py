"""Webhook endpoints in the console: a secret that is shown once, deliveries with attempts, and acts on an endpoint."""

from __future__ import annotations

import re
from html import unescape

import pytest

from shop.accounts import sessions
from shop.outgoing_webhooks import lanes, queries
from shop.outgoing_webhooks.kinds import EventType
from tests.ops.conftest import visitor_as
from tests.outgoing_webhooks.conftest import Answer, Receiver, receiver
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor

__all__ = ["receiver"]
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")


def added(admin: Visitor, server: Receiver) -> tuple[str, str]:
    """The address of the page of a new endpoint for all events, and its secret."""
    admin.get("/ops/endpoints/new")
    form = {"url": server.url, "description": "Warehouse", "event_types": list(EventType)}
    page = admin.post("/ops/endpoints", form).text
    [secret] = SECRET.findall(page)
    path = re.search(r'href="(/ops/endpoints/W\w+)"', page)
    assert path
    return path[1], secret


def swept(shop: Shop) -> None:
    shop.sweep()
    lanes.of_process().wait(30)


def test_a_secret_is_shown_once_and_deliveries_are_listed(shop: Shop, receiver: Receiver) -> None:
    admin = visitor_as(shop, "admin")
    assert "There is no endpoint yet." in admin.get("/ops/endpoints").text
    path, secret = added(admin, receiver)
    receiver.answers = [Answer(500, b"<b>down</b>")]
    shop.order((PEN, 1))
    swept(shop)
    page = admin.get(path).text
    assert secret not in page and "order.created" in page and "The answer was HTTP 500." in page
    delivery = re.search(rf'href="({path}/deliveries/\d+)"', page)
    assert delivery
    page = admin.get(delivery[1]).text
    assert "&lt;b&gt;down&lt;/b&gt;" in page and "PENDING" in page
    assert "Warehouse" in admin.get("/ops/endpoints").text
    assert "No delivery matches this filter." in admin.get(f"{path}?state=DELIVERED").text


def test_deliveries_are_on_pages_that_lead_to_each_other(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = visitor_as(shop, "admin")
    path, _ = added(admin, receiver)
    for _ in range(3):
        assert admin.post(f"{path}/test").status_code == 303
    swept(shop)
    of_endpoint = r'href="/ops/endpoints/\w+/deliveries/(\d+)"'
    together = admin.get(f"{path}?state=DELIVERED").text
    every = re.findall(of_endpoint, together)
    assert len(every) == 3 and 'aria-label="Pages"' not in together
    monkeypatch.setitem(queries.deliveries.__kwdefaults__, "limit", 2)

    def page(address: str) -> tuple[list[str], dict[str, str]]:
        text = admin.get(address).text
        links = {rel: unescape(to) for to, rel in re.findall(r'<a href="([^"]+)" rel="(\w+)"', text)}
        return re.findall(of_endpoint, text), links

    first, links = page(f"{path}?state=DELIVERED")
    assert first == every[:2] and links.keys() == {"next", "last"}
    last, back = page(links["next"])
    assert last == every[2:] and page(links["last"])[0] == every[1:] and back.keys() == {"first", "prev"}
    assert page(back["prev"])[0] == page(back["first"])[0] == first


def test_staff_send_test_rotate_disable_and_delete(shop: Shop, receiver: Receiver) -> None:
    admin = visitor_as(shop, "admin")
    path, secret = added(admin, receiver)
    assert admin.post(f"{path}/test").status_code == 303
    swept(shop)
    assert receiver.types == ["endpoint.test"]
    delivery = queries.deliveries(path.rpartition("/")[2]).rows[0].delivery.id
    assert admin.post(f"{path}/deliveries/{delivery}/resend").status_code == 303
    swept(shop)
    assert len(receiver.ids) == 2 and len(set(receiver.ids)) == 1
    page = admin.get(path).text
    seen = re.search(r'name="seen" value="(\d+)"', page)
    assert seen
    [newer] = SECRET.findall(admin.post(f"{path}/rotate", {"seen": seen[1]}).text)
    assert newer != secret
    assert admin.post(f"{path}/rotate", {"seen": seen[1]}).status_code == 409
    assert "signs until" in admin.get(path).text
    assert admin.post(f"{path}/disable").status_code == 303
    assert admin.post(f"{path}/test").status_code == 409
    assert admin.post(f"{path}/enable").status_code == 303
    assert admin.post(f"{path}/delete").status_code == 303
    assert admin.get(path).status_code == 404


def test_events_of_the_past_are_sent_from_a_day_on(shop: Shop, receiver: Receiver) -> None:
    shop.order((PEN, 1))
    swept(shop)
    admin = visitor_as(shop, "admin")
    path, _ = added(admin, receiver)
    page = admin.get(path).text
    first = re.search(r'id="missing-since"[^>]*value="([\d-]+)"', page)
    assert first
    answer = admin.post(f"{path}/backfill", {"since": first[1]})
    assert answer.status_code == 303 and "Events queued: 1." in admin.get(path).text
    swept(shop)
    assert receiver.types == ["order.created"]
    assert admin.post(f"{path}/resend-failed", {"since": first[1]}).status_code == 303
    for wrong in ("", "yesterday", "2020-01-01"):
        assert admin.post(f"{path}/backfill", {"since": wrong}).status_code == 422


def test_wrong_input_is_refused_beside_its_field_and_kept(shop: Shop, receiver: Receiver) -> None:
    admin = visitor_as(shop, "admin")
    admin.get("/ops/endpoints/new")
    form = {"url": "http://10.0.0.1/", "description": "Old <server>", "event_types": "order.paid"}
    answer = admin.post("/ops/endpoints", form)
    assert answer.status_code == 422 and "The host is not a public address." in answer.text
    assert 'value="http://10.0.0.1/"' in answer.text and "Old &lt;server&gt;" in answer.text
    path, _ = added(admin, receiver)
    answer = admin.post(f"{path}/change", form | {"url": receiver.url, "event_types": "order.lost"})
    assert answer.status_code == 422 and "order.lost is not an event type." in answer.text
    assert admin.post(f"{path}/change", form | {"url": receiver.url}).status_code == 303
    for query in ("state=LOST", "before=x", "before=99999999999999", "kind=a"):
        assert admin.get(f"{path}?{query}").status_code == 422, query


def test_a_new_secret_needs_a_confirmation(shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = visitor_as(shop, "admin")
    path, _ = added(admin, receiver)
    monkeypatch.setattr(sessions, "is_confirmed", lambda: False)
    for act in ("rotate", "delete"):
        assert admin.post(f"{path}/{act}").status_code == 401
    assert admin.post("/ops/endpoints", {"url": receiver.url}).status_code == 401
    assert admin.get(path).status_code == 200
