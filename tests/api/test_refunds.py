"""Refunds of the API: a stale number refunds nothing, a key refunds once, and two people decide above the limit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from werkzeug.test import TestResponse

from shop.accounts.permissions import Permission, Role
from shop.core.money import Money
from shop.payments.records.models import Refund
from tests.api.conftest import Program, at_once, ordered, paid, signed_in, with_key
from tests.shop_fixtures import Shop

KEY = "0123456789abcdef0123456789abcdef"
APPROVAL = "fedcba9876543210fedcba9876543210"


def refund(program: Program, payment: dict[str, Any], amount: int, *, key: str = KEY, **more: object) -> TestResponse:
    """Request a refund with the amount that is refundable now."""
    path = f"/payments/{payment['id']}/refunds"
    expected = program.get(path).json["refundable"]["amount"] if "expected_refundable" not in more else None
    body = {"amount": amount, "reason": "It broke", "expected_refundable": expected} | more
    return program.post(path, body, key=key)


def limit(shop: Shop, amount: int) -> None:
    """Above this amount in TWD a refund needs two people."""
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": amount}


def test_support_refunds_a_part_and_the_refundable_amount_falls(shop: Shop) -> None:
    guest, payment = paid(shop)
    sue = signed_in(shop, Role.SUPPORT)
    answer = refund(sue, payment, 20000)
    assert answer.status_code == 201, answer.text
    made = answer.json
    assert (made["state"], made["amount"]) == ("REQUESTED", {"amount": 20000, "currency": "TWD"})
    assert made["awaits_approval"] is False and made["requested_by"].startswith("staff:")
    shop.turn(seconds=1)
    found = sue.get(f"/refunds/{made['id']}")
    assert found.json["state"] == "DONE" and found.headers["ETag"] != answer.headers["ETag"]
    listed = sue.get(f"/payments/{payment['id']}/refunds").json
    left = payment["amount"]["amount"] - 20000
    assert (listed["items"], listed["total"], listed["refundable"]["amount"]) == ([found.json], 1, left)
    assert [one["refundable"]["amount"] for one in listed["captures"]] == [left]
    assert guest.get(f"/orders/{payment['order_id']}").json["state"] == "PARTIALLY_REFUNDED"


def test_customers_see_refunds_of_their_order_without_the_words_of_staff(shop: Shop) -> None:
    guest, payment = paid(shop)
    made = refund(signed_in(shop, Role.SUPPORT), payment, 20000).json
    for seen in (guest.get(f"/refunds/{made['id']}").json, guest.get(f"/payments/{payment['id']}/refunds").json):
        assert "It broke" not in str(seen) and "staff:" not in str(seen) and made["id"] in str(seen)
    for other in (signed_in(shop), ordered(shop)[0]):
        assert other.get(f"/refunds/{made['id']}").json["code"] == "unknown_refund"
        assert other.get(f"/payments/{payment['id']}/refunds").json["code"] == "unknown_payment"


def test_a_number_that_is_not_true_any_more_is_409_with_the_present_one(shop: Shop) -> None:
    _, payment = paid(shop)
    program = with_key(shop, Permission.REFUND_REQUEST, Permission.ORDER_READ)
    answer = refund(program, payment, 20000, expected_refundable=payment["amount"]["amount"] - 1)
    assert (answer.status_code, answer.json["code"]) == (409, "not_refundable")
    assert answer.json["details"]["refundable"] == payment["amount"]["amount"]
    assert shop.count(Refund) == 0
    assert refund(program, payment, 20000).status_code == 201, "a refused call leaves its key unused"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"amount": 0}, 422, "invalid"),
        ({"amount": 1.5}, 422, "invalid"),
        ({"amount": 10**12}, 409, "not_refundable"),
        ({"currency": "USD"}, 422, "invalid"),
        ({"reason": " "}, 422, "invalid"),
        ({"capture_id": 999}, 422, "choose_capture"),
        ({"destination": "store_credit"}, 409, "no_account"),
        ({"destination": "cash"}, 422, "invalid"),
    ],
)
def test_a_refund_that_cannot_be_made_changes_nothing(
    shop: Shop, changed: dict[str, object], status: int, code: str
) -> None:
    _, payment = paid(shop)
    answer = refund(signed_in(shop, Role.FINANCE), payment, **{"amount": 20000} | changed)
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert shop.count(Refund) == 0


def test_a_payment_without_money_has_nothing_to_refund(shop: Shop) -> None:
    guest, order = ordered(shop)
    payment = guest.pay(order).json
    finance = signed_in(shop, Role.FINANCE)
    assert finance.get(f"/payments/{payment['id']}/refunds").json["refundable"]["amount"] == 0
    answer = refund(finance, payment, 1, expected_refundable=0)
    assert (answer.status_code, answer.json["details"]["refundable"]) == (409, 0)


def test_of_several_captures_one_is_named(shop: Shop) -> None:
    guest, payment = paid(shop)
    shop.acquirer.capture(payment["id"], money=Money(5000, "TWD"))
    shop.deliver_webhook(payment["id"])
    finance = signed_in(shop, Role.FINANCE)
    listed = finance.get(f"/payments/{payment['id']}/refunds").json
    assert len(listed["captures"]) == 2
    first = listed["captures"][0]
    answer = refund(finance, payment, 100, capture_id=first["id"], expected_refundable=first["refundable"]["amount"])
    assert (answer.status_code, answer.json["capture_id"]) == (201, first["id"])
    assert guest.get(f"/payments/{payment['id']}/refunds").status_code == 200


def test_customers_and_staff_without_the_permission_refund_nothing(shop: Shop) -> None:
    guest, payment = paid(shop)
    for program in (guest, signed_in(shop), signed_in(shop, Role.MERCHANDISER), with_key(shop, Permission.ORDER_READ)):
        answer = refund(program, payment, 100, expected_refundable=1)
        assert answer.status_code in (401, 403), answer.text
    assert shop.count(Refund) == 0


def test_of_fifty_identical_calls_at_once_one_refunds(shop: Shop) -> None:
    _, payment = paid(shop)
    token = signed_in(shop, Role.FINANCE).token
    call = {"expected_refundable": payment["amount"]["amount"]}
    answers = at_once(shop, 50, lambda _: refund(Program(shop, token), payment, 20000, **call))
    statuses = Counter(answer.status_code for answer in answers)
    assert len(answers) == 50 and set(statuses) <= {201, 409} and statuses[201] >= 1, statuses
    assert shop.count(Refund) == 1
    assert refund(Program(shop, token), payment, 20000, **call).headers["Idempotency-Replayed"] == "true"


def test_of_refunds_with_the_same_number_at_once_one_wins(shop: Shop) -> None:
    _, payment = paid(shop)
    token = signed_in(shop, Role.FINANCE).token
    number = payment["amount"]["amount"]

    def call(caller: int) -> TestResponse:
        key = f"{KEY}{caller}"
        return refund(Program(shop, token), payment, 20000, key=key, expected_refundable=number)

    answers = at_once(shop, 8, call)
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]
    stale = [answer.json for answer in answers if answer.status_code == 409]
    assert {(one["code"], one["details"]["refundable"]) for one in stale} == {("not_refundable", number - 20000)}
    assert shop.count(Refund) == 1


def test_above_the_limit_another_person_approves(shop: Shop) -> None:
    limit(shop, 1000)
    guest, payment = paid(shop)
    first, second = signed_in(shop, Role.FINANCE), signed_in(shop, Role.FINANCE)
    made = refund(first, payment, 20000).json
    assert (made["state"], made["awaits_approval"]) == ("REQUESTED", True)
    shop.turn(minutes=1)
    path = f"/refunds/{made['id']}"
    assert second.get(path).json["state"] == "REQUESTED"
    own = first.post(f"{path}/approve", key=APPROVAL)
    assert (own.status_code, own.json["code"]) == (409, "not_to_approve")
    assert signed_in(shop, Role.SUPPORT).post(f"{path}/approve", key=APPROVAL).status_code == 403
    assert second.post(f"{path}/approve").json["code"] == "idempotency_key_required"
    answer = second.post(f"{path}/approve", key=APPROVAL)
    assert answer.status_code == 200 and answer.json["approved_by"] not in (None, made["requested_by"]), answer.text
    again = second.post(f"{path}/approve", key=APPROVAL)
    assert (again.data, again.headers["Idempotency-Replayed"]) == (answer.data, "true")
    assert second.post(f"{path}/approve", key=f"{APPROVAL}2").json["code"] == "not_to_approve"
    shop.turn(seconds=1)
    assert guest.get(path).json["state"] == "DONE"


def test_a_key_of_the_requester_is_the_same_person(shop: Shop) -> None:
    limit(shop, 1000)
    _, payment = paid(shop)
    kay = shop.colleague("kay")
    scopes = (Permission.REFUND_REQUEST, Permission.REFUND_APPROVE, Permission.ORDER_READ)
    first, same = with_key(shop, *scopes, owner=kay), with_key(shop, *scopes, owner=kay)
    made = refund(first, payment, 20000).json
    assert same.post(f"/refunds/{made['id']}/approve", key=APPROVAL).json["code"] == "not_to_approve"
    other = with_key(shop, *scopes, owner=shop.kim)
    assert other.post(f"/refunds/{made['id']}/approve", key=APPROVAL).status_code == 200


def test_a_version_that_is_not_the_present_one_decides_nothing(shop: Shop) -> None:
    limit(shop, 1000)
    _, payment = paid(shop)
    first, second = signed_in(shop, Role.FINANCE), signed_in(shop, Role.FINANCE)
    path = f"/refunds/{refund(first, payment, 20000).json['id']}"
    seen = second.get(path).headers["ETag"]
    old = second.post(f"{path}/approve", key=APPROVAL, headers={"If-Match": '"old"'})
    assert (old.status_code, old.json["code"]) == (412, "version_changed")
    assert second.post(f"{path}/approve", key=APPROVAL, headers={"If-Match": seen}).status_code == 200
    late = first.post(f"{path}/decline", {"reason": "No"}, headers={"If-Match": seen})
    assert (late.status_code, second.get(path).json["state"]) == (412, "REQUESTED")


def test_a_declined_refund_is_refundable_again(shop: Shop) -> None:
    limit(shop, 1000)
    _, payment = paid(shop)
    first, second = signed_in(shop, Role.FINANCE), signed_in(shop, Role.FINANCE)
    path = f"/refunds/{refund(first, payment, 20000).json['id']}"
    assert second.post(f"{path}/decline", {}).status_code == 422
    assert second.post(f"{path}/decline", {"reason": "Wrong amount"}).json["state"] == "REJECTED"
    assert second.post(f"{path}/decline", {"reason": "Wrong amount"}).json["code"] == "not_to_decline"
    assert second.post(f"{path}/approve", key=APPROVAL).json["code"] == "not_to_approve"
    listed = second.get(f"/payments/{payment['id']}/refunds").json
    assert listed["refundable"] == payment["amount"]


def test_a_refund_to_a_bank_is_approved_once_the_money_was_sent(shop: Shop) -> None:
    _, payment = paid(shop)
    first, second = signed_in(shop, Role.FINANCE), signed_in(shop, Role.FINANCE)
    path = f"/refunds/{refund(first, payment, 100, destination='bank').json['id']}"
    assert second.post(f"{path}/approve", key=APPROVAL).json["code"] == "not_checked"
    assert second.post(f"{path}/approve", {"money_was_sent": 1}, key=APPROVAL).status_code == 422
    assert second.post(f"{path}/approve", {"money_was_sent": True}, key=APPROVAL).status_code == 200
    shop.turn(seconds=1)
    assert second.get(path).json["state"] == "DONE"


def test_the_refund_of_a_wrong_amount_needs_the_scope_that_decides_its_review(shop: Shop) -> None:
    program, order = ordered(shop)
    payment = program.pay(order).json
    shop.acquirer.capture(payment["id"], money=Money(order["total"]["amount"] - 100, "TWD"))
    shop.deliver_webhook(payment["id"])
    requesting = (Permission.REFUND_REQUEST, Permission.ORDER_READ)
    answer = refund(with_key(shop, *requesting), payment, 100)
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    accepting = with_key(shop, *requesting, Permission.PAYMENT_ACCEPT_AMOUNT)
    assert refund(accepting, payment, 100, key=APPROVAL).status_code == 201
    shop.sweep()
