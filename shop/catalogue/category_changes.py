"""Create, rename, order and delete categories."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, exists, func, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue import browse, product_fields
from shop.catalogue.models import Category, Product, Texts
from shop.core import audit, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.languages import ENGLISH, OFFERED
from shop.product_search import index

LONGEST = 80
"""Characters of a name."""
MOST = 50
"""Categories of the shop: every page of the catalogue lists them."""


def with_products() -> list[tuple[Category, int]]:
    """All categories in their order, with the number of their products, archived ones included. One statement."""
    number = select(func.count()).where(Product.category == Category.slug).scalar_subquery()
    found = db.session.execute(select(Category, number).order_by(Category.position, Category.slug))
    return [(row[0], row[1]) for row in found]


@transactional
def create(name: str, names: Mapping[str, str] | None = None, *, by: Actor) -> str:
    """Create a category behind the others and return its slug, which is made of its English name.

    `names` are translations by locale. Raises Forbidden; BadInput `bad_category`; Refusal `category_exists`,
    `too_many_categories`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    english, texts = _checked(name, names or {})
    slug = product_fields.slug_of(english)
    if not slug:
        raise BadInput("bad_category", "The English name needs letters from A to Z or digits, for the address.")
    _alone()
    number = db.session.scalar(select(func.count()).select_from(Category)) or 0
    if number >= MOST:
        raise Refusal("too_many_categories", f"A shop has at most {MOST} categories.")
    last = db.session.scalar(select(func.max(Category.position)))
    row = insert(Category).values(slug=slug, name=english, texts=texts, position=0 if last is None else last + 1)
    if not db.session.scalar(row.on_conflict_do_nothing().returning(Category.slug)):
        raise Refusal("category_exists", f"There is a category with the address {slug} already.")
    audit.record(by, Act.CATEGORY_CREATED, _subject(slug), after={"name": english, "texts": texts})
    after_commit(browse.clear_cache)
    return slug


@transactional
def rename(slug: str, name: str, names: Mapping[str, str], *, seen: int, by: Actor) -> None:
    """Give a category that had the version `seen` other names; its address stays. No effect if it has them already.

    Raises Forbidden; BadInput `bad_category`, `unknown_category`; Refusal `category_changed`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    english, given = _checked(name, names)
    category = _locked(slug)
    texts = {locale: kept for locale, kept in category.texts.items() if locale not in OFFERED} | given
    before, after = {"name": category.name, "texts": category.texts}, {"name": english, "texts": texts}
    if before == after:
        return
    if category.version != seen:
        message = f"The category was changed meanwhile. Its name is {category.name!r} now. Nothing was saved."
        raise Refusal("category_changed", message)
    category.name, category.texts, category.version = english, texts, category.version + 1
    audit.record(by, Act.CATEGORY_RENAMED, _subject(slug), before=before, after=after)
    after_commit(browse.clear_cache)


@transactional
def move(slug: str, place: int, *, by: Actor) -> None:
    """Put a category at a place of the order, from 0; the others keep their order. Safe to repeat.

    Raises Forbidden, and BadInput `unknown_category`.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    _alone()
    slugs = list(db.session.scalars(select(Category.slug).order_by(Category.position, Category.slug)))
    if slug not in slugs:
        raise _unknown(slug)
    before = slugs.index(slug)
    slugs.remove(slug)
    slugs.insert(max(0, place), slug)
    for position, each in enumerate(slugs):
        moved = (Category.slug == each, Category.position != position)
        if changed(update(Category).where(*moved).values(position=position)):
            index.set_shelf(each, position)
    if slugs.index(slug) != before:
        after = {"place": slugs.index(slug) + 1}
        audit.record(by, Act.CATEGORY_MOVED, _subject(slug), before={"place": before + 1}, after=after)
        after_commit(browse.clear_cache)


@transactional
def remove(slug: str, *, by: Actor) -> None:
    """Delete a category without products. Releases do not insert it again.

    Raises Forbidden; BadInput `unknown_category`; Refusal `category_in_use`, also for archived products.
    """
    rights.demand(by, Permission.PRODUCT_WRITE)
    category = _locked(slug)
    is_empty = ~exists().where(Product.category == slug)
    if not changed(delete(Category).where(Category.slug == slug, is_empty)):
        message = "The category has products. Give them another category first; archived ones count too."
        raise Refusal("category_in_use", message)
    db.session.expunge(category)
    audit.record(by, Act.CATEGORY_REMOVED, _subject(slug), before={"name": category.name, "texts": category.texts})
    after_commit(browse.clear_cache)


def _checked(name: str, names: Mapping[str, str]) -> tuple[str, Texts]:
    given = {locale: text.tidy(typed) for locale, typed in {ENGLISH: name, **names}.items()}
    if not given[ENGLISH]:
        raise BadInput("bad_category", "Enter a name in English. Other languages show it where they have none.")
    if any(text.is_unusable(one) or len(one) > LONGEST for one in given.values()):
        raise BadInput("bad_category", f"A name has at most {LONGEST} characters, without control characters.")
    return given.pop(ENGLISH), {locale: {"name": one} for locale, one in given.items() if one}


def _locked(slug: str) -> Category:
    of = select(Category).where(Category.slug == slug).with_for_update().execution_options(populate_existing=True)
    category = db.session.scalars(of).one_or_none()
    if category is None:
        raise _unknown(slug)
    return category


def _unknown(slug: str) -> BadInput:
    return BadInput("unknown_category", f"There is no category {slug[:LONGEST]}.")


def _alone() -> None:
    alone_until_commit(db.session, "categories")


def _subject(slug: str) -> Subject:
    return Subject(SubjectKind.CATEGORY, slug)
