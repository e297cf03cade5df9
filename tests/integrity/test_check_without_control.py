"""`flask check` against acquirers that have no control API: by query and by settlement file, without CONTROL_TOKEN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shop.core.db import db
from shop.integrity import invariants
from shop.integrity.invariants import acquirer as rule
from shop.integrity.invariants.scope import EVERYTHING
from shop.payments.providers import registry
from tests.payments.trading import QUIET, Trading
from tests.real_acquirer_fixtures import TOKEN, RealAcquirer
from tests.shop_fixtures import Shop


class Wire:
    """Requests to the acquirer: paths, and headers as one text."""

    def __init__(self, acquirer: RealAcquirer) -> None:
        self.received: list[tuple[str, str]] = []
        self._serve = acquirer.app.wsgi_app
        acquirer.app.wsgi_app = self._note  # type: ignore[method-assign]

    def _note(self, environ: dict[str, Any], start: Any) -> Any:
        headers = " ".join(str(value) for name, value in environ.items() if name.startswith("HTTP_"))
        self.received.append((environ["PATH_INFO"], headers))
        return self._serve(environ, start)


@pytest.fixture
def trading(shop: Shop, make_acquirer: Callable[..., RealAcquirer]) -> Iterator[Trading]:
    day = Trading(shop, make_acquirer(**QUIET))
    shop.app.config.update({f"{name.upper()}_MOCKED": False for name in registry.classes()})
    yield day
    shop.sweep()


def traded(trading: Trading) -> None:
    """A paid order with each provider, one partly refunded, old enough to compare; the control API is off."""
    for provider in registry.classes():
        order = trading.paid(provider)
        if provider == "kpay":
            trading.refund(order, 20000)
    trading.pass_until(f"{trading.day}T03:05:00Z")
    trading.shop.sweep()
    trading.acquirer.app.config["ACQUIRER_CONTROL"] = False


def check(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setitem(invariants.check_at_rest.__kwdefaults__, "patience", 0.0)
    db.session.rollback()
    done = shop.app.test_cli_runner().invoke(args=["check"])
    return done.exit_code, done.output


@pytest.mark.full
def test_a_check_queries_acquirers_without_a_control_api_for_each_payment_and_sends_no_control_token(
    trading: Trading, monkeypatch: pytest.MonkeyPatch
) -> None:
    traded(trading)
    wire = Wire(trading.acquirer)
    code, message = check(trading.shop, monkeypatch)
    assert code == 0, message
    for name in registry.all_providers():
        trading.shop.app.test_cli_runner().invoke(args=["reconcile", str(trading.day), "--provider", name])
    requested = {path.split("/")[1] for path, _ in wire.received}
    assert requested == {"kpay", "paypay", "stripe", "tpay"}, "each was asked, the control API was not"
    assert [path for path, headers in wire.received if TOKEN in headers] == []


@pytest.mark.full
@pytest.mark.parametrize(
    "corruption",
    [
        "UPDATE captures SET amount = amount + 1 WHERE provider = 'kpay'",
        "UPDATE captures SET currency = 'EUR' WHERE provider = 'kpay'",
        "UPDATE refunds SET state = 'REJECTED'",
    ],
)
def test_a_payment_that_differs_at_its_acquirer_is_found_by_a_query(trading: Trading, corruption: str) -> None:
    traded(trading)
    assert rule.captured_as_there(EVERYTHING) == []
    db.session.execute(db.text(corruption))
    db.session.commit()
    (row,) = rule.captured_as_there(EVERYTHING)
    assert row["provider"] == "kpay" and row["here_and_not_there"]
    db.session.execute(db.text("UPDATE captures SET amount = amount - 1 WHERE provider = 'kpay' AND amount % 2 = 1"))
    db.session.execute(db.text("UPDATE captures SET currency = 'TWD' WHERE provider = 'kpay'"))
    db.session.execute(db.text("UPDATE refunds SET state = 'DONE'"))
    db.session.commit()


@pytest.mark.full
def test_a_difference_from_a_settlement_file_is_found_long_after_the_payment(trading: Trading) -> None:
    traded(trading)
    trading.acquirer.app.config["ACQUIRER_CONTROL"] = True
    trading.day_is_over()
    trading.reconcile("kpay", b"[]")
    (row, _) = rule.captured_as_there(EVERYTHING)
    assert (row["provider"], row["cause"]) == ("kpay", "missing_there")
    trading.reconcile("kpay")
    assert rule.captured_as_there(EVERYTHING) == []


@pytest.mark.full
def test_an_acquirer_that_cannot_be_queried_is_reported_once(trading: Trading) -> None:
    traded(trading)
    trading.acquirer.stop()
    assert [(row["provider"], row["acquirer"]) for row in rule.captured_as_there(EVERYTHING)] == [
        (name, "could not be queried") for name in registry.classes()
    ]
