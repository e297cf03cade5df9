"""Browser tests of complete customer journeys, through the real processes."""

import pytest

from tests.parts import PARTS

pytest.register_assert_rewrite(*PARTS, "e2e.customers", "e2e.control", "e2e.pages", "e2e.console_checks")
