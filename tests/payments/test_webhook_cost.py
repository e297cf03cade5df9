"""Statements and round trips of a webhook."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import pq
from sqlalchemy import event

from shop.core.db import db
from tests.parts.statements import statements
from tests.shop_fixtures import PEN, Shop

MOST_STATEMENTS, MOST_TRIPS = 13, 3


@contextmanager
def round_trips(path: Any) -> Iterator[list[int]]:
    """Count the client's waits for the server: one after each Query and each Sync that libpq traces."""
    found: list[int] = []
    with path.open("wb") as file:

        def trace(driver: Any, *_: Any) -> None:
            driver.pgconn.trace(file.fileno())
            driver.pgconn.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)

        event.listen(db.engine, "checkout", trace)
        yield found
        event.remove(db.engine, "checkout", trace)
        db.engine.dispose()
        os.fsync(file.fileno())
    sent = [line.split("\t")[2:3] for line in path.read_text(errors="replace").splitlines() if line.startswith("F\t")]
    found.append(sum(kind in (["Query"], ["Sync"]) for kind in sent))


def paid_there(shop: Shop) -> Any:
    payment = shop.payment(shop.order((PEN, 1)))
    shop.acquirer.capture(payment.id)
    db.session.rollback()
    return payment.id


def test_a_webhook_that_pays_an_order_takes_13_statements(shop: Shop) -> None:
    shop.deliver_webhook(paid_there(shop))  # statements are compiled
    payment = paid_there(shop)
    with statements() as sent:
        assert shop.deliver_webhook(payment) == (200, "applied")
    assert len(sent) <= MOST_STATEMENTS, "\n".join(sent)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_webhook_that_pays_an_order_takes_3_round_trips(shop: Shop, tmp_path: Any) -> None:
    for _ in range(6):  # the driver prepares statements after a few executions
        shop.deliver_webhook(paid_there(shop))
    payment = paid_there(shop)
    with round_trips(tmp_path / "trace") as trips:
        assert shop.deliver_webhook(payment) == (200, "applied")
    assert 0 < trips[0] <= MOST_TRIPS, (tmp_path / "trace").read_text(errors="replace")


def test_a_webhook_locks_store_credit_before_stock_as_placing_does(shop: Shop) -> None:
    ada = shop.customer(credit=5000)
    payment = shop.payment(shop.order((PEN, 1), customer=ada, credit=5000))
    shop.acquirer.capture(payment.id)
    db.session.rollback()
    with statements() as sent:
        assert shop.deliver_webhook(payment.id) == (200, "applied")
    changed = [
        table for sql in sent for table in ("store_credits", "stock") if sql.lstrip(" (").startswith(f"UPDATE {table} ")
    ]
    assert changed == ["store_credits", "stock"], "\n".join(sent)
