"""Looking costs what has changed, and not what there is: every question goes along an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from shop.alerts import lookouts, watch
from shop.core import clock
from shop.core.db import db
from shop.payments import states
from shop.payments.provider import Facts
from shop.payments.settle import settle
from tests.shop_fixtures import PEN, Shop

SMALL = ("alerts", "watch_list", "lookouts", "provider_health", "discrepancies", "clock_offset", "CONSTANT")
"""Tables whose open part is small whatever the shop has sold, and what is no table."""


@pytest.fixture
def asked(shop: Shop) -> Iterator[list[tuple[str, Any]]]:
    """Statements and their values, as the database gets them."""
    statements: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", note)
    yield statements
    event.remove(db.engine, "before_cursor_execute", note)


def whole_tables(statement: str, values: Any) -> list[str]:
    """What SQLite would read from end to end for a statement."""
    plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    steps = [row[3] for row in plan if row[3].startswith("SCAN ")]
    return [step for step in steps if "INDEX ix_" not in step and step.split()[1] not in SMALL]


def test_no_look_reads_a_table_from_end_to_end(shop: Shop, asked: list[tuple[str, Any]]) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("SQLite's plans are those that do not depend on how much there is")
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    settle(payment.id, Facts(states.CAPTURED), "webhook")
    shop.hear("NOBODYS-PAYMENT")
    shop.receive({}, b"forged")
    shop.wait(minutes=31)
    asked.clear()
    lookouts.look()
    watch.put(order.id, clock.now())
    watch.due()
    watch.look()
    assert len(asked) > 25
    scans = {step: statement for statement, values in list(asked) for step in whole_tables(statement, values)}
    assert scans == {}
    shop.sweep()


def test_a_plan_that_reads_a_whole_table_is_seen(shop: Shop) -> None:
    if db.engine.dialect.name == "sqlite":
        assert whole_tables("SELECT id FROM orders WHERE name = ?", ("x",)) == ["SCAN orders"]
