"""Queries of the page of reconciliation, which use an index on both databases."""

from __future__ import annotations

import re
from datetime import timedelta

from sqlalchemy import event

from shop.core import clock
from shop.core.db import db
from shop.core.keyset import Position
from shop.integrity import settlement_days
from shop.payments.settlement import discrepancies
from shop.payments.settlement.discrepancies import Found
from tests.shop_fixtures import Shop


def plans(*queries: object) -> list[str]:
    """The plan of each statement; on PostgreSQL without sequential scans and sorts, which small tables would get."""
    is_sqlite, found = db.engine.dialect.name == "sqlite", list[str]()
    sent: list[tuple[str, object]] = []

    def note(_conn: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            sent.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", note)
    for query in queries:
        query()  # type: ignore[operator]
    event.remove(db.engine, "before_cursor_execute", note)
    for statement, values in sent:
        if not is_sqlite:
            db.session.execute(db.text("SET LOCAL enable_seqscan = off"))
            db.session.execute(db.text("SET LOCAL enable_bitmapscan = off"))
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        rows = db.session.connection().exec_driver_sql(f"{explain} {statement}", values)
        found.append("\n".join(str(row[-1]) for row in rows))
    return found


def test_the_days_and_the_oldest_unmatched_lines_are_read_by_an_index(shop: Shop) -> None:
    until = settlement_days.newest_day()
    settled, *_ = plans(lambda: settlement_days.overview(until))
    assert "ix_settlement_lines_day" in settled, settled
    assert re.search(r"\(provider=\? AND day>\? AND day<\?\)|Index Cond: .*provider.*day >=", settled), settled
    first, later = plans(settlement_days.unmatched, lambda: settlement_days.unmatched(Position(clock.now(), 3)))
    for plan in (first, later):
        assert "ix_discrepancies_unmatched" in plan and "TEMP B-TREE" not in plan and "Sort" not in plan, plan
    assert "SEARCH discrepancies" in later or "Index Cond" in later, later


def test_pages_of_unmatched_lines_are_complete_when_many_were_opened_at_once(shop: Shop) -> None:
    day = clock.now().date() - timedelta(days=1)
    lost = [Found("unknown", f"line-{n}", None, None, 500, "TWD") for n in range(settlement_days.LISTED + 5)]
    discrepancies.note("kpay", day, lost, set())
    first = settlement_days.unmatched()
    second = settlement_days.unmatched(first.after)
    about = {one.row.about for page in (first, second) for one in page.items}
    assert (len(second.items), about, second.after) == (5, {one.about for one in lost}, None)
