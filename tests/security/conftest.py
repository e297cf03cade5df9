"""A shop with customers and guests, all its routes, and a comparison of all its rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shop.accounts import signin
from shop.core.actor import Actor
from shop.core.db import db
from shop.http_kit.request_guard import MACHINE_PATHS
from shop.orders.models import Order
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor

PASSWORD = "correct horse battery staple"
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
MAY_CHANGE = frozenset({"next_check_at", "returned_at", "checks", "polled_at", "answered_at", "watched_until"})
"""Columns of a payment that a view of its order may change: they only schedule its next poll."""


@pytest.fixture
def unhurried(app: Flask) -> None:
    """Without rate limits, because these tests send more requests than people do."""
    app.config["RATE_LIMITS"] = False


class People:
    """A guest with an order, and customers with accounts; `client` is a browser, `order` its order."""

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
        """A signed-in customer."""
        with self.shop.app.app_context():
            signin.create(f"{name}@example.com", name.capitalize(), PASSWORD, roles, by=Actor.operator())
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
    """(method, path with its <placeholders>) of every route with those methods, except static files."""
    return sorted(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) & set(methods)
    )


def of_people(path: str) -> bool:
    """True for paths where the browser's cookie counts."""
    return not path.startswith(MACHINE_PATHS)


def filled(path: str, order: Order, token: str = "") -> str:
    """The path with its placeholders filled in."""
    real = {"token": token or order.token, "sku": PEN, "slug": "pen", "handle": "0" * 64, "signed": "x", "name": "kpay"}
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda place: real.get(place[1], "1"), path)


def send(client: FlaskClient, method: str, path: str, **more: Any) -> TestResponse:
    """The response; of a stream only its beginning."""
    answer = client.open(path, method=method, buffered=False, **more)
    if answer.is_streamed and answer.mimetype == "text/event-stream":
        answer.close()
    return answer


def all_rows(*tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of these tables (by default of all), except MAY_CHANGE."""
    db.session.rollback()
    chosen = [table for table in db.metadata.sorted_tables if not tables or table.name in tables]
    return {
        table.name: sorted(
            tuple(map(repr, row))
            for row in db.session.execute(db.select(*(c for c in table.columns if c.name not in MAY_CHANGE)))
        )
        for table in chosen
    }
