"""Changes outside of a writing transaction: lost on both databases, also where reading ends with COMMIT."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import create_engine, event, text, update
from sqlalchemy.exc import OperationalError

from shop.catalogue.models import Category, Product
from shop.core.db import db, end_reading, transaction
from tests.shop_fixtures import KETTLE, Shop


def flushed() -> None:
    db.session.get_one(Product, KETTLE).position = 77
    db.session.scalar(db.select(Category.slug))


CHANGES: dict[str, Callable[[], object]] = {
    "flush": flushed,
    "update": lambda: db.session.execute(update(Product).values(position=77)),
    "text": lambda: db.session.execute(text("UPDATE products SET position = 77")),
}


def position() -> int:
    db.session.rollback()
    return db.session.get_one(Product, KETTLE).position


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_outside_of_a_transaction_is_lost_and_fails_in_tests(app: Flask, shop: Shop, kind: str) -> None:
    CHANGES[kind]()
    with pytest.raises(RuntimeError, match="outside of a transaction"):
        end_reading()
    assert position() != 77
    CHANGES[kind]()
    with pytest.raises(RuntimeError, match="outside of a transaction"), transaction():
        pass
    assert position() != 77


def test_in_production_it_is_lost_without_a_failing_page(
    app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "testing", False)
    CHANGES["update"]()
    with transaction():
        db.session.execute(update(Product).values(summary="Written"))
    assert position() != 77
    assert db.session.get_one(Product, KETTLE).summary == "Written"


def test_an_object_that_has_the_values_that_it_had_is_no_change(shop: Shop) -> None:
    product = db.session.get_one(Product, KETTLE)
    before, product.position = product.position, 77
    product.position = before
    db.session.scalar(db.select(Category.slug))
    end_reading()


def test_the_end_of_reading_needs_no_connection_where_nothing_was_read(shop: Shop) -> None:
    taken: list[object] = []

    def take(*_: object) -> None:
        taken.append(1)

    db.session.rollback()
    db.session.begin()
    event.listen(db.engine, "checkout", take)
    end_reading()
    event.remove(db.engine, "checkout", take)
    assert not taken and not db.session().in_transaction()


def test_objects_keep_what_was_read_after_the_end_of_a_request(shop: Shop) -> None:
    product = db.session.get_one(Product, KETTLE)
    shop.app.test_client().get("/products/kettle")
    with shop.app.app_context():
        other = db.session.get_one(Product, KETTLE)
    assert product.slug == other.slug == "kettle"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_transaction_can_follow_a_query_whose_connection_was_cut(shop: Shop, database_url: str) -> None:
    process = db.session.scalar(text("SELECT pg_backend_pid()"))
    server = create_engine(database_url)
    with server.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
    server.dispose()
    with pytest.raises(OperationalError):
        db.session.scalar(db.select(Product.sku))
    with transaction():
        assert db.session.scalar(db.select(Product.sku).limit(1))
