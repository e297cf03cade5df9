"""A refund that succeeded and failed before any poll: the files have two lines about it, the shop no journal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments.providers import registry
from shop.payments.providers.interface import Unknown
from shop.payments.records.settlement_models import Discrepancy
from shop.payments.refunds import apply, requests
from shop.payments.settlement import discrepancies, reconcile
from tests.payments.trading import QUIET, Trading
from tests.race_fixtures import Race
from tests.real_acquirer_fixtures import RealAcquirer
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]


def open_ones() -> list[tuple[str, str]]:
    """Causes and subjects of the open discrepancies."""
    db.session.rollback()
    rows = db.select(Discrepancy.cause, Discrepancy.about).where(Discrepancy.closed_at.is_(None))
    return sorted((row.cause, row.about) for row in db.session.execute(rows))


class Files:
    """Settlement files of the fake acquirer about one paid order and one full refund."""

    def __init__(self, shop: Shop, order: Order, refund: str) -> None:
        self.shop, self.refund, self.today = shop, refund, clock.now()
        self.payment = shop.payment(order).id

    def line(self, kind: str, about: str, amount: int, at: datetime) -> list[Any]:
        return [f"l-{kind}", kind, about, self.payment, f"cap-{self.payment}-1", amount, 0, "TWD", at.isoformat()]

    def run(self, *kinds: str, day: int = 0) -> list[str]:
        """Reconcile the file of a day, by its lines; returns the journals that only the file caused."""
        at = self.today + timedelta(days=day)
        about = {"capture": f"cap-{self.payment}-1"}
        amount = {"refund": -PRICE}
        lines = [self.line(kind, about.get(kind, self.refund), amount.get(kind, PRICE), at) for kind in kinds]
        return reconcile.reconcile(
            "fakepay", at.date(), json.dumps(lines).encode(), by=Actor.operator(), fetched=True
        ).applied

    @property
    def both(self) -> list[str]:
        return [f"refund:{self.refund}", f"refund:{self.refund}:failed"]


@pytest.fixture
def overslept(shop: Shop) -> Files:
    """The response to the refund was lost; when it was polled, it had failed."""
    order = shop.paid_order()
    shop.acquirer.misbehave("refund", "lose_answer")
    refund = requests.request(shop.capture(order), order.total, reason="", by=shop.sam).id
    shop.sweep()
    shop.acquirer.refund_becomes(refund, "REJECTED")
    shop.turn(minutes=1)
    assert (shop.state(order), [r.state for r in shop.refunds(order)]) == ("PAID", ["REJECTED"])
    files = Files(shop, order, refund)
    shop.turn(days=1)
    return files


def test_its_two_lines_in_kpays_file_are_booked_and_agree(
    shop: Shop, make_acquirer: Callable[..., RealAcquirer], monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = Trading(shop, make_acquirer(**QUIET))
    order, kpay = trading.paid("kpay", card="4000000000005126"), registry.all_providers()["kpay"]
    send = kpay.refund
    # a large file is booked in parts, and the two lines may be in different ones
    monkeypatch.setattr(discrepancies, "AT_ONCE", 1)
    monkeypatch.setattr(kpay, "refund", lambda *requested: (send(*requested), Unknown("the answer was lost"))[1])
    refund = trading.refund(order)
    trading.pass_until(f"{trading.day}T03:10:00Z")
    shop.sweep()
    assert (shop.state(order), [r.state for r in shop.refunds(order)]) == ("PAID", ["REJECTED"])
    trading.day_is_over()
    run = trading.reconcile("kpay")
    assert (run.lines, run.booked, run.applied) == (3, 3, [f"refund:{refund}:failed"])
    assert trading.discrepancies() == []
    owed = {account: amount for account, amount in trading.balances().items() if "kpay" in account}
    assert (owed, shop.state(order)) == ({}, "PAID")
    again = trading.reconcile("kpay")
    assert (again.booked, again.applied, trading.discrepancies()) == (0, [], [])
    shop.sweep()


def test_the_file_of_another_day_reports_that_the_refund_had_been_done(overslept: Files) -> None:
    overslept.run("capture", "refund")
    assert open_ones() == [("missing_here", "l-refund")], "nothing yet says that it came back"
    assert overslept.run("refund_failed", day=1) == overslept.both[1:]
    assert open_ones() == [("missing_here", "l-refund"), ("missing_there", overslept.both[0])]
    overslept.run("capture", "refund")
    assert open_ones() == []


def test_a_line_of_a_failed_refund_without_the_refunds_own_line_is_a_discrepancy(overslept: Files) -> None:
    overslept.run("capture", "refund_failed")
    assert open_ones() == [("missing_there", overslept.both[0])]
    overslept.run("capture", "refund_failed")
    assert open_ones() == [("missing_there", overslept.both[0])]


def test_eight_files_at_once_book_it_once(overslept: Files, race: Race) -> None:
    results = race(lambda _: overslept.run("capture", "refund", "refund_failed"))
    assert [r for r in results if isinstance(r, Exception)] == []
    assert open_ones() == []
    cause = {"code": "refund_failed", "provider": "fakepay"}
    assert apply.failed_later(overslept.refund, Actor.of_source("settlement file"), **cause) == "duplicate"


def test_a_declined_refund_that_the_acquirer_reports_is_booked_as_an_outside_refund(shop: Shop) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 0}
    order = shop.paid_order()
    refund = requests.request(shop.capture(order), order.total, reason="", by=shop.sam).id
    requests.decline(refund, shop.sam)
    files = Files(shop, order, refund)
    shop.turn(days=1)
    outside = f"refund:fakepay:{refund}"
    assert files.run("capture", "refund", "refund_failed") == [outside, f"{outside}:failed"]
    assert files.run("capture", "refund", "refund_failed") == []
    assert open_ones() == []
    assert [one.rejected_code for one in shop.refunds(order) if one.id == refund] == ["declined"]
    assert shop.state(order) == "PAID"


def test_a_refund_under_way_that_a_file_reports_as_done_and_failed_has_failed_later(shop: Shop) -> None:
    order = shop.paid_order()
    shop.acquirer.misbehave("refund", "wait")
    refund = requests.request(shop.capture(order), Money(PRICE, "TWD"), reason="", by=shop.sam).id
    shop.sweep()
    files = Files(shop, order, refund)
    shop.acquirer.refund_becomes(refund, "REJECTED")
    shop.wait(seconds=1)
    assert files.run("capture", "refund", "refund_failed") == files.both
    assert shop.moves(order)[-3:] == ["PAID", "REFUNDED", "PAID"]
    assert open_ones() == []
