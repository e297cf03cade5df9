"""The log of API calls: complete, without secrets, bounded, and never in the way of a call."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from shop.accounts.permissions import Permission, Role
from shop.api_log import write
from shop.api_log.models import ApiCall
from shop.core.db import db
from tests.api.conftest import PASSWORD, Program, account, log_in, signed_in, with_key
from tests.shop_fixtures import KETTLE, Shop


def logged(shop: Shop) -> list[ApiCall]:
    write.flush()
    db.session.rollback()
    return list(db.session.scalars(db.select(ApiCall).order_by(ApiCall.id)))


def test_every_call_is_logged_with_its_caller_and_its_answer(shop: Shop) -> None:
    program = with_key(shop, Permission.ORDER_READ)
    answer = program.get("/orders/5")
    Program(shop).place((KETTLE, 100))
    first, second = logged(shop)
    assert (first.method, first.route, first.path) == ("GET", "/api/v1/orders/<int:order_id>", "/api/v1/orders/5")
    assert (first.status, first.code, first.caller) == (404, "unknown_order", "key")
    assert (first.user_id, first.key_id is not None) == (shop.colleague("kay").user_id, True)
    assert (first.request_id, first.address) == (answer.headers["X-Request-ID"], "127.0.0.1")
    assert (second.status, second.code, second.user_id) == (422, "invalid", None) and KETTLE in second.body


def test_no_secret_is_logged(shop: Shop) -> None:
    tokens = log_in(shop, account(shop), otp="123456").json
    Program(shop).post("/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    Program(shop, "T" * 32).get("/orders/1")
    text = " ".join(f"{call.path} {call.body}" for call in logged(shop))
    assert "[redacted]" in text
    assert [secret for secret in (PASSWORD, "123456", tokens["refresh_token"], "TTTT") if secret in text] == []


def test_a_log_that_is_full_or_cannot_be_written_fails_no_call(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "WAITING", 1)
    assert [Program(shop).get("/products").status_code for _ in range(3)] == [200] * 3
    assert len(logged(shop)) == 1

    def broken(_call: dict[str, Any]) -> None:
        raise RuntimeError

    monkeypatch.setattr(write, "add", broken)
    assert Program(shop).get("/products").status_code == 200
    monkeypatch.undo()
    write.add({"at": "no time"})
    assert write.flush() == 0, "a batch that cannot be written is dropped"
    assert Program(shop).get("/products").status_code == 200 and len(logged(shop)) == 2


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_call_can_keep_others_out_of_the_log(shop: Shop) -> None:
    Program(shop).get("/products")
    assert Program(shop).get("/payments/%00").status_code == 404
    assert [call.path for call in logged(shop)] == ["/api/v1/products", "/api/v1/payments/\N{REPLACEMENT CHARACTER}"]
    Program(shop).get("/products")
    write.add({"at": "no time"})
    Program(shop).get("/products")
    assert write.flush() == 2 and len(logged(shop)) == 4


def test_a_token_in_the_place_of_an_id_is_not_logged(shop: Shop) -> None:
    token = secrets.token_urlsafe(24)
    for path in (f"/payments/{token}", f"/refunds/{token}/approve", f"/orders/{token}", f"/products/{token}"):
        Program(shop).get(path)
    assert [call.path for call in logged(shop) if token in call.path] == []
    Program(shop).get("/products/KETTLE-OF-1-2-LITRES-IN-MATT-BLACK")
    assert logged(shop)[-1].path.endswith("/KETTLE-OF-1-2-LITRES-IN-MATT-BLACK")


def test_the_password_in_the_address_of_a_receiver_is_not_logged(shop: Shop) -> None:
    body = {"url": "https://hooks.example.com/services/T0/hunter2?key=hunter2", "event_types": ["order.paid"]}
    signed_in(shop, Role.ADMIN).post("/webhook-endpoints", body)
    last = logged(shop)[-1].body
    assert "https://hooks.example.com/…" in last and "order.paid" in last and "hunter2" not in last
