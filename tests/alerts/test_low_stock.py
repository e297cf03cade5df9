"""The alert on products of which few units are left: once for each time that the limit is reached."""

from __future__ import annotations

from shop.accounts.permissions import Role
from shop.alerts import store
from shop.alerts.models import Alert
from shop.catalogue import products
from shop.core.db import db
from shop.inventory import stock
from tests.alerts.test_reservations import raised
from tests.shop_fixtures import KETTLE, UNITS, Shop

RULE = "OPS_STOCK_LOW"


def test_reaching_the_limit_is_one_alert_until_there_is_more_again(shop: Shop) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    stock.set_low_at(KETTLE, 2, by=mo)
    shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == []
    order = shop.order((KETTLE, UNITS - 2))
    for _ in range(3):
        shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == [(KETTLE, "NEW")]
    shop.cancel(order)
    shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == [(KETTLE, "RESOLVED")]
    shop.order((KETTLE, UNITS - 1))
    shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == [(KETTLE, "RESOLVED"), (KETTLE, "NEW")]
    [number] = db.session.scalars(db.select(Alert.id).where(Alert.rule == RULE, Alert.state == "NEW")).all()
    store.resolve(number, by=shop.sam, note="ordered")
    for _ in range(2):
        shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == [(KETTLE, "RESOLVED")] * 2, "the same crossing is not raised twice"
    shop.turn(minutes=31)


def test_an_archived_product_and_one_without_a_limit_cause_no_alert(shop: Shop) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    stock.set_low_at(KETTLE, UNITS, by=mo)
    products.archive(KETTLE, by=mo)
    shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == []
    products.restore(KETTLE, by=mo)
    shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == [(KETTLE, "NEW")]
    stock.set_low_at(KETTLE, None, by=mo)
    shop.turn(minutes=1, seconds=1)
    assert raised(RULE) == [(KETTLE, "RESOLVED")]
