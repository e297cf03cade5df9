"""Fixtures for all tests: the real parts of `tests/parts`, and every module `tests/*_fixtures`."""

from __future__ import annotations

from pathlib import Path

from tests.parts import PARTS

_OWN = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("*_fixtures*") if path.suffix in ("", ".py"))

pytest_plugins = [*PARTS, *_OWN]
