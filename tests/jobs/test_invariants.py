"""Continuous invariant checks: the clock checks changed orders, and reports each violation once."""

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
        "webhook_events",
    }
)
SMALL = ("INDEX ix_", "INDEX uq_payments_one_open")
"""Indexes of open or due rows, which are few whatever was sold before."""


@pytest.fixture
def checked_shop(shop: Shop) -> Iterator[Shop]:
    """A shop whose clock has looked once; rows corrupted by a test are repaired afterwards."""
    invariants.check_due()
    yield shop


def paid(shop: Shop) -> int:
    order = shop.order((PEN, 1))
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    return order.id


def execute(statement: str, order_id: int) -> None:
    db.session.execute(db.text(statement), {"order": order_id})
    db.session.commit()


def raised() -> list[str]:
    db.session.rollback()
    found = db.session.scalars(db.select(Alert.subject).where(Alert.rule == "OPS_INVARIANT").order_by(Alert.subject))
    return list(found)


def test_a_violation_found_by_two_checks_is_reported_once(checked_shop: Shop) -> None:
    order_id = paid(checked_shop)
    execute("UPDATE reservations SET state = 'HELD' WHERE order_id = :order", order_id)
    invariants.check_due()
    assert raised() == [], "it may be on its way"
    for _ in range(3):
        invariants.check_due()
    assert raised() == ["2 reservations"]
    execute("UPDATE reservations SET state = 'SOLD' WHERE order_id = :order", order_id)
    invariants.check_due()
    assert raised() == ["2 reservations"]


def test_a_violation_repaired_before_the_second_check_is_not_reported(checked_shop: Shop) -> None:
    order_id = paid(checked_shop)
    execute("UPDATE orders SET event_seq = event_seq + 1 WHERE id = :order", order_id)
    invariants.check_due()
    execute("UPDATE orders SET event_seq = event_seq - 1 WHERE id = :order", order_id)
    invariants.check_due()
    invariants.check_due()
    assert raised() == []


def test_an_order_that_has_not_changed_is_not_looked_at(checked_shop: Shop) -> None:
    order_id = paid(checked_shop)
    for _ in range(2):
        invariants.check_due()
    execute("UPDATE orders SET event_seq = event_seq + 1 WHERE id = :order", order_id)
    for _ in range(3):
        invariants.check_due()
    assert raised() == []
    execute("UPDATE orders SET event_seq = event_seq - 1 WHERE id = :order", order_id)


def scans(do: Callable[[], object]) -> tuple[int, set[str]]:
    """The number of queries of `do`, and those that SQLite answers by scanning a growing table."""
    requested: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.lstrip().startswith("SELECT"):
            requested.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", note)
    do()
    event.remove(db.engine, "before_cursor_execute", note)
    found = set()
    for statement, values in requested:
        plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
        steps = [row[3] for row in plan if row[3].startswith("SCAN ") and row[3].split()[1] in GROW]
        found |= {f"{step}: {statement}" for step in steps if not any(small in step for small in SMALL)}
    db.session.rollback()
    return len(requested), found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_check_scans_no_table_that_grows_with_sales(checked_shop: Shop) -> None:
    """SQLite's plans do not depend on the number of rows here."""
    paid(checked_shop)
    requested, from_end_to_end = scans(invariants.check_due)
    assert requested > 12
    assert from_end_to_end == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_clock_finds_what_is_due_along_indexes(checked_shop: Shop) -> None:
    paid(checked_shop)
    requested, from_end_to_end = scans(lambda: [work.due() for work in WORK])
    assert requested >= len(WORK) - 1
    assert from_end_to_end == set()
