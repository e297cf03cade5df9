"""Visitors of the shop, who use its pages as a browser without JavaScript does."""

from __future__ import annotations

import html
import re

import pytest
from flask import Flask
from werkzeug.test import TestResponse

BUYER = {
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


class Visitor:
    """Somebody with a cookie. `post` takes the form's token from the page that was looked at last."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
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
        return self.post("/checkout", {**BUYER, "key": self.field("key"), **changed})

    def order(self, **changed: str) -> str:
        """Buy a kettle as far as the order's page; its path."""
        self.add()
        response = self.checkout(**changed)
        assert response.status_code == 303, response.text
        return str(response.location)

    def cart(self) -> dict[str, int]:
        """What is in the cart, as its page says."""
        page = self.get("/cart").text
        return {sku: int(n) for sku, n in re.findall(r'id="quantity-([^"]+)"[^>]* value="(\d+)"', page)}

    def field(self, name: str) -> str:
        """The value of a field on the page."""
        found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', self.page)
        return html.unescape(found[1]) if found else ""

    def _look(self, response: TestResponse) -> None:
        if response.mimetype == "text/html" and "csrf_token" in response.text:
            self.page = response.text


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
