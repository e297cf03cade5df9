"""How tests are shared out between the workers of pytest-xdist (`--dist loadgroup`, see bin/test)."""

from __future__ import annotations

import pytest

BROWSER_FIXTURES = {"page", "context", "browser", "new_context"}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist turns the marks into groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps a file together, for its fixtures' sake, and all browser tests on one worker: two browsers are slow."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            browses = BROWSER_FIXTURES & set(getattr(item, "fixturenames", ()))
            item.add_marker(pytest.mark.xdist_group("browser" if browses else str(item.path)))
