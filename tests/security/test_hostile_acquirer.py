"""Hostile acquirer: none of its addresses becomes a Location, a link, a form's action or a QR code."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from flask import Flask

from shop.core.db import db, transaction
from shop.payments.providers import registry
from shop.payments.records.models import Payment
from tests.payments.kpay_helpers import SETTINGS, a_payment, kpay
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

ADDRESSES = [
    "javascript:alert(document.domain)",
    "file:///etc/passwd",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example/pay",
    "https://evil.example/pay",
    "http://kpay.example@evil.example/",
    "http://kpay.example.evil.example/pay",
    "http://kpay.example/pay\r\nSet-Cookie: settled=stolen",
    "http://kpay.example/pay\n",
    "/orders",
    "",
    7,
    None,
]
IDS = ["../refunds", "pay/../../x", "pay_1?x=1", "pay_1#", "%2e%2e", "..", "", "x" * 300, "pay\r\n1", 7, None, {"a": 1}]


@pytest.fixture
def visitor(app: Flask, unhurried: None) -> Visitor:
    return Visitor(app)


def _at_kpay(app: Flask, **changed: Any) -> list[str]:
    """KPay opens every payment with `changed` in its response; returns the paths requested from now on."""
    app.config.update(SETTINGS)
    requested: list[str] = []

    def there(request: httpx.Request) -> httpx.Response:
        requested.append(request.url.raw_path.decode())
        if request.method != "POST":
            return httpx.Response(404, json={"error": {"code": "not_found"}})
        reference = json.loads(request.content)["reference"]
        return httpx.Response(201, json=a_payment(reference=reference, **changed))

    with app.app_context():
        registry.all_providers()["kpay"] = kpay(there)
    return requested


@pytest.mark.parametrize("address", ADDRESSES, ids=ascii)
def test_an_address_that_is_not_the_acquirers_never_becomes_a_location(
    app: Flask, shop: Shop, visitor: Visitor, address: object
) -> None:
    _at_kpay(app, checkout_url=address)
    path = visitor.order(method="kpay")
    page = visitor.get(path)
    assert page.status_code == 200
    assert "evil.example" not in page.text and "javascript:" not in page.text
    pressed = visitor.post(f"{path}/pay")
    assert (pressed.status_code, pressed.location) == (303, path)


@pytest.mark.parametrize("kind", ["redirect", "form_post", "qr"])
@pytest.mark.parametrize("address", ["javascript:alert(1)", "https://evil.example/pay", "https://a.example\r\nX: y"])
def test_an_address_that_was_stored_unchecked_is_never_followed(
    shop: Shop, visitor: Visitor, kind: str, address: str
) -> None:
    path = visitor.order()
    payment = db.session.scalars(db.select(Payment)).one().id
    with transaction():
        db.session.get_one(Payment, payment).action = {"kind": kind, "url": address, "fields": {}}
    page = visitor.get(path).text
    assert "evil.example" not in page and "javascript:" not in page and "a.example" not in page
    pressed = visitor.post(f"{path}/pay")
    assert (pressed.status_code, pressed.location) == (303, path)
    assert visitor.get(f"{path}/qr.svg").status_code == 404


@pytest.mark.parametrize("theirs", IDS, ids=ascii)
def test_an_id_that_is_none_is_never_kept_and_never_part_of_a_path(app: Flask, shop: Shop, theirs: object) -> None:
    requested = _at_kpay(app, id=theirs, checkout_url="http://kpay.example/pay/1")
    order = shop.order(provider="kpay")
    assert shop.payment(order).provider_data == {}
    shop.turn(seconds=11)
    assert {path.partition("?")[0] for path in requested} == {"/kpay/v1/payments"}


def test_an_id_that_was_stored_before_it_was_checked_is_escaped(app: Flask, shop: Shop) -> None:
    requested = _at_kpay(app)
    order = shop.order(provider="kpay")
    with transaction():
        db.session.get_one(Payment, shop.payment(order).id).provider_data = {"id": "../../v1/refunds?x=/"}
    shop.turn(seconds=11)
    assert requested[-1] == "/kpay/v1/payments/..%2F..%2Fv1%2Frefunds%3Fx%3D%2F"
