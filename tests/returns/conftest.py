"""Returns in each state."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from shop.accounts.permissions import Role
from shop.core import ids
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.orders.models import Order
from shop.pricing import change
from shop.returns import handling, refunding, requests
from shop.returns.decide import Wanted
from shop.returns.models import Return
from tests.shop_fixtures import Shop

CUSTOMER = Actor.customer()


@pytest.fixture
def taxed(shop: Shop) -> Shop:
    """A shop with 5 % included tax, delivery for NT$120, and TEN for 10 %."""
    change.set_tax("TW", "VAT", 5000, is_included=True)
    express = {"TWD": Money(12000, "TWD")}
    change.set_delivery("express", "Express", express, free_from={}, countries=(), position=0)
    change.set_code(change.NewCode("TEN", percent=10, once_per_email=False))
    return shop


def found(reference: str) -> Return:
    """The return as the database has it."""
    db.session.rollback()
    return db.session.scalars(db.select(Return).where(Return.reference == reference)).one()


def wanted(units: Mapping[str, int], reason: str = "faulty", comment: str = "") -> Wanted:
    return Wanted.of(units, reason, comment)


def requested(shop: Shop, order: Order, units: Mapping[str, int], comment: str = "", reason: str = "faulty") -> Return:
    """A return that the customer requested."""
    of = wanted(units, reason, comment)
    return found(requests.request(order.id, of, by=CUSTOMER, form_key=ids.token()))


def accepted(shop: Shop, order: Order, units: Mapping[str, int], reason: str = "faulty") -> Return:
    one = requested(shop, order, units, reason=reason)
    handling.accept(one.id, by=mia(shop))
    return found(one.reference)


def received(shop: Shop, order: Order, units: Mapping[str, int], *, restock: bool = True) -> Return:
    """A return whose units have all arrived."""
    one = accepted(shop, order, units)
    arrived = {sku: (number, 0) if restock else (0, number) for sku, number in units.items()}
    handling.receive(one.id, arrived, by=mia(shop), reason="" if restock else "scratched")
    return found(one.reference)


def refund_in_full(shop: Shop, one: Return) -> list[str]:
    """Request the refund of a received return, of which nothing was refunded otherwise."""
    now = found(one.reference)
    return refunding.refund(now.id, now.amount, expected=now.amount.amount, by=shop.sam, reason="came back")


def mia(shop: Shop) -> Actor:
    """The merchandiser."""
    return shop.colleague("mia", Role.MERCHANDISER)


def sue(shop: Shop) -> Actor:
    """The person of support."""
    return shop.colleague("sue", Role.SUPPORT)
