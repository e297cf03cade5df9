"""Create, change, archive and restore products. Orders that were placed keep their lines.

A change names the version of the product that it was made on, so that it never overwrites what a colleague has changed
meanwhile. The audit log has the fields before and after, as text, with the version; `changes_since` reads them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import browse, product_fields, search_entries
from shop.catalogue.models import Category, FormerSlug, PriceChange, Product
from shop.catalogue.product_fields import Fields, InvalidFields
from shop.core import audit, audit_search, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.languages import OFFERED
from shop.core.money import CURRENCIES, Money

NO_PICTURE = "art/no-picture.svg"
"""The illustration of products that have none."""
_HISTORY = 100


class Stale(Refusal):
    """The product has changed since the form was opened. `version` is the present one."""

    def __init__(self, version: int) -> None:
        message = "This product was changed after you opened the form. Your entries are not saved yet."
        super().__init__("product_changed", message, version=version)


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
    rights.demand(by, Permission.PRODUCT_WRITE)
    sku = product_fields.read_sku(sku)
    if db.session.scalar(select(Product.sku).where(Product.sku == sku)):
        raise InvalidFields({"sku": f"There is a product {sku} already."})
    _check_category(fields.category)
    _check_slug(fields.slug, sku)
    values = {name: fields.__dict__[name] for name in ("slug", "category", "position", "tax_class", "name", "summary")}
    values |= {"description": fields.description, "prices": dict(fields.prices), "texts": fields.texts}
    archived_at = clock.now() if is_archived else None
    row = insert(Product).values(sku=sku, image=NO_PICTURE, archived_at=archived_at, **values)
    if not db.session.scalar(row.on_conflict_do_nothing().returning(Product.sku)):
        raise InvalidFields({"sku": f"There is a product {sku} already."})
    _record_prices(sku, {}, fields.prices, by)
    search_entries.write([sku])
    after = {name: typed for name, typed in product_fields.as_typed(fields).items() if typed}
    after |= {"state": "archived"} if is_archived else {}
    audit.record(by, Act.PRODUCT_CREATED, _subject(sku), after={**after, "version": 1})
    after_commit(browse.clear_cache)
    return sku


@transactional
def save(sku: str, fields: Fields, *, seen: int, by: Actor) -> bool:
    """Change a product that had the version `seen`; False if it has these values already.

    Raises Forbidden; BadInput `unknown_sku`; InvalidFields; Stale.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    product = locked(sku)
    texts = {locale: kept for locale, kept in product.texts.items() if locale not in OFFERED} | fields.texts
    before, after = product_fields.as_typed(product), product_fields.as_typed(_with_texts(fields, texts))
    changed = [name for name in after if after[name] != before.get(name, "")]
    if not changed:
        return False
    if product.version != seen:
        raise Stale(product.version)
    if fields.category != product.category:
        _check_category(fields.category)
    if fields.slug != product.slug:
        _check_slug(fields.slug, sku)
        _move(product.slug, fields.slug, sku)
    _record_prices(sku, product.prices, fields.prices, by)
    product.slug, product.category, product.position = fields.slug, fields.category, fields.position
    product.name, product.summary, product.description = fields.name, fields.summary, fields.description
    product.prices, product.texts, product.tax_class = dict(fields.prices), texts, fields.tax_class
    _written(product, Act.PRODUCT_CHANGED, {n: before[n] for n in changed}, {n: after[n] for n in changed}, by)
    return True


@transactional
def set_price(sku: str, price: Money, *, by: Actor) -> Money | None:
    """Set the unit price of a product in one currency and return the previous one.

    Carts show the new price and ask the customer to accept it; orders keep the price that they were placed with.
    Raises Forbidden, and BadInput `unknown_sku`, `bad_price`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    currency = price.currency
    try:
        product_fields.check_price(price.amount, currency)
    except ValueError as error:
        raise BadInput("bad_price", str(error)) from error
    product = locked(sku)
    before, name = product.prices.get(currency), f"price.{currency}"
    if before != price.amount:
        prices = {**product.prices, currency: price.amount}
        _record_prices(sku, product.prices, prices, by)
        product.prices = prices
        shown = (product_fields.price_text(amount, currency) for amount in (before, price.amount))
        _written(product, Act.PRICE_SET, {name: next(shown)}, {name: next(shown)}, by)
    return None if before is None else Money(before, currency)


@transactional
def archive(sku: str, *, by: Actor) -> None:
    """Take a product out of the shop; no effect on an archived one. Carts show it as not sold, orders keep it.

    Raises Forbidden, and BadInput `unknown_sku`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    product = locked(sku)
    if product.archived_at is None:
        product.archived_at = clock.now()
        _written(product, Act.PRODUCT_ARCHIVED, {"state": "active"}, {"state": "archived"}, by)


