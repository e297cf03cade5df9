"""Days of settlement with the real acquirer: providers, fees, and lines of their files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.payments.trading import QUIET, Trading
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import Shop

PROVIDERS = ("kpay", "paypay", "stripe", "tpay")
FEES = {"kpay": 3360, "tpay": 3300, "paypay": 111, "stripe": 110}
"""Fee of a kettle, by provider."""


@pytest.fixture
def trading(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Iterator[Trading]:
    day = Trading(shop, make_acquirer(**QUIET))
    yield day
    shop.sweep()


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def lines_of(trading: Trading, provider: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(trading.file(provider))
    return found
