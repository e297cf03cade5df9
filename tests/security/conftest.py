"""A shop with people in it, every address of it, and a way to see whether anything was changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shop.accounts import signin
from shop.core.db import db
from shop.orders.models import Order
from shop.web.guard import MACHINE_PATHS
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor

PASSWORD = "correct horse battery staple"
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
MAY_CHANGE = frozenset({"next_check_at", "returned_at", "checks", "asked_at", "answered_at"})
"""Columns of a payment that looking at an order may touch: they only say when it is asked about."""


class Browser(FlaskClient):
    """Each request stands for itself, as it does on a server: nothing of the last one is left in `g`."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        with self.application.app_context():
            return super().open(*args, **kwargs)


@pytest.fixture
def unhurried(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests ask more often than people do."""
    app.config["RATE_LIMITS"] = False
    monkeypatch.setattr(app, "test_client_class", Browser)


class People:
    """A guest with an order, and customers with accounts; `client` is a browser, `order` what it bought."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.guest = Visitor(shop.app)
        self.order = self.placed(self.guest)

    def placed(self, visitor: Visitor) -> Order:
        visitor.add(PEN)
        token = str(visitor.checkout().location).rsplit("/", 1)[1]
        db.session.rollback()
        return db.session.scalars(db.select(Order).where(Order.token == token)).one()

    def customer(self, name: str, *roles: str) -> Visitor:
        """Somebody who is signed in."""
        with self.shop.app.app_context():
            signin.create(f"{name}@example.com", name.capitalize(), PASSWORD, roles)
        visitor = Visitor(self.shop.app)
        visitor.get("/sign-in")
        assert visitor.post("/sign-in", {"email": f"{name}@example.com", "password": PASSWORD}).status_code == 303
        return visitor


@pytest.fixture
def people(shop: Shop, unhurried: None) -> Iterator[People]:
    found = People(shop)
    yield found
    shop.sweep()


def addresses(app: Flask, *methods: str) -> list[tuple[str, str]]:
    """(method, path with its <placeholders>) of every route but static files, of those methods."""
    return sorted(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) & set(methods)
    )


def of_people(path: str) -> bool:
    """Whether a browser's cookie counts there."""
    return not path.startswith(MACHINE_PATHS)


def filled(path: str, order: Order, token: str = "") -> str:
    """The path with something real in its places."""
    real = {"token": token or order.token, "sku": PEN, "slug": "pen", "handle": "0" * 64, "signed": "x", "name": "kpay"}
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda place: real.get(place[1], "1"), path)


def ask(client: FlaskClient, method: str, path: str, **more: Any) -> TestResponse:
    """The answer; of a stream only its beginning."""
    answer = client.open(path, method=method, buffered=False, **more)
    if answer.is_streamed and answer.mimetype == "text/event-stream":
        answer.close()
    return answer


def all_rows(*tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that these tables hold (all tables without names), but for MAY_CHANGE."""
    db.session.rollback()
    chosen = [table for table in db.metadata.sorted_tables if not tables or table.name in tables]
    return {
        table.name: sorted(
            tuple(map(repr, row))
            for row in db.session.execute(db.select(*(c for c in table.columns if c.name not in MAY_CHANGE)))
        )
        for table in chosen
    }
