"""Acquirer that sends webhooks of PayPay to our receiver, and its merchant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acquirer.conftest import Receiver, World
from tests.acquirer.paypay.client import Merchant


@pytest.fixture
def acquirer(make_world: Callable[..., World], receiver: Receiver) -> World:
    """An acquirer that sends webhooks to our receiver, without the query limit."""
    return make_world(ACQUIRER_PAYPAY_WEBHOOK_URL=receiver.url, ACQUIRER_PAYPAY_QUERIES_PER_SECOND="0")


@pytest.fixture
def merchant(acquirer: World) -> Merchant:
    return Merchant(acquirer)
