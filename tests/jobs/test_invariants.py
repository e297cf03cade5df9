"""The clock looks at what must always hold, where something has changed, and says once what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event

from shop.alerts.models import Alert
from shop.core.db import db
from shop.jobs import invariants
from shop.jobs.schedule import WORK
from tests.shop_fixtures import PEN, Shop

GROW = frozenset(
    {
        "orders",
        "order_events",
        "payments",
        "captures",
        "refunds",
        "sagas",
        "journals",
        "ledger_entries",
        "outbox",
        "inbox",
    }
)
SMALL = ("INDEX ix_", "INDEX uq_payments_one_open")
"""Indexes of what is open or due, which is little whatever was sold before."""


@pytest.fixture
def looks(shop: Shop) -> Iterator[Shop]:
    """A shop whose clock has looked once; what a test breaks is put right afterwards."""
    invariants.look()
    yield shop


def paid(shop: Shop) -> int:
    order = shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id)
    shop.hear(shop.payment(order))
    return order.id


def tell(statement: str, order_id: int) -> None:
    db.session.execute(db.text(statement), {"order": order_id})
    db.session.commit()


def raised() -> list[str]:
    db.session.rollback()
    found = db.session.scalars(db.select(Alert.subject).where(Alert.rule == "OPS_INVARIANT").order_by(Alert.subject))
    return list(found)


def test_what_is_broken_at_two_looks_is_said_once(looks: Shop) -> None:
    order_id = paid(looks)
    tell("UPDATE reservations SET state = 'HELD' WHERE order_id = :order", order_id)
    invariants.look()
    assert raised() == [], "it may be on its way"
    for _ in range(3):
        invariants.look()
    assert raised() == ["2 reservations"]
    tell("UPDATE reservations SET state = 'SOLD' WHERE order_id = :order", order_id)
    invariants.look()
    assert raised() == ["2 reservations"]


def test_what_was_put_right_before_the_second_look_is_not_said(looks: Shop) -> None:
    order_id = paid(looks)
    tell("UPDATE orders SET event_seq = event_seq + 1 WHERE id = :order", order_id)
    invariants.look()
    tell("UPDATE orders SET event_seq = event_seq - 1 WHERE id = :order", order_id)
    invariants.look()
    invariants.look()
    assert raised() == []


def test_an_order_that_has_not_changed_is_not_looked_at(looks: Shop) -> None:
    order_id = paid(looks)
    for _ in range(2):
        invariants.look()
    tell("UPDATE orders SET event_seq = event_seq + 1 WHERE id = :order", order_id)
    for _ in range(3):
        invariants.look()
    assert raised() == []
    tell("UPDATE orders SET event_seq = event_seq - 1 WHERE id = :order", order_id)


def scans(do: Callable[[], object]) -> tuple[int, set[str]]:
    """How many questions `do` asks, and which of them SQLite answers by reading a table that grows from end to end."""
    asked: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.lstrip().startswith("SELECT"):
            asked.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", note)
    do()
    event.remove(db.engine, "before_cursor_execute", note)
    found = set()
    for statement, values in asked:
        plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
        steps = [row[3] for row in plan if row[3].startswith("SCAN ") and row[3].split()[1] in GROW]
        found |= {f"{step}: {statement}" for step in steps if not any(small in step for small in SMALL)}
    db.session.rollback()
    return len(asked), found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_look_reads_no_table_of_what_was_sold_from_end_to_end(looks: Shop) -> None:
    """SQLite's plans are those that do not depend on how much there is."""
    paid(looks)
    asked, from_end_to_end = scans(invariants.look)
    assert asked > 12
    assert from_end_to_end == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_clock_finds_what_is_due_along_indexes(looks: Shop) -> None:
    paid(looks)
    asked, from_end_to_end = scans(lambda: [work.due() for work in WORK])
    assert asked >= len(WORK) - 1
    assert from_end_to_end == set()
