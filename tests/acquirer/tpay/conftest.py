"""Acquirer whose webhooks of tpay are acknowledged, and its merchant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acquirer.conftest import Receiver, World
from tests.acquirer.tpay.client import Merchant


@pytest.fixture
def world(make_world: Callable[..., World], receiver: Receiver) -> World:
    receiver.answer = (200, {}, b"1|OK")
    return make_world(ACQUIRER_TPAY_WEBHOOK_URL=receiver.url)


@pytest.fixture
def tpay(world: World) -> Merchant:
    return Merchant(world)
