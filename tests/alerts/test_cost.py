"""Cost of the alert queries: proportional to the changes, by index, independent of the size of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from shop.alerts import conditions, watcher
from shop.core import clock
from shop.core.db import db
from shop.payments.providers.interface import Facts
from shop.payments.providers.types import PaymentState
from shop.payments.updates.apply import apply
from shop.payments.updates.snapshot import PaymentUpdate
from tests.shop_fixtures import PEN, Shop

SMALL = ("alerts", "watch_list", "condition_schedules", "provider_health", "discrepancies", "clock_offset", "CONSTANT")
"""Tables whose open part is always small, and names that are no tables."""


@pytest.fixture
def requested(shop: Shop) -> Iterator[list[tuple[str, Any]]]:
    """Statements and their values, as sent to the database."""
    statements: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", note)
    yield statements
    event.remove(db.engine, "before_cursor_execute", note)


def whole_tables(statement: str, values: Any) -> list[str]:
    """Tables that SQLite would scan in full for a statement."""
    plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    steps = [row[3] for row in plan if row[3].startswith("SCAN ")]
    return [step for step in steps if "INDEX ix_" not in step and step.split()[1] not in SMALL]


ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""Its plans are those that do not depend on how much there is."""


@ON_SQLITE
def test_no_check_reads_a_whole_table(shop: Shop, requested: list[tuple[str, Any]]) -> None:
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    apply(PaymentUpdate(payment.id, Facts(PaymentState.CAPTURED), "webhook"))
    shop.deliver_webhook("P000000000000N0B0DYS")
    shop.receive({}, b"forged")
    shop.wait(minutes=31)
    requested.clear()
    conditions.check_due()
    watcher.put(order.id, clock.now())
    watcher.due()
    watcher.check_due()
    assert len(requested) > 25
    scans = {step: statement for statement, values in list(requested) for step in whole_tables(statement, values)}
    assert scans == {}
    shop.sweep()


@ON_SQLITE
def test_a_plan_that_reads_a_whole_table_is_seen(shop: Shop) -> None:
    assert whole_tables("SELECT id FROM orders WHERE name = ?", ("x",)) == ["SCAN orders"]