@transactional
def restore(sku: str, *, by: Actor) -> None:
    """Sell an archived product again; no effect on an active one. Raises Forbidden, and BadInput `unknown_sku`."""
    rights.demand(by, Permission.PRODUCT_WRITE)
    product = locked(sku)
    if product.archived_at is not None:
        product.archived_at = None
        _written(product, Act.PRODUCT_RESTORED, {"state": "archived"}, {"state": "active"}, by)


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
    entries = audit_search.find(audit_search.Filters(subjects=[_subject(sku)]), limit=_HISTORY).rows
    for entry in reversed(entries):
        before, after = entry.before or {}, entry.after or {}
        if isinstance(of := after.get("version"), int) and of > version:
            for name in after.keys() - {"version"}:
                first = found[name].before if name in found else str(before.get(name, ""))
                found[name] = FieldChange(name, first, str(after[name]), Actor.parse(entry.actor), entry.at)
    return [change for change in found.values() if change.before != change.after]


# --- parts of the acts ---


def locked(sku: str) -> Product:
    """The product, locked until the transaction ends. Raises BadInput `unknown_sku`."""
    of = select(Product).where(Product.sku == sku).with_for_update().execution_options(populate_existing=True)
    product = db.session.scalars(of).one_or_none()
    if product is None:
        raise BadInput("unknown_sku", f"There is no product {sku[:64]}.")
    return product


def _written(product: Product, act: Act, before: Mapping[str, str], after: Mapping[str, str], by: Actor) -> None:
    """Count a change of a locked product, record it, and let the search find what it has become."""
    product.version += 1
    search_entries.write([product.sku])
    audit.record(by, act, _subject(product.sku), before=before, after={**after, "version": product.version})
    after_commit(browse.clear_cache)


def _subject(sku: str) -> Subject:
    return Subject(SubjectKind.PRODUCT, sku)


def _with_texts(fields: Fields, texts: Mapping[str, dict[str, str]]) -> Fields:
    return Fields(**{**fields.__dict__, "texts": dict(texts)})


def _check_category(slug: str) -> None:
    """Lock the category against deletion. Raises InvalidFields if there is none."""
    if db.session.scalar(select(Category.slug).where(Category.slug == slug).with_for_update(read=True)) is None:
        known = db.session.scalars(select(Category.slug).order_by(Category.position).limit(20))
        raise InvalidFields({"category": f"There is no category {slug!r}. Categories are {', '.join(known)}."})


def _check_slug(slug: str, sku: str) -> None:
    """Raise InvalidFields if another product has, or had, this slug. Lets one transaction at a time change slugs."""
    alone_until_commit(db.session, "slugs")
    owner = db.session.scalar(select(Product.sku).where(Product.slug == slug, Product.sku != sku))
    if owner:
        raise InvalidFields({"slug": f"The product {owner} has this address."})
    former = db.session.scalar(select(FormerSlug.sku).where(FormerSlug.slug == slug, FormerSlug.sku != sku))
    if former:
        raise InvalidFields({"slug": f"The product {former} had this address before; links to it lead there."})


def _move(before: str, after: str, sku: str) -> None:
    db.session.execute(delete(FormerSlug).where(FormerSlug.slug == after))
    db.session.execute(insert(FormerSlug).values(slug=before, sku=sku).on_conflict_do_nothing())


def _record_prices(sku: str, before: Mapping[str, int], after: Mapping[str, int], by: Actor) -> None:
    at = clock.now()
    db.session.add_all(
        PriceChange(sku=sku, currency=code, before=before.get(code), after=after.get(code), at=at, by=by)
        for code in CURRENCIES
        if before.get(code) != after.get(code)
    )
