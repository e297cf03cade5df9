"""Statistics of SQLite's planner, which the clock collects."""

from __future__ import annotations

import pytest

from shop.core.db import Base, db
from shop.jobs import sqlite_statistics, work
from tests.shop_fixtures import KETTLE, Shop


def tables_with_statistics() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(db.text("SELECT tbl FROM sqlite_stat1")))


def test_the_clock_collects_statistics_of_tables_with_many_rows(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    if db.engine.dialect.name == "postgresql":
        assert sqlite_statistics.due() == []
        return
    monkeypatch.setattr(sqlite_statistics, "EVERY", -1.0)
    assert work.batch("planner", sqlite_statistics.due()) == 1
    assert tables_with_statistics() == set(), "of small ones they would soon be wrong"
    monkeypatch.setattr(sqlite_statistics, "SMALL", 1)
    sqlite_statistics.collect()
    found = tables_with_statistics()
    assert {"products", "stock"} <= found <= set(Base.metadata.tables)
    shop.order((KETTLE, 1))
    shop.is_sound()


def test_statistics_are_due_again_after_some_hours(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    if db.engine.dialect.name == "postgresql":
        return
    sqlite_statistics.collect()
    assert sqlite_statistics.due() == []
    monkeypatch.setattr(sqlite_statistics, "EVERY", -1.0)
    assert sqlite_statistics.due() == [0]
