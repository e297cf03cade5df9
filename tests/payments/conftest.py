"""Shared fixtures of payment tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parts.processes import NOWHERE
from tests.payments.paypay_helpers import Japan
from tests.payments.tpay_helpers import Taiwan
from tests.payments.trading import QUIET, Trading
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import Shop


@pytest.fixture
def trading(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Trading:
    """The real acquirer; its webhooks to Stripe's address reach no receiver."""
    stripe = {"ACQUIRER_STRIPE_WEBHOOK_URL": f"{NOWHERE}/webhooks/stripe"}
    return Trading(shop, make_acquirer(**QUIET, **stripe))


@pytest.fixture
def taiwan(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Taiwan:
    return Taiwan(shop, make_acquirer(ACQUIRER_TPAY_WEBHOOK_URL="", ACQUIRER_WEBHOOK_TARGETS=NOWHERE))


@pytest.fixture
def japan(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Japan:
    return Japan(shop, make_acquirer(ACQUIRER_PAYPAY_WEBHOOK_URL="", ACQUIRER_PAYPAY_QUERIES_PER_SECOND="0"))
