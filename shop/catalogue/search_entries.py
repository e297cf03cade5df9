"""The entries of products in the index of product search, written in the transaction that changes the products."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import ColumnElement, RowMapping, and_, or_, select

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.catalogue.models import Category, Product
from shop.core import audit
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, table, transactional
from shop.core.languages import OFFERED, text_in
from shop.product_search import index, tokens
from shop.product_search.index import Listed
from shop.product_search.models import SearchEntry

IN_A_PART = 200
"""Products that one transaction writes."""
_CATEGORIES, _PRODUCTS, _ENTRIES = table(Category), table(Product), table(SearchEntry)
_FIELDS = ("sku", "category", "position", "version", "name", "summary", "description", "prices", "texts", "archived_at")


def write(skus: Collection[str]) -> set[str]:
    """Make the entries of products what the products are now, in the caller's transaction, which has locked them or
    inserted them. Safe to repeat. Returns their words.
    """
    columns = (*(_PRODUCTS.c[name] for name in _FIELDS), _CATEGORIES.c.position.label("shelf"))
    of = select(*columns).join_from(_PRODUCTS, _CATEGORIES, _CATEGORIES.c.slug == _PRODUCTS.c.category)
    db.session.flush()
    rows = db.session.execute(of.where(_PRODUCTS.c.sku.in_(skus))).mappings().all()
    index.remove({row["sku"] for row in rows if row["archived_at"] is not None})
    return index.put([_listed(row) for row in rows if row["archived_at"] is None])


def stale(limit: int = IN_A_PART, *, only_older: bool = False) -> list[str]:
    """Products whose entries are missing, of another version, or should not exist. With `only_older`, entries by later
    rules are left as they are: two versions that run at a time would write them over and over.
    """
    of = select(_PRODUCTS.c.sku).outerjoin_from(_PRODUCTS, _ENTRIES, _ENTRIES.c.sku == _PRODUCTS.c.sku)
    return list(db.session.scalars(of.where(_is_stale(only_older)).order_by(_PRODUCTS.c.sku).limit(limit)))


def write_stale() -> int:
    """Write what is missing or outdated, part by part, and return the number of products: a release calls this, because
    products may be older than the index, its rules may have changed, and an older version writes none.
    """
    done = 0
    while skus := stale():
        db.session.rollback()
        _write_part(skus)
        done += len(skus)
    db.session.rollback()
    return done


def rebuild(*, by: Actor, progress: Callable[[int], None] = lambda done: None) -> int:
    """Write all entries again, part by part, and return the number of products. The search works meanwhile.

    Raises Forbidden.
    """
    known = _begin_rebuild(by)
    done, last, used = 0, "", set[str]()
    while skus := _after(last):
        used |= _write_part(skus)
        done, last = done + len(skus), skus[-1]
        progress(done)
    _forget(known - used)
    return done


@transactional
def _begin_rebuild(by: Actor) -> set[str]:
    """Record the rebuilding, and return the words of the index."""
    rights.demand(by, Permission.PRODUCT_WRITE)
    audit.record(
        by, Act.SEARCH_REBUILT, Subject(SubjectKind.SEARCH_INDEX, "products"), after={"edition": tokens.EDITION}
    )
    return index.words()


@transactional
def _forget(words: Collection[str]) -> None:
    index.forget_words(words)


def write_one(sku: str) -> None:
    """Write the entry of a product. Safe to repeat."""
    _write_part([sku])


@transactional
def _write_part(skus: Sequence[str]) -> set[str]:
    db.session.execute(
        select(_PRODUCTS.c.sku).where(_PRODUCTS.c.sku.in_(skus)).order_by(_PRODUCTS.c.sku).with_for_update()
    )
    return write(skus)


def _after(sku: str) -> list[str]:
    found = select(_PRODUCTS.c.sku).where(_PRODUCTS.c.sku > sku).order_by(_PRODUCTS.c.sku).limit(IN_A_PART)
    skus = list(db.session.scalars(found))
    db.session.rollback()
    return skus


def _is_stale(only_older: bool) -> ColumnElement[bool]:
    is_listed, has_entry = _PRODUCTS.c.archived_at.is_(None), _ENTRIES.c.sku.is_not(None)
    edition = _ENTRIES.c.edition
    by_other_rules = edition < tokens.EDITION if only_older else edition != tokens.EDITION
    is_other = or_(_ENTRIES.c.product_version != _PRODUCTS.c.version, by_other_rules)
    return or_(and_(is_listed, or_(~has_entry, is_other)), and_(~is_listed, has_entry))


def _listed(row: RowMapping) -> Listed:
    translated = list(row["texts"].values())
    names = [row["name"], *(texts.get("name", "") for texts in translated)]
    others = [row["summary"], row["description"]]
    others += [texts.get(name, "") for texts in translated for name in ("summary", "description")]
    shown = {locale: text_in(row["texts"], locale, "name", row["name"]) for locale in OFFERED}
    place = (row["sku"], row["category"], row["shelf"], row["position"], row["version"])
    return Listed(*place, names, others, prices=row["prices"], shown=shown)
