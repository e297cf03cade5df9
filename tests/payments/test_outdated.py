"""A row that changes between the loading of an order's money and the writing of a decision about it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from shop.core.db import OutdatedSnapshot, db, transaction, transactional
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.payments.order_money import load
from shop.payments.order_money.snapshot import Snapshot
from shop.payments.records.models import Capture
from shop.payments.refunds import requests
from tests.parts.counters import counted
from tests.shop_fixtures import Shop


def refunded_elsewhere(patch: pytest.MonkeyPatch, capture_id: int, amount: int, times: int = 1) -> None:
    """Another connection changes the refunded amount of a capture, right after it was loaded, the first `times`."""
    right, left = load.locked, list(range(1, times + 1))

    def locked(order_id: int, **more: Any) -> Snapshot:
        seen = right(order_id, **more)
        if left:
            set_refunded(capture_id, amount + left.pop())
        return seen

    patch.setattr(load, "locked", locked)


def set_refunded(capture_id: int, amount: int) -> None:
    with db.engine.begin() as other:
        other.execute(update(Capture).where(Capture.id == capture_id).values(refunded_amount=amount))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_refund_decided_on_an_outdated_amount_is_decided_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite no other connection can write meanwhile."""
    order = shop.paid_order()
    capture_id, price, again = (
        shop.capture(order),
        order.total,
        counted("settled_transactions_retried", reason="outdated"),
    )
    refunded_elsewhere(monkeypatch, capture_id, price.amount * 6 // 10)
    with pytest.raises(Refusal) as refused:
        requests.request(capture_id, Money(price.amount * 6 // 10, "TWD"), reason="", by=shop.sam)
    assert (refused.value.code, shop.refunds(order)) == ("not_refundable", [])
    assert counted("settled_transactions_retried", reason="outdated") == again + 1
    set_refunded(capture_id, 0)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_refund_that_is_outdated_again_and_again_is_given_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shop.paid_order()
    capture_id = shop.capture(order)
    refunded_elsewhere(monkeypatch, capture_id, 0, times=3)
    with pytest.raises(OutdatedSnapshot):
        requests.request(capture_id, Money(100, "TWD"), reason="", by=shop.sam)
    assert shop.refunds(order) == []
    set_refunded(capture_id, 0)


def test_nothing_of_an_outdated_decision_is_kept_and_it_runs_again_as_a_whole(shop: Shop) -> None:
    order = shop.paid_order()
    capture_id, runs = shop.capture(order), []

    @transactional
    def change() -> int:
        runs.append(db.session.scalar(db.select(Capture.refunded_amount).where(Capture.id == capture_id)))
        db.session.execute(update(Capture).where(Capture.id == capture_id).values(refunded_amount=1))
        if len(runs) < 3:
            raise OutdatedSnapshot("changed meanwhile")
        db.session.execute(update(Capture).where(Capture.id == capture_id).values(refunded_amount=0))
        return len(runs)

    assert change() == 3
    assert runs == [0, 0, 0]


def test_an_outdated_decision_inside_another_transaction_repeats_the_outer_one_only(shop: Shop) -> None:
    runs: list[str] = []

    @transactional
    def inner() -> None:
        runs.append("inner")
        raise OutdatedSnapshot("changed meanwhile")

    with pytest.raises(OutdatedSnapshot), transaction():
        inner()
    assert runs == ["inner"]
