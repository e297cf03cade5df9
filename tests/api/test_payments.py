"""Payments of the API: one payment for one key, the truth after a lost answer, and no payment of others' orders."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import event

from shop.accounts.permissions import Permission, Role
from shop.api import payments, rate_limits
from shop.core.audit import Act
from shop.core.audit_models import AuditEntry
from shop.core.db import db
from shop.payments.records.models import Payment
from tests.api.conftest import Program, at_once, ordered, paid, signed_in, with_key
from tests.shop_fixtures import Shop

KEY = "0123456789abcdef0123456789abcdef"


def test_a_guest_pays_an_order_with_its_token(shop: Shop) -> None:
    program, order = ordered(shop)
    answer = program.pay(order)
    assert answer.status_code == 201, answer.text
    payment = answer.json
    assert (payment["state"], payment["amount"], payment["order_id"]) == ("OPEN", order["to_pay"], order["id"])
    assert payment["next_action"] == {"kind": "redirect", "url": f"https://fakepay.example/pay/{payment['id']}"}
    assert payment["expires_at"] == order["pay_by"]
    assert answer.headers["Location"] == f"/api/v1/payments/{payment['id']}"
    shop.acquirer.capture(payment["id"])
    shop.deliver_webhook(payment["id"])
    found = program.get(f"/payments/{payment['id']}").json
    assert (found["state"], found["next_action"]) == ("CAPTURED", None)
    assert program.get(f"/orders/{order['id']}").json["state"] == "PAID"


def test_a_customer_pays_an_own_order_and_staff_see_the_payment(shop: Shop) -> None:
    may = signed_in(shop)
    payment = may.pay(may.placed(email=None)).json
    path = f"/payments/{payment['id']}"
    for program in (may, signed_in(shop, Role.SUPPORT), with_key(shop, Permission.ORDER_READ)):
        assert program.get(path).json == payment


def test_payments_of_an_order_of_others_cannot_be_started_or_seen(shop: Shop) -> None:
    program, order = ordered(shop)
    others = (signed_in(shop), ordered(shop)[0], signed_in(shop, Role.FINANCE))
    for other in others:
        answer = other.pay(order)
        assert (answer.status_code, answer.json["code"]) == (404, "unknown_order")
    assert with_key(shop, Permission.ORDER_READ).pay(order).status_code == 403
    assert Program(shop).pay(order).status_code == 401
    assert shop.count(Payment) == 0
    path = f"/payments/{program.pay(order).json['id']}"
    for other in others[:2]:
        assert other.get(path).json["code"] == "unknown_payment"
        assert other.post(f"{path}/cancel").json["code"] == "unknown_payment"
    assert program.get("/payments/none").json["code"] == "unknown_payment"


def test_a_repetition_gets_the_first_answer_and_a_key_is_required(shop: Shop) -> None:
    program, order = ordered(shop)
    first, again = program.pay(order, key=KEY), program.pay(order, key=KEY)
    assert (again.status_code, again.data) == (201, first.data)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert program.pay(order, "otherpay", key=KEY).json["code"] == "idempotency_key_reused"
    assert program.post("/payments", {"order_id": order["id"], "provider": "fakepay"}).status_code == 400
    assert shop.count(Payment) == 1


def test_another_call_gets_the_open_payment_and_another_provider_replaces_it(shop: Shop) -> None:
    program, order = ordered(shop)
    first, same, other = program.pay(order), program.pay(order), program.pay(order, "otherpay")
    assert (same.status_code, same.json) == (200, first.json)
    assert other.status_code == 201 and other.json["id"] != first.json["id"]
    assert program.get(f"/payments/{first.json['id']}").json["state"] == "CANCELLED"


@pytest.mark.parametrize("fault", ["lose_answer", "lose_request"])
def test_an_answer_that_was_lost_is_202_and_reading_the_payment_shows_the_truth(shop: Shop, fault: str) -> None:
    program, order = ordered(shop)
    shop.acquirer.misbehave("start", fault)
    answer = program.pay(order, key=KEY)
    assert (answer.status_code, answer.json["state"], answer.json["next_action"]) == (202, "UNKNOWN", None)
    assert program.pay(order, key=KEY).data == answer.data
    path = f"/payments/{answer.json['id']}"
    if fault == "lose_answer":
        shop.acquirer.capture(answer.json["id"])
    shop.turn(seconds=61)
    found = program.get(f"{path}?refresh=true").json
    assert found["state"] == ("CAPTURED" if fault == "lose_answer" else "FAILED")
    assert program.get(path).json == found and shop.count(Payment) == 1


@pytest.mark.parametrize(("fault", "reason"), [("refuse", "refused"), ("unreachable", "unavailable")])
def test_a_payment_that_the_provider_does_not_open_has_failed_and_may_be_tried_again(
    shop: Shop, fault: str, reason: str
) -> None:
    program, order = ordered(shop)
    shop.acquirer.misbehave("start", fault)
    answer = program.pay(order)
    assert (answer.status_code, answer.json["state"], answer.json["end_reason"]) == (201, "FAILED", reason)
    assert program.pay(order).json["state"] == "OPEN"


def test_of_fifty_identical_calls_at_once_one_starts_a_payment(shop: Shop) -> None:
    program, order = ordered(shop)
    answers = at_once(shop, 50, lambda _: Program(shop, program.token).pay(order, key=KEY))
    statuses = Counter(answer.status_code for answer in answers)
    assert len(answers) == 50 and set(statuses) <= {201, 409} and statuses[201] >= 1, statuses
    assert shop.count(Payment) == 1 and [name for name, _ in shop.acquirer.calls].count("start") == 1
    again = program.pay(order, key=KEY)
    assert (again.status_code, again.json["state"], again.headers["Idempotency-Replayed"]) == (201, "OPEN", "true")


def test_calls_with_keys_of_their_own_at_once_share_the_open_payment(shop: Shop) -> None:
    program, order = ordered(shop)
    answers = at_once(shop, 8, lambda _: Program(shop, program.token).pay(order))
    assert {answer.status_code for answer in answers} <= {200, 201, 202}
    assert len({answer.json["id"] for answer in answers}) == 1 == shop.count(Payment)


def test_a_call_that_died_after_the_payment_was_written_is_answered_from_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, order = ordered(shop)
    with monkeypatch.context() as broken:
        broken.setattr(payments, "_answer", lambda *_, **__: 1 / 0)
        shop.app.config["PROPAGATE_EXCEPTIONS"] = False
        assert program.pay(order, key=KEY).status_code == 500
    assert program.pay(order, key=KEY).json["code"] == "idempotency_in_flight"
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=61)):
        answer = program.pay(order, key=KEY)
    assert answer.status_code == 201 and answer.json["state"] == "OPEN" and shop.count(Payment) == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"provider": "nopay"}, 422, "unknown_method"),
        ({"provider": ""}, 422, "invalid"),
        ({"order_id": "1"}, 422, "invalid"),
        ({"order_id": 0}, 422, "invalid"),
        ({"order_id": 2**31}, 422, "invalid"),
        ({"order_id": 999}, 404, "unknown_order"),
        ({"amount": 1}, 422, "invalid"),
    ],
)
def test_a_call_that_cannot_be_carried_out_starts_nothing(
    shop: Shop, body: dict[str, object], status: int, code: str
) -> None:
    program, order = ordered(shop)
    answer = program.post("/payments", {"order_id": order["id"], "provider": "fakepay"} | body, key=KEY)
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert shop.count(Payment) == 0 and program.pay(order, key=KEY).status_code == 201


def test_a_paid_order_gets_no_further_payment(shop: Shop) -> None:
    program, payment = paid(shop)
    answer = program.pay({"id": payment["order_id"]})
    assert (answer.status_code, answer.json["code"]) == (409, "not_payable")


def test_a_customer_closes_an_open_payment_and_a_repetition_changes_nothing(shop: Shop) -> None:
    program, order = ordered(shop)
    path = f"/payments/{program.pay(order).json['id']}"
    first, again = program.post(f"{path}/cancel"), program.post(f"{path}/cancel")
    assert (first.status_code, first.json["state"], again.json) == (200, "CANCELLED", first.json)
    assert program.get(f"/orders/{order['id']}").json["ended_at"] is None
    paid_program, payment = paid(shop)
    assert paid_program.post(f"/payments/{payment['id']}/cancel").json["code"] == "already_paid"


def test_a_payment_whose_closing_is_not_confirmed_is_being_cancelled(shop: Shop) -> None:
    program, order = ordered(shop)
    payment = program.pay(order).json
    shop.acquirer.away = True
    answer = program.post(f"/payments/{payment['id']}/cancel").json
    assert (answer["state"], answer["is_being_cancelled"]) == ("OPEN", True)
    shop.acquirer.away = False


def test_refresh_queries_the_provider_and_has_a_lower_limit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    program, order = ordered(shop)
    path = f"/payments/{program.pay(order).json['id']}"
    shop.acquirer.capture(path.rpartition("/")[2])
    assert program.get(path).json["state"] == "OPEN"
    answer = program.get(f"{path}?refresh=true")
    assert answer.json["state"] == "CAPTURED" and answer.headers["RateLimit-Policy"] == '"refresh";q=30;w=60'
    assert program.get(f"{path}?refresh=1").status_code == 422
    monkeypatch.setattr(rate_limits.Policy, "most", lambda self, is_known: 1 if self.name == "refresh" else 300)
    assert [program.get(f"{path}?refresh=true").status_code for _ in range(2)] == [200, 429]
    assert program.get(path).status_code == 200


def test_staff_query_the_provider_now_and_the_audit_log_has_an_entry(shop: Shop) -> None:
    program, order = ordered(shop)
    payment = program.pay(order).json
    shop.acquirer.capture(payment["id"])
    path = f"/payments/{payment['id']}/sync"
    assert program.post(path).status_code == 401, "no order token is taken here"
    assert signed_in(shop, Role.MERCHANDISER).post(path).status_code == 403
    assert signed_in(shop, Role.SUPPORT).post(path).json["state"] == "CAPTURED"
    acts = db.session.scalars(db.select(AuditEntry.act).where(AuditEntry.act == Act.PAYMENT_QUERIED)).all()
    assert len(acts) == 1


def test_reading_a_payment_takes_two_statements(shop: Shop) -> None:
    may = signed_in(shop)
    path = f"/payments/{may.pay(may.placed(email=None)).json['id']}"
    may.get(path)
    statements: list[str] = []

    def note(*given: object) -> None:
        statements.append(str(given[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    assert may.get(path).status_code == 200
    event.remove(db.engine, "before_cursor_execute", note)
    assert len([one for one in statements if "SELECT" in one]) == 2, statements
