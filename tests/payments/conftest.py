"""Shared fixtures of payment tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parts.processes import NOWHERE
from tests.payments.trading import QUIET, Trading
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import Shop


@pytest.fixture
def trading(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Trading:
    """The real acquirer; its webhooks to Stripe's address reach no receiver."""
    stripe = {"ACQUIRER_STRIPE_WEBHOOK_URL": f"{NOWHERE}/webhooks/stripe"}
    return Trading(shop, make_acquirer(**QUIET, **stripe))
