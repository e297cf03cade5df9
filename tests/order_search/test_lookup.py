"""Lookup of orders by ids and addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from shop.core.db import db, transaction
from shop.core.money import Money
from shop.order_search.lookup import MOST, HitKind, find
from shop.payments.records.models import Capture, Payment
from shop.payments.records.settlement_models import SettlementLineRow
from shop.payments.refunds import requests
from tests.payments.outside_refunds import refund_there, reported_by_file, reported_by_query, reported_by_webhook
from tests.shop_fixtures import PEN, Shop

PROVIDERS = ("fakepay", "otherpay")


def hits(typed: str) -> list[tuple[HitKind, str, str | None]]:
    """Kind, id and order number of each hit."""
    return [(hit.kind, hit.found, hit.order and hit.order.number) for hit in find(typed, PROVIDERS)]


def test_an_order_is_found_by_each_of_its_ids(shop: Shop) -> None:
    order = shop.order((PEN, 1))
    payment = shop.payment(order).id
    shop.acquirer.capture(payment)
    shop.deliver_webhook(payment, "evt_77")
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    capture = db.session.scalars(db.select(Capture.capture_id)).one()
    ids = {
        order.number: HitKind.ORDER,
        payment: HitKind.PAYMENT,
        shop.refunds(order)[0].id: HitKind.REFUND,
        capture: HitKind.CAPTURE,
        "evt_77": HitKind.EVENT,
        f"remote-{payment}": HitKind.PAYMENT_THERE,
    }
    for typed, kind in ids.items():
        assert hits(typed) == [(kind, typed, order.number)]
        assert find(f"  {typed} ", PROVIDERS)
        assert find(typed[:-1], PROVIDERS) == find(typed[1:], PROVIDERS) == [], "a part of an id finds nothing"
    assert [number for *_, number in hits(order.number.lower().replace("-", ""))] == [order.number]


def test_ids_of_the_acquirer_are_found_wherever_it_keeps_them(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    with transaction():
        theirs = {"id": "cs_1", "intent": "pi_1", "code_id": "code-1", "payment_id": "103"}
        db.session.get_one(Payment, shop.payment(order).id).provider_data = theirs
    for typed in theirs.values():
        assert hits(typed) == [(HitKind.PAYMENT_THERE, typed, order.number)]
    assert find("code_id", PROVIDERS) == []


def test_refunds_are_found_by_the_id_of_the_acquirer_ours_and_those_made_there(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    outside = refund_there(shop, order, 30)
    requests.request(shop.capture(order), Money(100, "TWD"), reason="", by=shop.sam)
    shop.sweep()
    reported_by_query(shop, order)
    [ours] = [one for one in shop.acquirer.refunds if one != outside]
    for typed in (outside, ours):
        assert (HitKind.REFUND_THERE, typed, order.number) in hits(typed)


def test_a_settlement_line_leads_to_its_order(shop: Shop) -> None:
    order = shop.paid_order((PEN, 1))
    reported_by_file(shop, order, refund_there(shop, order, 30))
    [line] = db.session.scalars(db.select(SettlementLineRow.line_id))
    assert (HitKind.SETTLEMENT_LINE, line, order.number) in hits(line)


def test_an_event_is_found_by_the_payment_that_it_names_and_without_any(shop: Shop) -> None:
    shop.deliver_webhook("P000000000000N0B0DYS", "evt-orphan")
    assert hits("evt-orphan") == [(HitKind.EVENT, "evt-orphan", None)]
    order = shop.paid_order((PEN, 1))
    reported_by_webhook(shop, refund_there(shop, order, 30), "evt-refund")
    assert hits("evt-refund") == [(HitKind.EVENT, "evt-refund", order.number)]


def test_no_search_reads_a_whole_table(shop: Shop) -> None:
    """On PostgreSQL, where a table of this size would be read in full, that is forbidden to the planner. `found_…` are
    the results of the parts of the statement.
    """
    shop.paid_order((PEN, 1))
    is_sqlite = db.engine.dialect.name == "sqlite"
    for typed in ("7K3M-9QXT-2F", "P1M8QB5JJY6QAYT9A7WY", "R1M8QB5JJY6QAYT9A7WY", "pi_123", "ada@example.com"):
        with requested() as found:
            find(typed, PROVIDERS)
        assert len(found) == 1
        for statement, values in found:
            if not is_sqlite:
                db.session.execute(db.text("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
            plan = [str(row) for row in db.session.connection().exec_driver_sql(f"{explain} {statement}", values)]
            assert not [step for step in plan if re.search(r"Seq Scan|SCAN (?!found_)\w+\b(?! .*INDEX)", step)], plan


@contextmanager
def requested() -> Iterator[list[tuple[str, Any]]]:
    """Statements and their values, as sent to the database."""
    found: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        found.append((statement, values)) if statement.startswith("SELECT") else None

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


def test_orders_are_found_by_the_beginning_of_an_address_in_either_case(shop: Shop) -> None:
    ada, adam = shop.order((PEN, 1), email="ada@example.com"), shop.order((PEN, 1), email="adam@example.com")
    shop.order((PEN, 1), email="zoe@ada.example")
    assert [(found, number) for _, found, number in hits("Ada")] == [
        ("ada@example.com", ada.number),
        ("adam@example.com", adam.number),
    ]
    assert [number for *_, number in hits("ADA@example.com")] == [ada.number]
    assert find("ad", PROVIDERS) == find("example.com", PROVIDERS) == find("a%a", PROVIDERS) == []


def test_a_search_shows_that_there_are_more_orders_of_an_address(shop: Shop) -> None:
    for _ in range(MOST + 2):
        shop.order((PEN, 1))
        shop.restock(PEN)
    assert len(find("ada@example", PROVIDERS)) == MOST + 1


@pytest.mark.parametrize("typed", ["", " ", "\x00", "x" * 201, "'; DROP TABLE orders", "%", "____", "\ud800"])
def test_text_that_is_no_id_finds_nothing(shop: Shop, typed: str) -> None:
    shop.order((PEN, 1))
    assert find(typed, PROVIDERS) == []
