"""Returns of the API: requested by the holder of an order, decided and received by staff."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from shop.accounts.permissions import Permission, Role
from shop.core.db import db
from shop.orders.models import Order
from shop.returns.models import Return
from tests.api.conftest import Program, signed_in, with_key
from tests.fulfilment.conftest import refund
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
    nothing = {"refundable": {"amount": 0, "currency": "TWD"}, "refunds": []}
    assert staff.get(path).json == made.json | nothing
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


def arrived(shop: Shop, order: Order) -> str:
    """The path of a return of two units that were received, which cost NT$180."""
    made = Program(shop, order.token).post(of(order), BODY).json
    mia = signed_in(shop, Role.MERCHANDISER)
    for act, body in (("accept", {}), ("receive", {"lines": [{"sku": PEN, "restocked": 2}]})):
        assert mia.post(f"/returns/{made['id']}/{act}", body).status_code == 200
    return f"/returns/{made['id']}"


def test_a_guest_withdraws_a_return_until_it_is_received(shop: Shop, order: Order) -> None:
    guest = Program(shop, order.token)
    made = guest.post(of(order), BODY).json
    path = f"{of(order)}/{made['id']}/withdraw"
    other = shop.paid_order((PEN, 1))
    for program, address, code in (
        (Program(shop, other.token), path, "unknown_order"),
        (Program(shop, other.token), f"{of(other)}/{made['id']}/withdraw", "unknown_return"),
        (guest, f"{of(order)}/999/withdraw", "unknown_return"),
        (signed_in(shop), path, "unknown_order"),
        (with_key(shop, Permission.RETURN_REQUEST, Permission.RETURN_READ), path, "forbidden"),
    ):
        assert program.post(address).json["code"] == code
    for _ in range(2):
        assert guest.post(path).json == made | {"state": "WITHDRAWN"}
    assert guest.get(of(order)).json["returnable"] == [{"sku": PEN, "quantity": 3}]
    again = int(arrived(shop, order).rpartition("/")[2])
    assert guest.post(f"{of(order)}/{again}/withdraw").json["code"] == "not_withdrawn"


def test_a_customer_requests_and_withdraws_a_return_of_an_own_order(shop: Shop) -> None:
    customer = signed_in(shop)
    own = shop.paid_order((PEN, 3), customer=customer.get("/auth/profile").json["id"])
    made = customer.post(of(own), BODY)
    assert made.status_code == 201
    assert customer.post(f"{of(own)}/{made.json['id']}/withdraw").json["state"] == "WITHDRAWN"


def test_support_refunds_a_part_of_a_received_return_once(shop: Shop, order: Order) -> None:
    support, path = signed_in(shop, Role.SUPPORT), arrived(shop, order)
    shown = support.get(path).json
    assert (shown["refundable"], shown["refunds"]) == ({"amount": 18000, "currency": "TWD"}, [])
    body = {"amount": 17000, "expected_refundable": 18000, "reason": "One is scratched"}
    assert support.post(f"{path}/refund", body).json["code"] == "idempotency_key_required"
    for changed, code in (
        ({"expected_refundable": 17000}, "not_refundable"),
        ({"amount": 18100}, "not_refundable"),
        ({"destination": "store_credit"}, "no_account"),
        ({"amount": 0}, "invalid"),
        ({"capture_id": 1}, "invalid"),
    ):
        answer = support.post(f"{path}/refund", body | changed, key="k" * 32)
        assert answer.json["code"] == code, answer.text
    assert support.post(f"{path}/close", {"reason": "none"}).json["code"] == "refund_left"
    assert shop.refunds(order) == []
    first, again, other_key = (support.post(f"{path}/refund", body, key=key * 32) for key in "kkl")
    assert first.status_code == again.status_code == 200 and first.data == again.data
    assert (first.json["state"], len(first.json["refunds"])) == ("CLOSED", 1)
    assert first.json["refunds"][0]["amount"] == {"amount": 17000, "currency": "TWD"}
    assert other_key.json["refunds"] == first.json["refunds"]
    shop.sweep()
    assert len(shop.refunds(order)) == 1
    shown = support.get(path).json
    assert (shown["granted"]["amount"], shown["refundable"]["amount"]) == (17000, 0)
    for act, changed in (("refund", body | {"amount": 1000, "expected_refundable": 0}), ("close", {"reason": "none"})):
        answer = support.post(f"{path}/{act}", changed, key="n" * 32)
        assert (answer.status_code, answer.json["code"]) == (409, "return_moved"), answer.text
        assert "with a refund of NT$170" in answer.json["detail"]
    colleague = signed_in(shop, Role.FINANCE)
    assert colleague.post(f"{path}/refund", body, key="m" * 32).json["code"] == "return_moved"


def test_a_return_whose_money_was_refunded_otherwise_is_closed_with_a_reason(shop: Shop, order: Order) -> None:
    path = arrived(shop, order)
    refund(shop, order, order.total_amount)
    program = with_key(shop, Permission.REFUND_REQUEST)
    assert program.post(f"{path}/close", {"reason": ""}).json["code"] == "invalid"
    closed = program.post(f"{path}/close", {"reason": "Refunded with the order"})
    assert closed.json == {"id": int(path.rpartition("/")[2]), "reference": f"{order.number}-R1", "state": "CLOSED"}
    assert program.post(f"{path}/close", {"reason": "Refunded with the order"}).json == closed.json
    body = {"amount": 18000, "expected_refundable": 18000, "reason": "late"}
    assert program.post(f"{path}/refund", body, key="k" * 32).json["code"] == "return_moved"


def test_those_who_read_returns_alone_see_no_reasons_of_refunds(shop: Shop, order: Order) -> None:
    support, path = signed_in(shop, Role.SUPPORT), arrived(shop, order)
    body = {"amount": 18000, "expected_refundable": 18000, "reason": "Ada called from 0912"}
    assert "Ada called" in support.post(f"{path}/refund", body, key="k" * 32).json["refunds"][0]["reason"]
    for reader in (signed_in(shop, Role.MERCHANDISER), with_key(shop, Permission.RETURN_READ)):
        [refund] = reader.get(path).json["refunds"]
        assert refund["amount"]["amount"] == 18000 and not {"reason", "requested_by", "approved_by"} & refund.keys()


def test_a_refund_of_a_return_needs_its_scope_and_a_second_person_above_the_limit(shop: Shop, order: Order) -> None:
    path = arrived(shop, order)
    body = {"amount": 18000, "expected_refundable": 18000, "reason": "faulty"}
    for program in (signed_in(shop, Role.MERCHANDISER), with_key(shop, Permission.RETURN_DECIDE)):
        assert program.post(f"{path}/refund", body, key="k" * 32).status_code == 403
        assert program.post(f"{path}/close", {"reason": "x"}).status_code == 403
    assert Program(shop, order.token).post(f"{path}/refund", body, key="k" * 32).status_code == 401
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    refunds = with_key(shop, Permission.REFUND_REQUEST).post(f"{path}/refund", body, key="k" * 32).json["refunds"]
    assert [one["awaits_approval"] for one in refunds] == [True]
