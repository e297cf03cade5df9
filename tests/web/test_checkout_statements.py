"""SQL statements and commits of placing an order on the web, counted on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from shop.core.db import db
from tests.shop_fixtures import KETTLE, PEN, Shop
from tests.web.conftest import Visitor

READ_NOW_AND_THEN = ("clock_offset", "provider_health")
STATEMENTS, COMMITS = 21, 3
"""Limits for one POST /checkout by a guest with one product in the cart."""


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """Record the statements, COMMIT among them. Left out: BEGIN, which only SQLite is sent as a
    statement, and what a process reads at most twice a second: the state of the circuit breaker and, in development,
    the clock's offset.
    """
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN") and not any(name in statement for name in READ_NOW_AND_THEN):
            found.append(statement)

    def commit(_connection: Any) -> None:
        found.append("COMMIT")

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", commit)
    yield found
    event.remove(engine, "before_cursor_execute", note)
    event.remove(engine, "commit", commit)


def press(visitor: Visitor) -> list[str]:
    """The statements of the button "Place order and pay"."""
    visitor.get("/checkout")
    with counted(visitor.client.application) as found:
        assert visitor.post("/checkout", visitor.filled()).status_code == 303
    return found


@pytest.mark.usefixtures("shop")
def test_placing_an_order_needs_few_statements_and_commits(visitor: Visitor) -> None:
    visitor.order()
    visitor.add(KETTLE)
    found = press(visitor)
    assert found.count("COMMIT") <= COMMITS, "\n".join(found)
    assert len(found) - found.count("COMMIT") <= STATEMENTS, "\n".join(found)


def test_each_further_product_needs_one_more_statement(visitor: Visitor, shop: Shop) -> None:
    """The conditional UPDATE of its stock; its other rows are inserted together with those of the first."""
    visitor.order()
    visitor.add(KETTLE)
    one = press(visitor)
    visitor.add(KETTLE)
    visitor.add(PEN)
    two = press(visitor)
    assert len(two) == len(one) + 1, "\n".join(two)
