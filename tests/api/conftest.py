"""Programs that call the API of the shop under test."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Response
from werkzeug.test import TestResponse

from shop.accounts import api_keys, signin
from shop.accounts.permissions import Permission, Role
from shop.core.actor import Actor
from shop.core.db import db
from shop.orders.models import Order
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import Browser

PASSWORD = "correct horse battery staple"
ADDRESS = {"name": "Ada Lin", "line1": "12 Yongkang St", "city": "Taipei", "postcode": "106", "country": "TW"}


class Program:
    """A program with a Bearer token, or without one. It keeps no cookies."""

    def __init__(self, shop: Shop, token: str = "") -> None:
        self.shop, self.token = shop, token
        self._client = Browser(shop.app, Response, use_cookies=False)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        return self.open(method, f"/api/v1{path}", body, **more)

    def open(
        self, method: str, address: str, body: Any = None, *, key: str = "", headers: dict[str, str] | None = None
    ) -> TestResponse:
        """Call the API at a whole address, of v1 or an alias."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= ({"Idempotency-Key": key} if key else {}) | (headers or {})
        more = {} if body is None else {"data": body} if isinstance(body, bytes) else {"json": body}
        answer = self._client.open(address, method=method, headers=sent, **more)
        db.session.rollback()
        return answer

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> TestResponse:
        return self.call("POST", path, body, **more)

    def place(self, *items: tuple[str, int], key: str = "", **changed: Any) -> TestResponse:
        """Place an order for these units, by default one kettle, with a new key unless one is given."""
        return self.post("/orders", new_order(*items, **changed), key=key or secrets.token_urlsafe(32))

    def placed(self, *items: tuple[str, int], **changed: Any) -> dict[str, Any]:
        """The body of an order that was placed."""
        answer = self.place(*items, **changed)
        assert answer.status_code == 201, answer.text
        return dict(answer.json or {})

    def pay(self, order: dict[str, Any], provider: str = "fakepay", *, key: str = "") -> TestResponse:
        """Start a payment of an order, with a new key unless one is given."""
        body = {"order_id": order["id"], "provider": provider}
        return self.post("/payments", body, key=key or secrets.token_urlsafe(32))


def new_order(*items: tuple[str, int], **changed: Any) -> dict[str, Any]:
    """The body of a guest's order."""
    units = [{"sku": sku, "quantity": quantity} for sku, quantity in items or ((KETTLE, 1),)]
    body = {"items": units, "currency": "TWD", "email": "ada@example.com", "address": ADDRESS} | changed
    return {name: value for name, value in body.items() if value is not None}


def account(shop: Shop, *roles: Role, email: str = "") -> str:
    """The e-mail address of a new account with the password PASSWORD."""
    email = email or f"{'-'.join(roles) or 'customer'}-{secrets.token_hex(4)}@example.com"
    signin.create(email, "Ada", PASSWORD, list(roles), by=Actor.operator())
    return email


def log_in(shop: Shop, email: str, **more: str) -> TestResponse:
    return Program(shop).post("/auth/login", {"email": email, "password": PASSWORD, **more})


def signed_in(shop: Shop, *roles: Role, email: str = "") -> Program:
    """A program with the access token of a new account."""
    answer = log_in(shop, account(shop, *roles, email=email))
    assert answer.status_code == 200, answer.text
    return Program(shop, str(answer.json["access_token"]))


def with_key(shop: Shop, *scopes: Permission, owner: Actor | None = None) -> Program:
    """A program with a new API key of a member of finance."""
    return Program(shop, api_keys.make("a program", scopes, by=owner or shop.colleague("kay")).text)


def only_order() -> Order:
    return db.session.scalars(db.select(Order)).one()


def ordered(shop: Shop, **changed: Any) -> tuple[Program, dict[str, Any]]:
    """A guest's order, and the program that holds its token."""
    order = Program(shop).placed(**changed)
    return Program(shop, order["token"]), order


def paid(shop: Shop, **changed: Any) -> tuple[Program, dict[str, Any]]:
    """The body of a captured payment of a guest's order, and the program that holds the order's token."""
    program, order = ordered(shop, **changed)
    payment = program.pay(order).json
    shop.acquirer.capture(payment["id"])
    shop.deliver_webhook(payment["id"])
    return program, dict(program.get(f"/payments/{payment['id']}").json or {})


def at_once(shop: Shop, callers: int, call: Callable[[int], TestResponse]) -> list[TestResponse]:
    """The answers to calls that `callers` programs send at the same time."""
    shop.app.config["RATE_LIMITS"] = False
    answers: list[TestResponse] = []
    barrier = threading.Barrier(callers)

    def run(number: int) -> None:
        with shop.app.app_context():
            barrier.wait()
            answers.append(call(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


@pytest.fixture
def guest(shop: Shop) -> Program:
    """A program without a token."""
    return Program(shop)
