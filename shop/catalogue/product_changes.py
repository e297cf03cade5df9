"""Changes of products: decided one after the other, and written together in the caller's transaction.

A form changes one product and a file many, by the same rules. A change that is refused writes nothing, so the others of
the transaction can be written without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import browse, product_fields, search_entries
from shop.catalogue.models import Category, FormerSlug, PriceChange, Product
from shop.catalogue.product_fields import Fields, InvalidFields
from shop.core import audit, clock
from shop.core.actor import Actor
from shop.core.audit import Act, Entry, Subject, SubjectKind
from shop.core.db import OutdatedSnapshot, after_commit, db, insert, table
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.languages import OFFERED
from shop.core.money import CURRENCIES

NO_PICTURE = "art/no-picture.svg"
"""The illustration of products that have none."""
_OF_FIELDS = ("slug", "category", "position", "tax_class", "name", "summary", "description")


class Stale(Refusal):
    """The product has changed since the form was opened. `version` is the present one."""

    def __init__(self, version: int) -> None:
        message = "This product was changed after you opened the form. Your entries are not saved yet."
        super().__init__("product_changed", message, version=version)


def subject(sku: str) -> Subject:
    """A product as the subject of an act."""
    return Subject(SubjectKind.PRODUCT, sku)


def locked(skus: Collection[str]) -> dict[str, Product]:
    """The products that exist, by SKU, locked in this order until the transaction ends. One statement."""
    of = select(Product).where(Product.sku.in_(skus)).order_by(Product.sku).with_for_update()
    return {one.sku: one for one in db.session.scalars(of.execution_options(populate_existing=True))}


class Changes:
    """Changes of some products by a person; `products` are those that existed, locked. `write` ends them.

    Raises Forbidden.
    """

    def __init__(self, skus: Collection[str], by: Actor) -> None:
        rights.demand(by, Permission.PRODUCT_WRITE)
        self.products, self._by = locked(skus), by
        self._new: list[dict[str, Any]] = []
        self._prices: list[dict[str, Any]] = []
        self._moved: dict[str, tuple[str, str]] = {}
        self._entries: list[Entry] = []
        self._categories: set[str] = set()
        self._owners: dict[str, str | None] = {}
        self._former: dict[str, str] = {}

    def product(self, sku: str) -> Product:
        """The product. Raises BadInput `unknown_sku`."""
        if sku not in self.products:
            raise BadInput("unknown_sku", f"There is no product {sku[:64]}.")
        return self.products[sku]

    def create(self, sku: str, fields: Fields, *, is_archived: bool) -> None:
        """Add a product. Raises InvalidFields, also for an SKU or a slug that another product has."""
        if sku in self.products:
            raise InvalidFields({"sku": f"There is a product {sku} already."})
        self._check_category(fields.category)
        self._take_slug(fields.slug, sku)
        values = {name: getattr(fields, name) for name in _OF_FIELDS}
        values |= {"prices": dict(fields.prices), "texts": fields.texts}
        archived_at = clock.now() if is_archived else None
        self._new.append({"sku": sku, "image": NO_PICTURE, "archived_at": archived_at, **values})
        self._record_prices(sku, {}, fields.prices)
        after = {name: typed for name, typed in product_fields.as_typed(fields).items() if typed}
        after |= {"state": "archived"} if is_archived else {}
        self._entries.append(Entry(Act.PRODUCT_CREATED, subject(sku), after={**after, "version": 1}))

    def save(self, sku: str, fields: Fields, *, seen: int) -> dict[str, list[str]]:
        """Change a product that had the version `seen`, and return the changed fields with their values before and
        after, as text; none if it has these values already.

        Raises BadInput `unknown_sku`; InvalidFields; Stale.
        """
        product = self.product(sku)
        texts = {locale: kept for locale, kept in product.texts.items() if locale not in OFFERED} | fields.texts
        before = product_fields.as_typed(product)
        after = product_fields.as_typed(Fields(**{**fields.__dict__, "texts": texts}))
        found = {name: [before.get(name, ""), typed] for name, typed in after.items() if typed != before.get(name, "")}
        if not found:
            return {}
        if product.version != seen:
            raise Stale(product.version)
        if fields.category != product.category:
            self._check_category(fields.category)
        if fields.slug != product.slug:
            self._take_slug(fields.slug, sku)
            self._moved[sku] = (product.slug, fields.slug)
        self._record_prices(sku, product.prices, fields.prices)
        product.slug, product.category, product.position = fields.slug, fields.category, fields.position
        product.name, product.summary, product.description = fields.name, fields.summary, fields.description
        product.prices, product.texts, product.tax_class = dict(fields.prices), texts, fields.tax_class
        self.note(sku, Act.PRODUCT_CHANGED, found)
        return found

    def set_price(self, sku: str, currency: str, amount: int) -> int | None:
        """Set the price of a product in one currency and return the previous one, in minor units."""
        product = self.product(sku)
        before: int | None = product.prices.get(currency)
        if before != amount:
            prices = {**product.prices, currency: amount}
            self._record_prices(sku, product.prices, prices)
            product.prices = prices
            shown = [product_fields.price_text(one, currency) for one in (before, amount)]
            self.note(sku, Act.PRICE_SET, {f"price.{currency}": shown})
        return before

    def set_archived(self, sku: str, is_archived: bool) -> dict[str, list[str]]:
        """Archive or restore a product, and return the change of its state; none if it is so already."""
        product = self.product(sku)
        if (product.archived_at is not None) is is_archived:
            return {}
        product.archived_at = clock.now() if is_archived else None
        found = {"state": ["active", "archived"] if is_archived else ["archived", "active"]}
        self.note(sku, Act.PRODUCT_ARCHIVED if is_archived else Act.PRODUCT_RESTORED, found)
        return found

    def note(self, sku: str, act: Act, found: Mapping[str, Sequence[str]]) -> None:
        """Count a change that was made to a product, with the values before and after."""
        product = self.product(sku)
        product.version += 1
        before, after = ({name: values[at] for name, values in found.items()} for at in (0, 1))
        self._entries.append(Entry(act, subject(sku), before=before, after={**after, "version": product.version}))

    def look_up(self, slugs: Collection[str]) -> None:
        """Read who has these slugs, and had them before. From then on only this transaction changes slugs."""
        new = [slug for slug in slugs if slug not in self._owners]
        if not new:
            return
        alone_until_commit(db.session, "slugs")
        with db.session.no_autoflush:
            self._owners |= dict.fromkeys(new)
            self._owners |= dict(
                db.session.execute(select(Product.slug, Product.sku).where(Product.slug.in_(new))).all()
            )
            of = select(FormerSlug.slug, FormerSlug.sku).where(FormerSlug.slug.in_(new))
            self._former |= dict(db.session.execute(of).all())

    def write(self, *, is_trial: bool = False) -> None:
        """Write the changes; as a trial, which is rolled back, without the search, which refuses nothing.

        Raises OutdatedSnapshot if another process has added one of the products meanwhile.
        """
        if not self._entries:
            return
        if self._new:
            row = insert(Product, plain=True).on_conflict_do_nothing(index_elements=["sku"]).returning(Product.sku)
            if len(db.session.execute(row, self._new).all()) < len(self._new):
                raise OutdatedSnapshot
        db.session.flush()
        self._write_slugs()
        if self._prices:
            db.session.execute(table(PriceChange).insert(), self._prices)
        if not is_trial:
            search_entries.write({entry.subject.id for entry in self._entries})
        audit.record_all(self._by, self._entries)
        after_commit(browse.clear_cache)

    def _write_slugs(self) -> None:
        if self._moved:
            taken = [after for _, after in self._moved.values()]
            db.session.execute(delete(FormerSlug).where(FormerSlug.slug.in_(taken)))
            left = [{"slug": before, "sku": sku} for sku, (before, _) in sorted(self._moved.items())]
            db.session.execute(insert(FormerSlug, plain=True).on_conflict_do_nothing(), left)

    def _check_category(self, slug: str) -> None:
        """Lock the category against deletion. Raises InvalidFields if there is none."""
        if slug in self._categories:
            return
        with db.session.no_autoflush:
            of = select(Category.slug).where(Category.slug == slug).with_for_update(read=True)
            if db.session.scalar(of) is None:
                known = db.session.scalars(select(Category.slug).order_by(Category.position).limit(20))
                raise InvalidFields({"category": f"There is no category {slug!r}. Categories are {', '.join(known)}."})
        self._categories.add(slug)

    def _take_slug(self, slug: str, sku: str) -> None:
        """Give a product a slug. Raises InvalidFields if another one has, or had, it."""
        self.look_up([slug])
        owner, former = self._owners[slug], self._former.get(slug, sku)
        if owner not in (None, sku):
            raise InvalidFields({"slug": f"The product {owner} has this address."})
        if former != sku:
            raise InvalidFields({"slug": f"The product {former} had this address before; links to it lead there."})
        self._owners[slug] = sku
        if sku in self.products:
            self._owners[self.products[sku].slug], self._former[self.products[sku].slug] = None, sku

    def _record_prices(self, sku: str, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        of = {"sku": sku, "at": clock.now(), "by": self._by}
        self._prices += [
            of | {"currency": code, "before": before.get(code), "after": after.get(code)}
            for code in CURRENCIES
            if before.get(code) != after.get(code)
        ]
