"""Orders by the API: the example of a resource, with the tests that every resource has."""

from __future__ import annotations

import pytest

from shop.accounts.permissions import Permission, Role
from shop.core.db import db
from shop.orders.models import Order, OrderEvent
from shop.payments.initiation import initiate
from shop.pricing import change
from tests.api.conftest import ADDRESS, Program, new_order, only_order, signed_in, with_key
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import KETTLE, PEN, UNITS, Shop


def test_a_guest_places_an_order_and_sees_it_with_its_token(shop: Shop, guest: Program) -> None:
    answer = guest.place((KETTLE, 2), (PEN, 1))
    order = answer.json
    assert (answer.status_code, order["state"], order["total"]) == (
        201,
        "PENDING",
        {"amount": 249000, "currency": "TWD"},
    )
    assert [(line["sku"], line["quantity"]) for line in order["lines"]] == [(KETTLE, 2), (PEN, 1)]
    assert answer.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert shop.can_sell() == UNITS - 2
    holder = Program(shop, order["token"])
    assert holder.get(f"/orders/{order['id']}").json == order


def test_the_lines_of_an_order_state_their_rate_of_tax(shop: Shop, guest: Program) -> None:
    assert [line["rate"] for line in guest.placed()["lines"]] == [None], "there is no tax"
    change.set_tax("TW", "VAT", 5000, is_included=True)
    placed = guest.placed()
    assert [(line["kind"], line["rate"]) for line in placed["lines"]] == [("item", 5000), ("tax", 5000)]
    assert signed_in(shop, Role.SUPPORT).get("/orders").json["items"][0]["lines"] == placed["lines"]


def test_an_order_of_the_api_starts_no_payment_until_its_customer_chooses_one(shop: Shop, guest: Program) -> None:
    order = db.session.get_one(Order, guest.placed()["id"])
    assert shop.payments(order) == []
    shop.turn(minutes=1)
    assert (shop.payments(order), shop.state(order)) == ([], "PENDING")
    payment = initiate.open_payment(order.id, "fakepay")
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment)
    assert shop.state(order) == "PAID"


def test_an_unpaid_order_of_the_api_expires_and_releases_its_stock(shop: Shop, guest: Program) -> None:
    order = db.session.get_one(Order, guest.placed()["id"])
    shop.turn(minutes=31)
    assert (shop.state(order), shop.can_sell()) == ("EXPIRED", UNITS)


def test_a_customer_lists_own_orders_and_staff_all_of_them(shop: Shop, guest: Program) -> None:
    may, kay = signed_in(shop), signed_in(shop, Role.SUPPORT)
    theirs, own = guest.placed(), may.placed(email=None)
    assert [(one["id"], one["token"]) for one in may.get("/orders").json["items"]] == [(own["id"], own["token"])]
    found = kay.get("/orders").json
    assert ([one["id"] for one in found["items"]], found["total"]) == ([own["id"], theirs["id"]], 2)
    assert {one["token"] for one in found["items"]} == {None}, "the token is the customer's"
    assert kay.get("/orders?state=PAID").json["items"] == []


def test_pages_of_a_list_follow_by_number_and_by_cursor(shop: Shop, guest: Program) -> None:
    ids = [guest.placed((PEN, 1))["id"] for _ in range(3)][::-1]
    kay = signed_in(shop, Role.SUPPORT)
    first = kay.get("/orders?limit=2")
    assert [one["id"] for one in first.json["items"]] == ids[:2]
    assert 'page=2>; rel="next"' in first.headers["Link"]
    second = kay.get("/orders?limit=2&page=2")
    assert [one["id"] for one in second.json["items"]] == ids[2:] and 'rel="next"' not in second.headers["Link"]
    after = kay.get(f"/orders?limit=2&cursor={first.json['next_cursor']}")
    assert [one["id"] for one in after.json["items"]] == ids[2:] and "next_cursor" not in after.json


@pytest.mark.parametrize(
    "query", ["limit=101", "limit=0", "page=1e1", "page=0", "state=PAYED", "status=PAID", "cursor=x"]
)
def test_a_list_refuses_parameters_that_it_does_not_know(shop: Shop, query: str) -> None:
    answer = signed_in(shop, Role.SUPPORT).get(f"/orders?{query}")
    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert answer.json["errors"][0]["parameter"] == query.partition("=")[0]


def test_the_order_of_another_customer_is_like_one_that_does_not_exist(shop: Shop, guest: Program) -> None:
    order, other = guest.placed(), guest.placed()
    for program in (signed_in(shop), Program(shop, other["token"])):
        for method, path in (("GET", ""), ("POST", "/cancel"), ("PATCH", "")):
            body = {"address": ADDRESS} if method == "PATCH" else None
            found = program.call(method, f"/orders/{order['id']}{path}", body)
            missing = program.call(method, f"/orders/{order['id'] + 1000}{path}", body)
            assert (found.status_code, found.json["code"]) == (404, "unknown_order")
            assert missing.json | {"request_id": ""} == found.json | {"request_id": ""}


@pytest.mark.parametrize("path", ["", "/timeline", "/explanation"])
def test_guests_see_no_order(shop: Shop, guest: Program, path: str) -> None:
    order = guest.placed()
    answer = guest.get(f"/orders/{order['id']}{path}")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="settled"')


def test_a_customer_cancels_an_unpaid_order_once(shop: Shop) -> None:
    may = signed_in(shop)
    order = may.placed(email=None)
    for _ in range(2):
        answer = may.post(f"/orders/{order['id']}/cancel")
        assert (answer.status_code, answer.json["state"]) == (200, "CANCELLED")
    events = db.session.scalars(db.select(OrderEvent.kind).where(OrderEvent.order_id == order["id"])).all()
    assert events.count("order.cancel_requested") == 1 and shop.can_sell() == UNITS


