"""Distribution of tests among the workers of pytest-xdist with `--dist loadfile` (see bin/test)."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling, LoadScopeScheduling

BROWSER_TESTS = "e2e"


class Sharing(LoadFileScheduling):
    """A file stays together, for its fixtures' sake, and so do all browser tests: one demo, one Chromium."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.partition("/")[0]
        return folder if folder == BROWSER_TESTS else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """pytest-xdist asks for who gives out the tests; None leaves it to pytest-xdist."""
    return Sharing(config, log) if config.getvalue("dist") == "loadfile" else None


LONGEST = (
    f"{BROWSER_TESTS}/",
    "tests/chaos/",
    "tests/payments/",
    "tests/acquirer/",
    "tests/test_runner",
    "tests/checkout/",
)
"""What takes longest, longest first; the browser tests alone take a worker half of its time."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that in the end no worker waits long for another."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONGEST])
