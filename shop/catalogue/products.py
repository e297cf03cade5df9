"""Create, change, archive and restore products. Orders that were placed keep their lines.

A change names the version of the product that it was made on, so that it never overwrites what a colleague has changed
meanwhile. The audit log has the fields before and after, as text, with the version; `changes_since` reads them there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from shop.catalogue import product_changes, product_fields
from shop.catalogue.models import PriceChange, Product
from shop.catalogue.product_changes import Changes
from shop.catalogue.product_fields import Fields
from shop.core import audit_search
from shop.core.actor import Actor
from shop.core.db import db, transactional
from shop.core.errors import BadInput
from shop.core.money import Money

_HISTORY = 100


@dataclass(frozen=True)
class FieldChange:
    """A field that a colleague has changed: its values as text, the person, and the time."""

    field: str
    before: str
    after: str
    by: Actor
    at: datetime


@transactional
def create(sku: str, fields: Fields, *, by: Actor, is_archived: bool = False) -> str:
    """Create a product and return its SKU. An archived one is not in the shop until it is restored.

    Raises Forbidden, and InvalidFields, also for an SKU or a slug that another product has.
    """
    sku = product_fields.read_sku(sku)
    changes = Changes([sku], by)
    changes.create(sku, fields, is_archived=is_archived)
    changes.write()
    return sku


@transactional
def save(sku: str, fields: Fields, *, seen: int, by: Actor) -> bool:
    """Change a product that had the version `seen`; False if it has these values already.

    Raises Forbidden; BadInput `unknown_sku`; InvalidFields; Stale.
    """
    changes = Changes([sku], by)
    found = changes.save(sku, fields, seen=seen)
    changes.write()
    return bool(found)


@transactional
def set_price(sku: str, price: Money, *, by: Actor) -> Money | None:
    """Set the unit price of a product in one currency and return the previous one.

    Carts show the new price and ask the customer to accept it; orders keep the price that they were placed with.
    Raises Forbidden, and BadInput `unknown_sku`, `bad_price`.
    """
    changes = Changes([sku], by)
    try:
        product_fields.check_price(price.amount, price.currency)
    except ValueError as error:
        raise BadInput("bad_price", str(error)) from error
    before = changes.set_price(sku, price.currency, price.amount)
    changes.write()
    return None if before is None else Money(before, price.currency)


@transactional
def archive(sku: str, *, by: Actor) -> None:
    """Take a product out of the shop; no effect on an archived one. Carts show it as not sold, orders keep it.

    Raises Forbidden, and BadInput `unknown_sku`.
    """
    _set_archived(sku, True, by)


@transactional
def restore(sku: str, *, by: Actor) -> None:
    """Sell an archived product again; no effect on an active one. Raises Forbidden, and BadInput `unknown_sku`."""
    _set_archived(sku, False, by)


def _set_archived(sku: str, is_archived: bool, by: Actor) -> None:
    changes = Changes([sku], by)
    changes.set_archived(sku, is_archived)
    changes.write()


def find(sku: str) -> Product | None:
    """The product with this SKU, as the database has it now."""
    return db.session.get(Product, sku, populate_existing=True)


def price_changes(sku: str, limit: int = 50) -> list[PriceChange]:
    """The newest price changes of a product. One statement."""
    of = select(PriceChange).where(PriceChange.sku == sku)
    return list(db.session.scalars(of.order_by(PriceChange.id.desc()).limit(limit)))


def changes_since(sku: str, version: int) -> list[FieldChange]:
    """Fields that were changed after this version, each once: from its value then to the present one."""
    found: dict[str, FieldChange] = {}
    entries = audit_search.find(audit_search.Filters(subjects=[product_changes.subject(sku)]), limit=_HISTORY).rows
    for entry in reversed(entries):
        before, after = entry.before or {}, entry.after or {}
        if isinstance(of := after.get("version"), int) and of > version:
            for name in after.keys() - {"version"}:
                first = found[name].before if name in found else str(before.get(name, ""))
                found[name] = FieldChange(name, first, str(after[name]), Actor.parse(entry.actor), entry.at)
    return [change for change in found.values() if change.before != change.after]


def locked(sku: str) -> Product:
    """The product, locked until the transaction ends. Raises BadInput `unknown_sku`."""
    product = product_changes.locked([sku]).get(sku)
    if product is None:
        raise BadInput("unknown_sku", f"There is no product {sku[:64]}.")
    return product