def test_a_paid_order_is_not_cancelled_but_refunded(shop: Shop) -> None:
    order = shop.paid_order()
    answer = Program(shop, order.token).post(f"/orders/{order.id}/cancel", {})
    assert (answer.status_code, answer.json["code"], shop.state(order)) == (409, "already_paid", "PAID")


def test_the_address_changes_before_packing_and_the_country_never(shop: Shop, guest: Program) -> None:
    order = guest.placed()
    holder = Program(shop, order["token"])
    moved = ADDRESS | {"line1": "1 New Road", "state": "Daan"}
    answer = holder.call("PATCH", f"/orders/{order['id']}", {"address": moved})
    assert answer.status_code == 200, answer.text
    shown = answer.json["address"]
    assert (shown["line1"], shown["city"], shown["state"]) == ("1 New Road", "Taipei", "Daan")
    japan = moved | {"country": "JP", "postcode": "150-0001", "state": "Tokyo"}
    abroad = holder.call("PATCH", f"/orders/{order['id']}", {"address": japan})
    assert (abroad.status_code, abroad.json["errors"][0]["pointer"]) == (422, "/address/country")
    holder.post(f"/orders/{order['id']}/cancel")
    late = holder.call("PATCH", f"/orders/{order['id']}", {"address": ADDRESS})
    assert (late.status_code, late.json["code"]) == (409, "not_changeable")
    assert only_order().line1 == "1 New Road"


def test_the_link_of_a_paid_order_does_not_send_its_goods_elsewhere(shop: Shop) -> None:
    order = shop.paid_order()
    elsewhere = {"address": ADDRESS | {"line1": "1 New Road"}}
    answer = Program(shop, order.token).call("PATCH", f"/orders/{order.id}", elsewhere)
    assert (answer.status_code, answer.json["code"]) == (409, "not_changeable")
    assert only_order().line1 != "1 New Road"


def test_staff_read_the_timeline_and_the_explanation_of_an_order(shop: Shop, guest: Program) -> None:
    order = guest.placed()
    for program in (signed_in(shop, Role.SUPPORT), with_key(shop, Permission.ORDER_READ)):
        timeline = program.get(f"/orders/{order['id']}/timeline").json
        assert "order: placed" in [entry["what"] for entry in timeline["items"]] or timeline["items"]
        found = program.get(f"/orders/{order['id']}/explanation").json
        assert found["state"] == "PENDING" and found["why"].startswith("Pending because it was placed")
        assert found["next_steps"][0]["what"]


@pytest.mark.parametrize(
    ("changed", "pointer", "code"),
    [
        ({"items": []}, "/items", "invalid"),
        ({"items": None}, "/items", "missing"),
        ({"items": [{"sku": KETTLE, "quantity": 1.0}]}, "/items/0/quantity", "invalid"),
        ({"items": [{"sku": KETTLE, "quantity": "1"}]}, "/items/0/quantity", "invalid"),
        ({"items": [{"sku": KETTLE, "quantity": True}]}, "/items/0/quantity", "invalid"),
        ({"items": [{"sku": KETTLE, "quantity": 0}]}, "/items/0/quantity", "invalid"),
        ({"items": [{"sku": KETTLE, "quantity": 1}] * 2}, "/items", "invalid"),
        ({"items": [{"sku": "NO-SUCH", "quantity": 1}]}, "/items/0", "unknown_sku"),
        ({"currency": "EUR"}, "/currency", "invalid"),
        ({"email": "ada"}, "/email", "invalid"),
        ({"email": None}, "/email", "missing"),
        ({"total": 5}, "/total", "unknown_field"),
        ({"address": ADDRESS | {"planet": "Mars"}}, "/address/planet", "unknown_field"),
        ({"address": ADDRESS | {"name": "\x00"}}, "/address/name", "invalid"),
        ({"address": ADDRESS | {"country": "KP"}}, "/address/country", "invalid"),
    ],
)
def test_a_body_that_is_not_valid_names_the_field_and_places_nothing(
    shop: Shop, guest: Program, changed: dict[str, object], pointer: str, code: str
) -> None:
    answer = guest.place(**changed)
    assert answer.status_code == 422, answer.text
    assert answer.mimetype == "application/problem+json"
    assert [(one["pointer"], one["code"]) for one in answer.json["errors"]] == [(pointer, code)]
    assert shop.count(Order) == 0


@pytest.mark.parametrize("body", [b"{", b"[1e999]", b'{"a": NaN}', b"\xff"])
def test_a_body_that_is_not_json_is_400(guest: Program, body: bytes) -> None:
    answer = guest.post("/orders", body, key="k" * 32, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json["code"]) == (400, "unreadable_json")


def test_a_body_of_another_type_is_415_and_a_huge_one_413(guest: Program) -> None:
    assert guest.post("/orders", b"a=b", key="k" * 32, headers={"Content-Type": "text/plain"}).status_code == 415
    assert guest.post("/orders", b" " * 70_000, key="k" * 32).status_code == 413


def test_stock_that_is_short_refuses_the_order_with_what_is_available(shop: Shop, guest: Program) -> None:
    answer = guest.place((KETTLE, UNITS + 1))
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert answer.json["details"]["short"][0]["available"] == UNITS
    assert shop.count(Order) == 0


def test_the_cookie_of_a_browser_is_not_read(shop: Shop) -> None:
    browser = visitor_as(shop, "finance")
    assert browser.client.get("/api/v1/orders").status_code == 401
    answer = browser.client.post("/api/v1/orders", json=new_order(), headers={"Idempotency-Key": "k" * 32})
    assert answer.status_code == 201 and only_order().user_id is None
