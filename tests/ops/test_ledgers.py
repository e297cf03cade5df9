"""Both ledgers of an order over HTTP: for staff alone."""

from __future__ import annotations

import pytest

from shop.accounts.permissions import Role
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.FINANCE, Role.ADMIN])
def test_staff_see_both_sides_and_nothing_is_stored(shop: Shop, role: str) -> None:
    order = shop.order()
    answer = visitor_as(shop, role).get(f"/ops/orders/{order.number}/ledgers.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json and answer.json["order"] == order.number
    assert answer.json["payments"][0]["theirs"]["answer"] == "found"


def test_a_number_may_be_written_in_lower_case(shop: Shop) -> None:
    order = shop.order()
    answer = visitor_as(shop, "support").get(f"/ops/orders/{order.number.lower()}/ledgers.json")
    assert answer.json and answer.json["order"] == order.number


@pytest.mark.parametrize("roles", [(), ("merchandiser",)])
def test_others_see_nothing(shop: Shop, roles: tuple[str, ...]) -> None:
    order = shop.order()
    answer = visitor_as(shop, *roles).get(f"/ops/orders/{order.number}/ledgers.json")
    assert answer.status_code == 403 and order.number not in answer.text


def test_guests_are_sent_to_sign_in(shop: Shop) -> None:
    path = f"/ops/orders/{shop.order().number}/ledgers.json"
    answer = Visitor(shop.app).get(path)
    assert answer.status_code == 303 and answer.headers["Location"] == f"/sign-in?next={path}"


def test_an_order_that_is_none_is_404(shop: Shop) -> None:
    staff = visitor_as(shop, "support")
    for number in ("NO-SUCH", "%00", "x" * 500, "'; DROP TABLE orders"):
        assert staff.get(f"/ops/orders/{number}/ledgers.json").status_code == 404


def test_it_only_shows(shop: Shop) -> None:
    order = shop.order()
    staff = visitor_as(shop, "finance")
    assert staff.post(f"/ops/orders/{order.number}/ledgers.json").status_code == 405
    shop.acquirer.capture(shop.payment(order).id)
    assert staff.get(f"/ops/orders/{order.number}/ledgers.json").json["difference"] == {"TWD": -120000}  # type: ignore[index]
    assert shop.state(order) == "WAITING_PAYMENT"
