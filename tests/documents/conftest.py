"""A shop with charges, and a customer with a browser."""

from __future__ import annotations

import pytest
from flask import Flask

from shop.core.db import db
from shop.core.money import Money
from shop.documents import find
from shop.documents.models import Document
from shop.orders.models import Order
from shop.payments.refunds import requests
from tests.pricing.conftest import priced
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

__all__ = ["priced"]


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app)


def documents(order: Order) -> list[Document]:
    """The documents of an order, by number."""
    db.session.rollback()
    return find.of_order(order.id)


def stated(order: Order) -> list[tuple[str, int, int]]:
    """Kind, total and tax of the documents of an order."""
    return [(one.kind.value, one.total_amount, one.tax_amount) for one in documents(order)]


def refund(shop: Shop, order: Order, amount: int) -> str:
    """Refund an amount of a paid order; returns the refund's id."""
    found = requests.request(shop.capture(order), Money(amount, order.currency), reason="", by=shop.sam).id
    shop.sweep()
    return found
