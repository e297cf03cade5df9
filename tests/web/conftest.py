"""Visitors of the shop, who use its pages as a browser without JavaScript does."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shop.catalogue.models import Product
from shop.core.db import db, transaction
from shop.orders import links
from shop.orders.models import Order

CUSTOMER = {
    "email": "ada@example.com",
    "name": "Ada Lin",
    "line1": "12 Yongkang St",
    "line2": "",
    "city": "Taipei",
    "postcode": "106",
    "country": "TW",
    "method": "fakepay",
}
HTMX = {"HX-Request": "true"}


class Browser(FlaskClient):
    """Each request is independent, as on a server: nothing of the last one is left in `g`."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        with self.application.app_context():
            return super().open(*args, **kwargs)


class Visitor:
    """A browser with a cookie. `post` takes the form's token from the last page."""

    def __init__(self, app: Flask) -> None:
        self.client = Browser(app, Response, use_cookies=True)
        self.page = ""

    def get(self, path: str, **kwargs: object) -> TestResponse:
        response = self.client.get(path, **kwargs)
        self._look(response)
        return response

    def post(self, path: str, form: dict[str, object] | None = None, **kwargs: object) -> TestResponse:
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.page)
        response = self.client.post(path, data={"csrf_token": token[1] if token else "", **(form or {})}, **kwargs)
        self._look(response)
        return response

    def add(self, sku: str = "TEST-KETTLE", quantity: object = 1) -> TestResponse:
        """Add to cart from the product's page."""
        self.get(f"/products/{sku.removeprefix('TEST-').lower()}")
        return self.post("/cart/lines", {"sku": sku, "quantity": quantity})

    def checkout(self, **changed: str) -> TestResponse:
        """Fill in the checkout and press the button; None leaves a field out."""
        self.get("/checkout")
        return self.post("/checkout", {**self.filled(), **changed})

    def filled(self) -> dict[str, object]:
        """The checkout form on the page, filled in: hidden fields and contact data."""
        return {**{name: self.field(name) for name in ("key", "terms", "shown", "customer")}, **CUSTOMER}

    def order(self, **changed: str) -> str:
        """Place an order for a kettle; the path of its page."""
        self.add()
        response = self.checkout(**changed)
        assert response.status_code == 303, response.text
        return str(response.location)

    def cart(self) -> dict[str, int]:
        """Contents of the cart page."""
        page = self.get("/cart").text
        return {sku: int(n) for sku, n in re.findall(r'id="quantity-([^"]+)"[^>]* value="(\d+)"', page)}

    def field(self, name: str) -> str:
        """The value of a field on the page."""
        found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', self.page)
        return html.unescape(found[1]) if found else ""

    def _look(self, response: TestResponse) -> None:
        if response.mimetype == "text/html" and "csrf_token" in response.text:
            self.page = response.text


def return_path(order: Order) -> str:
    """The address to which the acquirer redirects the order's customer."""
    return f"/return/{links.return_token(order.number, order.token)}"


def reprice(sku: str, amount: int) -> None:
    """Change a price in TWD, in minor units."""
    with transaction():
        product = db.session.scalars(db.select(Product).where(Product.sku == sku)).one()
        product.prices = {**product.prices, "TWD": amount}


def title(response: TestResponse) -> str:
    found = re.search(r"<title>(.*?)</title>", response.text, re.S)
    return html.unescape(found[1]) if found else ""


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    app.config["RATE_LIMITS"] = False
    return Visitor(app)


@pytest.fixture
def other_visitor(app: Flask) -> Visitor:
    return Visitor(app)
