"""Whole journeys in a real browser, through the real processes: what a person would try, clicked."""

import pytest

from tests.parts import PARTS

pytest.register_assert_rewrite(*PARTS, "e2e.buyers", "e2e.control", "e2e.pages", "e2e.watching")
