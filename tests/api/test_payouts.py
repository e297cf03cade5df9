"""Payouts of the API: two accounts, one payout for one key, and never more than is settled."""

from __future__ import annotations

from collections import Counter

import pytest

from shop.accounts.permissions import Permission, Role
from shop.payouts.models import Payout
from tests.api.conftest import Program, at_once, signed_in, with_key
from tests.payouts.settlement import settled
from tests.shop_fixtures import Shop

KEY = "0123456789abcdef0123456789abcdef"
BODY = {"amount": 60000, "currency": "TWD", "note": "Rent"}


@pytest.fixture(autouse=True)
def funds(shop: Shop) -> None:
    """Settled money: TWD 1,000."""
    settled(100000)


def test_one_person_requests_a_payout_and_another_one_approves_it(shop: Shop) -> None:
    first, second = signed_in(shop, Role.FINANCE), signed_in(shop, Role.FINANCE)
    answer = first.post("/payouts", BODY, key=KEY)
    assert answer.status_code == 201, answer.text
    made = answer.json
    path = answer.headers["Location"].removeprefix("/api/v1")
    assert (made["state"], made["amount"]) == ("REQUESTED", {"amount": 60000, "currency": "TWD"})
    own = first.post(f"{path}/approve", key=KEY)
    assert (own.status_code, own.json["code"]) == (409, "not_to_decide")
    assert second.post(f"{path}/approve").json["code"] == "idempotency_key_required"
    done = second.post(f"{path}/approve", key=KEY)
    assert (done.status_code, done.json["state"]) == (200, "APPROVED")
    assert done.json["decided_by"] != done.json["requested_by"]
    assert second.post(f"{path}/approve", key=KEY).data == done.data
    assert second.post(f"{path}/reject", {"reason": "x"}).json["code"] == "not_to_decide"
    assert first.get(path).json == done.json and first.get("/payouts").json["items"] == [done.json]
    assert first.get("/payouts?state=REJECTED").json["total"] == 0


def test_a_rejected_payout_frees_its_amount(shop: Shop) -> None:
    first = signed_in(shop, Role.FINANCE)
    made = first.post("/payouts", BODY, key=KEY).json
    short = first.post("/payouts", BODY, key=f"{KEY}2")
    assert (short.status_code, short.json["code"]) == (409, "not_enough_funds")
    assert short.json["details"]["available"] == 40000
    assert first.post(f"/payouts/{made['id']}/reject", {}).status_code == 422
    assert first.post(f"/payouts/{made['id']}/reject", {"reason": "Wrong"}).json["state"] == "REJECTED"
    assert first.post("/payouts", BODY, key=f"{KEY}2").status_code == 201


def test_of_identical_calls_at_once_one_requests_a_payout(shop: Shop) -> None:
    token = signed_in(shop, Role.FINANCE).token
    small = BODY | {"amount": 100}
    answers = at_once(shop, 12, lambda _: Program(shop, token).post("/payouts", small, key=KEY))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409} and statuses[201] >= 1, statuses
    assert shop.count(Payout) == 1


def test_of_people_who_approve_at_once_one_pays(shop: Shop) -> None:
    made = signed_in(shop, Role.FINANCE).post("/payouts", BODY, key=KEY).json
    tokens = [signed_in(shop, Role.FINANCE).token for _ in range(4)]
    path = f"/payouts/{made['id']}/approve"
    answers = at_once(shop, 4, lambda number: Program(shop, tokens[number]).post(path, key=KEY))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


def test_a_key_of_the_requester_is_the_same_person(shop: Shop) -> None:
    kay = shop.colleague("kay")
    scopes = (Permission.PAYOUT_READ, Permission.PAYOUT_REQUEST, Permission.PAYOUT_APPROVE)
    made = with_key(shop, *scopes, owner=kay).post("/payouts", BODY, key=KEY).json
    again = with_key(shop, *scopes, owner=kay).post(f"/payouts/{made['id']}/approve", key=KEY)
    assert again.json["code"] == "not_to_decide"
    assert with_key(shop, *scopes, owner=shop.kim).post(f"/payouts/{made['id']}/approve", key=KEY).status_code == 200


@pytest.mark.parametrize(
    "changed", [{"amount": 0}, {"amount": "1"}, {"currency": "EUR"}, {"note": ""}, {"to": "me"}, {"amount": -5}]
)
def test_a_payout_that_is_not_valid_is_422(shop: Shop, changed: dict[str, object]) -> None:
    answer = signed_in(shop, Role.FINANCE).post("/payouts", BODY | changed, key=KEY)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid")
    assert shop.count(Payout) == 0


def test_staff_without_the_permission_request_and_decide_nothing(shop: Shop) -> None:
    path = f"/payouts/{signed_in(shop, Role.FINANCE).post('/payouts', BODY, key=KEY).json['id']}"
    for program in (signed_in(shop, Role.SUPPORT), signed_in(shop), with_key(shop, Permission.PAYOUT_READ)):
        assert program.post("/payouts", BODY, key=KEY).status_code == 403
        assert program.post(f"{path}/approve", key=KEY).status_code == 403
        assert program.post(f"{path}/reject", {"reason": "x"}).status_code == 403
    assert program.get(path).json["state"] == "REQUESTED"
    assert program.get("/payouts/none").json["code"] == "unknown_payout"
