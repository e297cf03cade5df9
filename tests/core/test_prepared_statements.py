"""Statements that requests repeat are prepared on PostgreSQL, although most requests only read."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text, update

from shop.catalogue.models import Product
from shop.core.db import db, end_reading, in_transaction, transaction
from tests.shop_fixtures import KETTLE, Shop

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
OFTEN = 8
"""Requests after which psycopg has prepared a statement that each of them sends."""


def prepared() -> list[str]:
    found = list(db.session.scalars(text("SELECT statement FROM pg_prepared_statements")))
    end_reading()
    return found


def test_pages_that_only_read_share_prepared_statements(app: Flask, shop: Shop) -> None:
    client = app.test_client()
    for _ in range(OFTEN):
        assert client.get("/products/kettle").status_code == 200
    assert any("stock" in statement for statement in prepared())


def test_a_transaction_that_writes_after_reading_keeps_prepared_statements(app: Flask, shop: Shop) -> None:
    with app.app_context():
        for _ in range(OFTEN):
            db.session.scalars(db.select(Product.sku)).all()
            with transaction():
                db.session.execute(update(Product).where(Product.sku == KETTLE).values(position=Product.position))
        assert any("products" in statement for statement in prepared())


def test_a_change_that_was_not_committed_is_lost_at_the_end_of_reading(app: Flask, shop: Shop) -> None:
    with app.app_context():
        with pytest.raises(ZeroDivisionError), transaction():
            db.session.execute(update(Product).where(Product.sku == KETTLE).values(position=77))
            end_reading()
            raise ZeroDivisionError
        assert not in_transaction()
        assert db.session.scalar(db.select(Product.position).where(Product.sku == KETTLE)) != 77
