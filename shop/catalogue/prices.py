"""Change prices."""

from __future__ import annotations

from sqlalchemy import select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import browse
from shop.catalogue.models import Product
from shop.core import audit
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, transactional
from shop.core.errors import BadInput
from shop.core.money import Money


@transactional
def change(sku: str, price: Money, *, by: Actor) -> Money | None:
    """Set the unit price of a product in one currency and return the previous one.

    Carts show the new price and ask the customer to accept it; orders keep the price that they were placed with.
    Raises Forbidden, and BadInput `unknown_sku`, `bad_price`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    if price.amount <= 0:
        raise BadInput("bad_price", "A price must be greater than zero.")
    product = db.session.scalars(select(Product).where(Product.sku == sku).with_for_update()).one_or_none()
    if product is None:
        raise BadInput("unknown_sku", f"There is no product {sku}.")
    before = product.price(price.currency) if product.has_price(price.currency) else None
    after_commit(browse.clear_cache)
    product.prices = {**product.prices, price.currency: price.amount}
    subject = Subject(SubjectKind.PRODUCT, sku)
    audit.record(by, Act.PRICE_SET, subject, before={"price": before}, after={"price": price})
    return before
