"""Fixtures for all tests: the real parts of `tests/parts`, and every module `tests/*_fixtures`."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, current_app, has_app_context

from tests.parts import PARTS

_OWN = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("*_fixtures*") if path.suffix in ("", ".py"))

os.environ["SETTLED_ENV"] = "development"
"""For the acquirers and processes that tests start; without it everything is production."""

pytest_plugins = [*PARTS, *_OWN]
gc.disable()  # until the tests are collected: what is imported stays


def pytest_collection_finish() -> None:
    """Leave modules and tests, which stay to the end, out of all garbage collections."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


@pytest.fixture(autouse=True)
def _no_context_is_left() -> Iterator[None]:
    """An app context that a test leaves behind answers for the apps of all later tests."""
    before = _app_of_context()
    yield
    assert _app_of_context() is before, "this test has left an app context behind"


def _app_of_context() -> Flask | None:
    return current_app._get_current_object() if has_app_context() else None  # type: ignore[attr-defined]
