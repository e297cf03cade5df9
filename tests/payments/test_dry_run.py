"""Dry runs of payment updates: what an update would change and why, decided by the code that applies it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from shop.core import clock, ids
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.payments.providers.interface import Facts
from shop.payments.providers.types import PaymentState
from shop.payments.records.types import Source
from shop.payments.updates.apply import UnknownPayment, apply
from shop.payments.updates.snapshot import PaymentUpdate
from tests.parts.counters import counted
from tests.parts.statements import everything, statements
from tests.payments.outside_refunds import late_capture, refund_there
from tests.shop_fixtures import PEN, Shop


def reported(shop: Shop, payment_id: str) -> PaymentUpdate:
    """The update of a query that is answered now, with all captures and refunds."""
    remote = shop.acquirer.payments[payment_id]
    facts = Facts(remote.state, tuple(remote.captures), refunds=shop.acquirer.refund_facts(remote))
    return PaymentUpdate(payment_id, facts, Source.WEBHOOK)


def captured(shop: Shop) -> PaymentUpdate:
    payment = shop.payment(shop.order((PEN, 1)))
    shop.acquirer.capture(payment.id)
    return reported(shop, payment.id)


def too_little(shop: Shop) -> PaymentUpdate:
    payment = shop.payment(shop.order((PEN, 1)))
    shop.acquirer.capture(payment.id, money=Money(1, "TWD"))
    return reported(shop, payment.id)


def captured_and_refunded_there(shop: Shop) -> PaymentUpdate:
    """The first update about the capture also lists a refund of a part of it."""
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id)
    refund_there(shop, order, 30)
    return reported(shop, shop.payment(order).id)


def refunded_there(shop: Shop) -> PaymentUpdate:
    order = shop.paid_order()
    refund_there(shop, order)
    return reported(shop, shop.payment(order).id)


def late_and_partly_refunded_there(shop: Shop) -> PaymentUpdate:
    """The automatic refund of the new capture gives way to the refund made there, and the rest is refunded."""
    order = shop.order()
    payment = shop.payment(order)
    shop.turn(minutes=31)
    shop.acquirer.capture(payment.id)
    refund_there(shop, order, 40)
    return reported(shop, payment.id)


def known_late_capture_refunded_there(shop: Shop) -> PaymentUpdate:
    order = late_capture(shop)
    refund_there(shop, order)
    return reported(shop, shop.payment(order).id)


def refunded_there_in_another_currency(shop: Shop) -> PaymentUpdate:
    order = shop.paid_order()
    shop.acquirer.refund_outside(shop.acquirer.payments[shop.payment(order).id].captures[0].id, Money(5, "JPY"))
    return reported(shop, shop.payment(order).id)


CASES: list[tuple[Callable[[Shop], PaymentUpdate], str, tuple[str, ...]]] = [
    (captured, "applied", ("captured",)),
    (too_little, "mismatch", ("amount or currency differs",)),
    (captured_and_refunded_there, "applied", ("captured", "refund X1 was made at the acquirer")),
    (refunded_there, "applied", ("payment is CAPTURED, CAPTURED was reported", "refund X1 was made at the acquirer")),
    (
        late_and_partly_refunded_there,
        "applied",
        ("captured after the order ended", "refund X1 was made at the acquirer"),
    ),
    (
        known_late_capture_refunded_there,
        "applied",
        ("payment is CAPTURED, CAPTURED was reported", "refund X1 was made at the acquirer"),
    ),
    (
        refunded_there_in_another_currency,
        "illegal",
        ("payment is CAPTURED, CAPTURED was reported", "refund X1 is in another currency than its capture"),
    ),
]


@pytest.fixture
def same_moment(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Each call takes the clock back to the first one, and gives new refunds the same ids again."""
    times: list[datetime] = []

    def again() -> None:
        times.append(clock.now())
        numbers = itertools.count(1)
        monkeypatch.setattr(ids, "refund_id", lambda: f"R{next(numbers):019d}")
        monkeypatch.setattr(clock, "now", lambda: times[0])

    return again


@pytest.mark.parametrize(("case", "outcome", "reasons"), CASES, ids=[case[0].__name__ for case in CASES])
def test_a_dry_run_decides_all_that_the_update_then_changes_and_leaves_no_trace(
    shop: Shop, same_moment: Callable[[], None], case: Callable[[Shop], PaymentUpdate], outcome: str, reasons: Any
) -> None:
    update = case(shop)
    calls, before, metric = len(shop.acquirer.calls), everything(), counted("settled_payment_updates")
    same_moment()
    with statements() as sent:
        dry = apply(update, dry_run=True)
    assert not [one for one in sent if not one.startswith(("SELECT", "SET TRANSACTION READ ONLY"))]
    assert not [one for one in sent if "FOR UPDATE" in one]
    assert (everything(), counted("settled_payment_updates"), len(shop.acquirer.calls)) == (before, metric, calls)
    assert (dry.outcome, dry.reasons) == (outcome, reasons)
    same_moment()
    assert apply(update) == dry
    after = everything()
    assert_written(dry, before, after)
    again = apply(update)
    assert (again.captures, again.refunds, again.journals) == ((), (), ())
    assert again.outcome in ("duplicate", "illegal")


def assert_written(dry: Any, before: dict[str, list[Any]], after: dict[str, list[Any]]) -> None:
    """The new rows are those that the dry run announced."""
    new = {name: len(rows) - len(before[name]) for name, rows in after.items()}
    listed = dry.listed.new_refunds if dry.listed else []
    postings = dry.listed.postings if dry.listed else ()
    reported = dry.listed.history if dry.listed else ()
    assert new["captures"] == len(dry.captures)
    assert new["refunds"] == len(dry.refunds) + len(listed)
    assert new["journals"] == len(dry.journals) + len(postings)
    assert new["order_events"] == new["outbox"] == len(dry.events) + len(reported)
    state = dry.listed.after.order.state if dry.listed else dry.order.get("state")
    assert state is None or state in {row.state for row in after["orders"]}


def test_a_dry_run_does_not_know_a_payment_that_we_do_not_have(shop: Shop) -> None:
    with pytest.raises(UnknownPayment):
        apply(PaymentUpdate("NO-SUCH-PAYMENT", Facts(PaymentState.OPEN), Source.WEBHOOK), dry_run=True)


def test_a_dry_run_is_not_part_of_a_transaction(shop: Shop) -> None:
    update = captured(shop)
    with pytest.raises(RuntimeError), transaction():
        apply(update, dry_run=True)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_dry_run_waits_for_no_lock(shop: Shop) -> None:
    update = refunded_there(shop)
    db.session.rollback()
    with db.engine.connect() as other, other.begin():
        for name in ("payments", "orders", "refunds"):
            other.execute(text(f"SELECT id FROM {name} FOR UPDATE"))  # noqa: S608
        assert apply(update, dry_run=True).outcome == "applied"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_dry_run_needs_no_connection_of_its_own_behind_a_pooler(shop: Shop) -> None:
    """There each transaction begins with a statement that sets timeouts."""

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT set_config('lock_timeout', '3000', true)")

    update = captured(shop)
    event.listen(db.engine, "begin", begin)
    try:
        assert apply(update, dry_run=True).outcome == "applied"
    finally:
        event.remove(db.engine, "begin", begin)
