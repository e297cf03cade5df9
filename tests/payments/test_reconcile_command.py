"""Command `flask reconcile`: its exit codes, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shop.core.db import db
from tests.payments.settlement_days import PROVIDERS, trading
from tests.payments.trading import Trading
from tests.shop_fixtures import Shop

__all__ = ["trading"]


def command(shop: Shop, *args: str) -> tuple[int, str]:
    db.session.rollback()
    done = shop.app.test_cli_runner().invoke(args=["reconcile", *args])
    return done.exit_code, done.stdout if done.exit_code != 2 else done.output


@pytest.mark.parametrize("day", ["0001-01-01", "0001-12-31", "9999-12-31"])
def test_a_day_at_an_end_of_the_calendar_is_refused(trading: Trading, day: str) -> None:
    code, message = command(trading.shop, day)
    assert code == 1
    assert all(f"{name}, {day}: There is no such day.\n" in message for name in PROVIDERS)


def test_a_provider_that_is_not_utf8_is_refused(trading: Trading) -> None:
    code, message = command(trading.shop, str(trading.day), "--provider", "kpay\udcff")
    assert (code, "not valid UTF-8" in message) == (2, True)


def test_the_command_reconciles_every_provider_and_ends_with_0_when_all_agree(trading: Trading) -> None:
    for name in PROVIDERS:
        trading.paid(name)
    trading.day_is_over()
    code, message = command(trading.shop, str(trading.day))
    assert code == 0, message
    assert all(f"{label}, {trading.day}: agrees" in message for label in ("KPay", "PayPay", "Stripe", "Tpay"))


def test_the_command_ends_with_1_and_names_every_discrepancy(trading: Trading, tmp_path: Path) -> None:
    trading.paid("kpay")
    trading.day_is_over()
    path = tmp_path / "file"
    path.write_bytes(trading.file("kpay", discrepancies=2))
    code, message = command(trading.shop, str(trading.day), "--provider", "kpay", "--file", str(path))
    assert code == 1
    assert "missing there" in message and "unknown" in message
    code, output = command(trading.shop, str(trading.day), "--provider", "kpay", "--file", str(path), "--json")
    assert code == 1
    assert {one["cause"] for one in json.loads(output)[0]["discrepancies"]} == {"missing_there", "unknown"}


@pytest.mark.parametrize(
    ("args", "code", "output"),
    [
        (("yesterday",), 2, "does not match"),
        (("2026-02-30",), 2, "does not match"),
        (("2999-01-01", "--provider", "kpay"), 1, "has not begun"),
        (("2026-01-01", "--provider", "nopay"), 1, "no provider"),
        (("2026-01-01", "--file", "README.md"), 2, "--provider"),
        (("0001-01-01", "--provider", "tpay"), 1, "no such day"),
    ],
)
def test_bad_input_gets_a_clear_sentence(shop: Shop, args: tuple[str, ...], code: int, output: str) -> None:
    ended, message = command(shop, *args)
    assert (ended, "Traceback" in message) == (code, False)
    assert output in message
