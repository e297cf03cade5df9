"""The acquirer's report card for our own shop: no findings, and no alert left open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from werkzeug.serving import make_server

from shop.core.db import db
from shop.payments.records.models import WebhookEventRow
from tests.parts.processes import NOWHERE
from tests.payments.trading import CURRENCY, QUIET, Trading
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import Shop


@pytest.fixture
def address(shop: Shop) -> Iterator[str]:
    """Address of the shop."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def trading(shop: Shop, address: str, make_acquirer: Callable[..., RealAcquirer]) -> Trading:
    return Trading(shop, make_acquirer(**QUIET, ACQUIRER_WEBHOOK_TARGETS=f"{address},{NOWHERE}"))


def _open_alerts(shop: Shop) -> str:
    db.session.rollback()
    return str(shop.app.test_cli_runner().invoke(args=["alerts"]).stdout)


@pytest.mark.full
@pytest.mark.parametrize("provider", sorted(CURRENCY))
def test_a_report_card_of_our_own_shop_is_clean_and_leaves_no_open_alert(
    trading: Trading, address: str, provider: str
) -> None:
    shop, acquirer = trading.shop, trading.acquirer
    order = trading.order(provider)
    body = {"dialect": provider, "url": f"{address}/webhooks/{provider}"}
    cards = [acquirer.sim("POST", "/report_card", body) for _ in range(2)]
    if provider in ("kpay", "stripe"):  # for the others the sweep polls, which this test runs
        cards.append(acquirer.sim("POST", "/report_card", body | {"payment": shop.payment(order).id}))
        trading.look(order)
        assert shop.state(order) == "PAID"
    assert [card["findings"] for card in cards] == [[]] * len(cards)
    shop.turn(seconds=70)
    assert "OPS_ORPHAN" not in _open_alerts(shop), "a probe is about nothing of ours, and known as that"
    shop.turn(minutes=11)
    shop.turn(minutes=1)
    assert _open_alerts(shop).strip() == "No alert is open."
    assert "orphan" not in set(db.session.scalars(db.select(WebhookEventRow.outcome)))
    shop.is_sound()
