"""Distribution of tests among the workers of pytest-xdist with `--dist loadfile` (see bin/test)."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling, LoadScopeScheduling

BROWSER_TESTS = "e2e/"


class Sharing(LoadFileScheduling):
    """A file stays together for its fixtures, and so do the browser tests, which have one demo and one Chromium."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER_TESTS if nodeid.startswith(BROWSER_TESTS) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """pytest-xdist asks for who gives out the tests; None leaves it to pytest-xdist."""
    return Sharing(config, log) if config.getvalue("dist") == "loadfile" else None


LONGEST = (
    BROWSER_TESTS,
    "tests/architecture/test_types",
    "tests/chaos/",
    "tests/deploy/",
    "tests/checkout/test_crashes",
    "tests/test_runner",
    "tests/faults/",
    "tests/payments/",
    "tests/acquirer/",
    "tests/checkout/",
)
"""What takes longest, longest first."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that in the end no worker waits long for another."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONGEST])
