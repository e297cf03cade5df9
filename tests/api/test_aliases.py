"""Aliases of the API at the root of the site: the same answers, major units, and pages that stay pages."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from shop import create_app
from shop.accounts.permissions import Role
from shop.api import document as openapi
from shop.api import root
from shop.core.db import db
from shop.orders.models import Order
from shop.payments.records.models import Payment, Refund, RefusedWebhook, WebhookEventRow
from tests.api.conftest import PASSWORD, Program, account, new_order, ordered, paid, signed_in
from tests.payments.tpay_helpers import a_webhook
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

KEY = "0123456789abcdef0123456789abcdef"


def call(program: Program, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
    """The answer of an alias."""
    sent = {"Authorization": f"Bearer {program.token}"} if program.token else {}
    more = {"data": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
    answer = program._client.open(path, method=method, headers=sent | headers, **more)
    db.session.rollback()
    return answer


def major(amount: dict[str, Any]) -> float:
    """An amount in TWD as aliases take it."""
    return float(amount["amount"]) / 100


def pay(program: Program, order: dict[str, Any], provider: str = "fakepay", **changed: Any) -> TestResponse:
    body = {"provider": provider, "amount": major(order["to_pay"]), "orderId": order["id"]} | changed
    return call(program, "POST", "/payments", body)


def test_a_program_signs_in_orders_pays_and_refunds_at_the_root(shop: Shop) -> None:
    credentials = {"email": account(shop), "password": PASSWORD}
    token = call(Program(shop), "POST", "/auth/login", credentials).json["access_token"]
    may = Program(shop, token)
    assert call(may, "GET", "/auth/profile").json["email"] == credentials["email"]
    order = call(may, "POST", "/orders", new_order(email=None)).json
    assert call(may, "GET", f"/orders/{order['id']}").json == order
    assert call(may, "GET", "/orders?page=1&limit=5").json["items"] == [order]
    payment = pay(may, order)
    assert payment.status_code == 201, payment.text
    shop.acquirer.capture(payment.json["id"])
    shop.deliver_webhook(payment.json["id"])
    assert call(may, "GET", f"/payments/{payment.json['id']}").json["state"] == "CAPTURED"
    body = {"amount": 200.5, "expected_refundable": major(order["to_pay"])}
    refund = call(signed_in(shop, Role.SUPPORT), "POST", f"/payments/refund/{payment.json['id']}", body)
    assert (refund.status_code, refund.json["amount"]["amount"]) == (201, 20050), refund.text
    shop.turn(seconds=1)
    assert call(may, "GET", f"/orders/{order['id']}").json["state"] == "PARTIALLY_REFUNDED"


def test_an_alias_is_deprecated_and_names_its_successor(shop: Shop) -> None:
    program, order = ordered(shop)
    payment = pay(program, order)
    site = shop.app.config["SHOP_URL"]
    successors = {
        "POST /payments": (payment, "/api/v1/payments"),
        "GET /payments": (
            call(program, "GET", f"/payments/{payment.json['id']}"),
            f"/api/v1/payments/{payment.json['id']}",
        ),
        "GET /orders": (call(program, "GET", f"/orders/{order['id']}"), f"/api/v1/orders/{order['id']}"),
        "a refusal": (call(program, "GET", "/auth/profile"), "/api/v1/auth/profile"),
    }
    for name, (answer, successor) in successors.items():
        assert answer.headers["Deprecation"] == "@1796083200", name
        assert f'<{site}{successor}>; rel="successor-version"' in ", ".join(answer.headers.getlist("Link")), name
    assert "Deprecation" not in program.get(f"/orders/{order['id']}").headers


def test_under_orders_a_request_with_a_bearer_token_is_the_api_and_any_other_the_page(shop: Shop) -> None:
    program, order = ordered(shop)
    visitor = Visitor(shop.app)
    for page in ("/orders", f"/orders/{order['token']}"):
        answer = visitor.get(page)
        assert (answer.status_code, answer.mimetype) == (200, "text/html")
        assert "Authorization" in answer.headers["Vary"] and "Deprecation" not in answer.headers
    found = call(program, "GET", f"/orders/{order['id']}")
    assert found.json["id"] == order["id"] and "Authorization" in found.headers["Vary"]
    assert visitor.get(f"/orders/{order['id']}").mimetype == "text/html"
    for path in ("/orders", f"/orders/{order['id']}", f"/orders/{order['token']}"):
        answer = call(Program(shop, "unknown"), "GET", path)
        assert answer.mimetype == "application/problem+json" and answer.status_code in (401, 404), path
    assert call(Program(shop), "GET", "/payments/none", Cookie="settled=x").status_code == 401


def test_a_form_of_a_page_under_orders_needs_its_csrf_token_whatever_it_sends(shop: Shop) -> None:
    program, order = ordered(shop)
    paths = (f"/orders/{order['token']}/cancel", f"/orders/{order['token']}/pay")
    assert {call(program, "POST", path).status_code for path in paths} == {400}
    assert shop.count(Payment) == 0


@pytest.mark.parametrize("amount", [0, -1200, 1199.99, 1e9])
def test_an_amount_that_is_not_that_of_the_order_starts_nothing(shop: Shop, amount: float) -> None:
    program, order = ordered(shop)
    answer = pay(program, order, amount=amount)
    assert (answer.status_code, answer.json["code"]) == (422, "amount_mismatch"), answer.text
    assert answer.json["details"]["expected"] == f"{major(order['to_pay']):.2f}"
    for bad in ("1200", True, None, 1e300, 0.00001):
        assert pay(program, order, amount=bad).json["code"] == "invalid"
    assert shop.count(Payment) == 0


def test_without_a_key_the_open_payment_is_answered_and_with_one_the_first_answer(shop: Shop) -> None:
    program, order = ordered(shop)
    first, again = pay(program, order), pay(program, order)
    assert (again.status_code, again.json) == (200, first.json) and shop.count(Payment) == 1
    other, order = ordered(shop)
    body = {"provider": "fakepay", "amount": major(order["to_pay"]), "orderId": order["id"]}
    answers = [call(other, "POST", "/payments", body, **{"Idempotency-Key": KEY}) for _ in range(2)]
    assert answers[0].data == answers[1].data and answers[1].headers["Idempotency-Replayed"] == "true"


def test_a_refund_without_the_number_that_was_seen_is_400_and_with_an_old_one_409(shop: Shop) -> None:
    _, payment = paid(shop)
    sue, path = signed_in(shop, Role.SUPPORT), f"/payments/refund/{payment['id']}"
    assert call(sue, "POST", path, {"amount": 100}).json["code"] == "expected_refundable_needed"
    assert call(sue, "POST", path, {"amount": 100}).status_code == 400
    body = {"amount": 100, "expected_refundable": major(payment["amount"])}
    assert call(sue, "POST", path, body).status_code == 201
    stale = call(sue, "POST", path, body)
    assert (stale.status_code, stale.json["code"]) == (409, "not_refundable")
    left = payment["amount"]["amount"] - 10000
    assert stale.json["details"]["refundable"] == left
    assert stale.json["details"]["expected_refundable"] == f"{left / 100:.2f}"
    assert shop.count(Refund) == 1


def test_others_orders_stay_unknown_at_the_root(shop: Shop) -> None:
    program, order = ordered(shop)
    payment = pay(program, order).json
    for other in (signed_in(shop), ordered(shop)[0]):
        assert pay(other, order).json["code"] == "unknown_order"
        assert call(other, "GET", f"/payments/{payment['id']}").json["code"] == "unknown_payment"
    body = {"amount": 1, "expected_refundable": 1}
    assert call(signed_in(shop), "POST", f"/payments/refund/{payment['id']}", body).status_code == 403


def test_a_signed_notification_goes_to_the_inbox_and_any_other_is_refused(shop: Shop) -> None:
    headers, body = a_webhook()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = call(Program(shop), "POST", "/payments/notify", body, **headers, **form)
    assert (answer.status_code, answer.text) == (200, "1|OK")
    assert db.session.scalars(db.select(WebhookEventRow.provider)).all() == ["tpay"]
    forged = call(Program(shop), "POST", "/payments/notify", body, **form, **{"X-Signature": "0" * 64})
    assert (forged.status_code, forged.json["code"]) == (401, "bad_signature")
    assert call(Program(shop), "POST", "/payments/notify").status_code == 401
    assert call(Program(shop), "POST", "/payments/notify", b"x" * 70_000, **form).status_code == 413
    assert shop.count(WebhookEventRow) == 1 and shop.count(RefusedWebhook) == 2


def test_an_order_at_the_root_needs_no_key(shop: Shop) -> None:
    may = signed_in(shop)
    assert call(may, "POST", "/orders", new_order(email=None)).status_code == 201
    assert may.post("/orders", new_order(email=None)).json["code"] == "idempotency_key_required"
    assert shop.count(Order) == 1


def off(**settings: str) -> Flask:
    return create_app({"DATABASE_URL": "sqlite:///:memory:", "SETTLED_ENV": "development", **settings})


def test_the_setting_switches_the_aliases_off_with_their_documentation() -> None:
    app = off(ROOT_API_ALIASES="off")
    assert app.test_client().post("/payments", json={}).status_code == 404
    documented = openapi.of(app)["paths"]
    assert [path for path in documented if not path.startswith("/api/v1/")] == []
    documented = openapi.of(off())["paths"]
    calls = [documented[one.path][method.lower()] for one in root.ALIASES for method in one.methods]
    assert len(calls) == 10 and all(one["deprecated"] for one in calls)
    assert [path for path in documented if path.startswith(root.OWN)] == []
