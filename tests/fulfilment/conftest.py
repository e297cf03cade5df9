"""A merchandiser who packs and ships, and what became of the units."""

from __future__ import annotations

from shop.accounts.permissions import Role
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.fulfilment import find, write
from shop.fulfilment.carriers import Tracking
from shop.fulfilment.find import Package
from shop.orders.models import Order
from shop.payments.refunds import requests
from tests.shop_fixtures import Shop

DHL = Tracking("DHL", "JD0146", "https://www.dhl.com/track?id=JD0146")


def mia(shop: Shop) -> Actor:
    """The merchandiser."""
    return shop.colleague("mia", Role.MERCHANDISER)


def pack(shop: Shop, order: Order, key: str = "form-1", **units: int) -> int:
    """Pack units, by the last word of their SKU; all that are left if none are named. Returns the package's number."""
    wanted = {f"TEST-{sku.upper()}": number for sku, number in units.items()}
    left = {line.sku: line.left for line in find.lines([order.id])[order.id]}
    return write.pack(order.id, wanted or left, by=mia(shop), form_key=key)


def ship(shop: Shop, order: Order, number: int = 1, tracking: Tracking = DHL) -> None:
    write.ship(order.id, number, tracking, by=mia(shop))


def package_of(order: Order, number: int = 1) -> Package:
    """The package of this number, as it is now."""
    db.session.rollback()
    found = find.package(order.id, number)
    assert found
    return found


def fulfilment(order: Order) -> str:
    """The state of the fulfilment, as the row of the order keeps it."""
    db.session.rollback()
    return str(db.session.scalar(db.select(Order.fulfilment).where(Order.id == order.id)))


def places(order: Order) -> dict[str, tuple[int, int, int]]:
    """Units packed, shipped and left, by SKU."""
    db.session.rollback()
    return {line.sku: (line.packed, line.shipped, line.left) for line in find.lines([order.id])[order.id]}


def refund(shop: Shop, order: Order, amount: int) -> None:
    """Refund an amount of a paid order."""
    requests.request(shop.capture(order), Money(amount, order.currency), reason="", by=shop.sam)
    shop.sweep()
