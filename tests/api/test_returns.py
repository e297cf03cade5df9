"""Returns of the API: requested by the holder of an order, decided and received by staff."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from shop.accounts.permissions import Permission, Role
from shop.core.db import db
from shop.orders.models import Order
from shop.returns.models import Return
from tests.api.conftest import Program, signed_in, with_key
from tests.shop_fixtures import KETTLE, PEN, Shop

BODY = {"lines": [{"sku": PEN, "quantity": 2}], "reason": "damaged", "comment": "Cracked"}


@pytest.fixture
def order(shop: Shop) -> Order:
    return shop.paid_order((PEN, 3))


def of(order: Order) -> str:
    return f"/orders/{order.id}/returns"


def test_a_return_goes_from_the_request_of_a_guest_to_its_arrival(shop: Shop, order: Order) -> None:
    guest, staff = Program(shop, order.token), signed_in(shop, Role.MERCHANDISER)
    assert guest.get(of(order)).json == {"items": [], "returnable": [{"sku": PEN, "quantity": 3}]}
    made = guest.post(of(order), BODY)
    assert made.status_code == 201, made.text
    assert (made.json["state"], made.json["comment"], made.json["lines"][0]["quantity"]) == ("REQUESTED", "Cracked", 2)
    path = made.headers["Location"].removeprefix("/api/v1")
    assert staff.get("/returns?state=REQUESTED").json["items"][0]["reference"] == f"{order.number}-R1"
    assert staff.get(path).json == made.json
    accepted = staff.post(f"{path}/accept", {"message": "Wrap it well"})
    assert (accepted.status_code, accepted.json["state"], accepted.json["message"]) == (200, "ACCEPTED", "Wrap it well")
    arrived = {"lines": [{"sku": PEN, "restocked": 1, "not_restocked": 1}]}
    assert staff.post(f"{path}/receive", arrived).json["code"] == "reason_needed"
    received = staff.post(f"{path}/receive", arrived | {"reason": "one is cracked"}).json
    assert (received["state"], received["amount"]) == ("RECEIVED", {"amount": 18000, "currency": "TWD"})
    assert guest.get(of(order)).json == {"items": [received], "returnable": [{"sku": PEN, "quantity": 1}]}
    assert staff.post(f"{path}/decline", {"message": "no"}).json["code"] == "return_moved"
    shop.sweep()


def test_a_repeated_request_with_its_key_is_one_return(shop: Shop, order: Order) -> None:
    guest = Program(shop, order.token)
    first, again = (guest.post(of(order), BODY, key="k" * 32) for _ in range(2))
    assert first.status_code == again.status_code == 201 and first.data == again.data
    assert shop.count(Return) == 1
    assert guest.post(of(order), BODY | {"reason": "other"}, key="k" * 32).json["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"lines": [{"sku": PEN, "quantity": 4}]}, "returned_before"),
        ({"lines": [{"sku": KETTLE, "quantity": 1}]}, "unknown_line"),
        ({"lines": [{"sku": PEN, "quantity": 1}] * 2}, "invalid"),
        ({"lines": []}, "invalid"),
        ({"reason": "bored"}, "invalid"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_and_changes_nothing(
    shop: Shop, order: Order, changed: dict[str, object], code: str
) -> None:
    answer = Program(shop, order.token).post(of(order), BODY | changed)
    assert answer.json["code"] == code, answer.text
    assert shop.count(Return) == 0


def test_customers_reach_the_returns_of_their_own_orders_alone(shop: Shop, order: Order) -> None:
    other = shop.paid_order((PEN, 1))
    for program in (Program(shop, other.token), signed_in(shop)):
        assert program.get(of(order)).json["code"] == program.post(of(order), BODY).json["code"] == "unknown_order"


def test_staff_request_a_return_after_the_time_and_customers_do_not(shop: Shop, order: Order) -> None:
    shop.turn(days=15)
    guest = Program(shop, order.token)
    assert guest.get(of(order)).json["returnable"] == []
    assert guest.post(of(order), BODY).json["code"] == "return_too_late"
    assert signed_in(shop, Role.SUPPORT).post(of(order), BODY).status_code == 201
    assert db.session.scalars(select(Return.requested_by)).one().user_id is not None


def test_a_key_that_may_only_decide_reads_no_texts(shop: Shop, order: Order) -> None:
    Program(shop, order.token).post(of(order), BODY)
    return_id = db.session.scalars(select(Return.id)).one()
    program = with_key(shop, Permission.RETURN_DECIDE)
    answer = program.post(f"/returns/{return_id}/decline", {"message": "It was worn"})
    assert answer.json == {"id": return_id, "reference": f"{order.number}-R1", "state": "DECLINED"}
    assert program.get(f"/returns/{return_id}").status_code == 403
    assert program.post(f"/returns/{return_id}/receive", {}).status_code == 403
