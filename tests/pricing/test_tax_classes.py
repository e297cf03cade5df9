"""Products with different rates of tax in one order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from shop.catalogue.models import Product
from shop.core.db import db
from shop.core.line_kinds import LineKind
from shop.core.money import Money
from shop.core.tax_classes import TaxClass
from shop.documents.models import Document, DocumentLine
from shop.orders.models import OrderLine
from shop.pricing import change
from shop.pricing.decide import Choices, Code, Method, Quote, Rules, Tax, quote
from shop.returns import amounts
from tests.parts.selection import sampled
from tests.shop_fixtures import KETTLE, PEN, Shop

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STANDARD, REDUCED, ZERO = TaxClass.STANDARD, TaxClass.REDUCED, TaxClass.ZERO
INCLUDED, ADDED = Tax("DE", "VAT", 20_000, True, 5000), Tax("DE", "VAT", 20_000, False, 5000)
POST = Method("post", "Post", {"USD": 600})


def priced(classes: dict[TaxClass, int], tax: Tax | None, *more: Method | Code) -> Quote:
    methods = tuple(one for one in more if isinstance(one, Method))
    code = next((one for one in more if isinstance(one, Code)), None)
    goods = Money(sum(classes.values()), "USD")
    return quote(goods, Choices("DE", "", code.code if code else ""), Rules(tax, methods, code), NOW, classes)


def taxes(found: Quote) -> list[tuple[str, int | None, int]]:
    return [(one.key, one.rate, one.amount.amount) for one in found.charges if one.kind == LineKind.TAX]


MIXED = {STANDARD: 12_000, REDUCED: 10_500, ZERO: 1000}
PRICED = {
    "prices that contain the tax": (
        priced(MIXED, INCLUDED),
        23_500,
        [("DE", 20_000, 2000), ("DE-5000", 5000, 500), ("DE-0", 0, 0)],
    ),
    "tax that is added": (
        priced(MIXED, ADDED),
        26_425,
        [("DE", 20_000, 2400), ("DE-5000", 5000, 525), ("DE-0", 0, 0)],
    ),
    "a country without a reduced rate": (
        priced(MIXED, Tax("US", "Sales tax", 10_000, False)),
        25_750,
        [("US", 10_000, 2250), ("US-0", 0, 0)],
    ),
    "a country without tax": (priced(MIXED, None), 23_500, []),
    "reduced products alone": (priced({REDUCED: 10_500}, INCLUDED), 10_500, [("DE-5000", 5000, 500)]),
    "delivery has the standard rate": (
        priced({REDUCED: 10_500}, INCLUDED, POST),
        11_100,
        [("DE", 20_000, 100), ("DE-5000", 5000, 500)],
    ),
    "a discount is divided in proportion": (
        priced({STANDARD: 12_000, REDUCED: 8400}, ADDED, Code("HALF", percent=50)),
        11_610,
        [("DE", 20_000, 1200), ("DE-5000", 5000, 210)],
    ),
}


@pytest.mark.parametrize(("found", "total", "lines"), PRICED.values(), ids=PRICED)
def test_each_rate_of_tax_is_a_line(found: Quote, total: int, lines: list[tuple[str, int, int]]) -> None:
    assert (found.total.amount, taxes(found)) == (total, lines)
    assert found.split.tax == sum(amount for _, _, amount in lines)


@settings(max_examples=sampled(300, 3000, quick=100), deadline=None)
@given(
    st.dictionaries(st.sampled_from(TaxClass), st.integers(0, 10**6)),
    st.integers(0, 100_000),
    st.none() | st.integers(0, 100_000),
    st.booleans(),
    st.none() | st.integers(1, 100),
)
def test_an_order_of_several_classes_sums_to_its_total(
    classes: dict[TaxClass, int], rate: int, reduced: int | None, is_included: bool, percent: int | None
) -> None:
    code = [Code("C", percent=percent)] if percent else []
    found = priced(classes, Tax("DE", "VAT", rate, is_included, reduced), POST, *code)
    split = found.split
    assert sum(classes.values()) + sum(charge.adds for charge in found.charges) == split.total
    assert min(split.tax, split.delivery, split.discount, split.sales) >= 0
    assert split.sales + split.delivery - split.discount + split.tax == split.total
    assert len({charge.key for charge in found.charges if charge.kind == LineKind.TAX}) == len(taxes(found))


def test_a_returned_product_is_refunded_with_its_own_added_tax() -> None:
    kettle, tea = OrderLine(kind=LineKind.ITEM, sku="kettle"), OrderLine(kind=LineKind.ITEM, sku="tea")
    kettle.quantity, kettle.unit_amount, kettle.rate = 1, 10_000, 20_000
    tea.quantity, tea.unit_amount, tea.rate = 1, 10_000, 5000
    tax = [OrderLine(kind=LineKind.TAX, sku=f"tax:{n}", quantity=1, unit_amount=n) for n in (2000, 500)]
    price = amounts.price_of([kettle, tea, *tax], 22_500, 1)
    assert amounts.share(price, {}, {"tea": 1}).total == 10_500
    assert amounts.share(price, {}, {"kettle": 1}).total == 12_000


def test_an_order_and_its_receipt_state_the_tax_of_each_rate(shop: Shop) -> None:
    change.set_tax("TW", "VAT", 5000, reduced_rate=1000, is_included=True)
    db.session.execute(update(Product).where(Product.sku == PEN).values(tax_class=REDUCED))
    db.session.commit()
    order = shop.paid_order((KETTLE, 1), (PEN, 2))
    shop.sweep()
    lines = db.session.execute(
        select(OrderLine.sku, OrderLine.rate).where(OrderLine.order_id == order.id).order_by(OrderLine.position)
    ).all()
    assert [(line.sku, line.rate) for line in lines] == [
        (KETTLE, 5000),
        (PEN, 1000),
        ("tax:TW", 5000),
        ("tax:TW-1000", 1000),
    ]
    receipt = db.session.scalars(select(Document).where(Document.order_id == order.id)).one()
    stated = db.session.scalars(
        select(DocumentLine).where(DocumentLine.number == receipt.number).order_by(DocumentLine.position)
    )
    assert [(line.rate, line.unit_amount) for line in stated if line.is_included] == [(5000, 5700), (1000, 200)]
