"""Fixtures for all tests: the real parts of `tests/parts`, and every module `tests/*_fixtures`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parts import PARTS

_OWN = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("*_fixtures*") if path.suffix in ("", ".py"))

pytest_plugins = [*PARTS, *_OWN]

NO_DATABASE_DECIDES = re.compile(
    r"tests/web/test_(?!cart|checkout)"
    r"|tests/live/test_dev_clock"
    r"|tests/payments/test_(kpay|stripe|tpay|paypay)\.py"
    r"|tests/(payments/test_(reconcile|disputes)|reports/test_both_sides)\.py.*\W(paypay|stripe|tpay)\W"
    r"|tests/acquirer/test_(kpay_api|paypay|tpay|stripe|pages|scenarios|report_card|dashboard|cards|challenge|settlement)"
    r"|tests/acquirer/test_(signing|targets|three_days)"
)
"""Pages and wire formats, where the kind of database makes no difference: on SQLite, and on PostgreSQL too with
`--every-database`. What is decided by a database always runs on both.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-database", action="store_true", help="run pages and wire formats on PostgreSQL too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--every-database"):
        return
    left_out = {i for i in items if "postgresql" in i.nodeid and NO_DATABASE_DECIDES.match(i.nodeid)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
