"""The initial catalogue, read from `initial_catalogue.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping, select, update

from shop.catalogue import search_entries
from shop.catalogue.models import Category, InitialTexts, Product
from shop.core.db import db, insert, table

_FILE = Path(__file__).with_name("initial_catalogue.toml")


def read() -> dict[str, list[dict[str, Any]]]:
    """The categories and products of the file."""
    return tomllib.loads(_FILE.read_text())


def insert_missing() -> dict[str, int]:
    """Insert missing categories and products, and missing translations, in the caller's transaction, of which only one
    runs at a time.

    Existing rows are not changed but for translations. Returns the initial stock by SKU of the products of the initial
    catalogue that exist.
    """
    catalogue = read()
    kinds = ("slug", "name", "texts")
    categories = [{c: kind[c] for c in kinds} | {"position": i} for i, kind in enumerate(catalogue["category"])]
    columns = ("sku", "slug", "name", "category", "summary", "description", "image", "prices", "texts")
    products = [{c: p[c] for c in columns} | {"position": i} for i, p in enumerate(catalogue["product"])]
    _insert(Category, "slug", _never_deleted(categories))
    there = set(db.session.scalars(select(Category.slug)))
    _insert(Product, "sku", [product for product in products if product["category"] in there])
    units = {p["sku"]: p["stock"] for p in catalogue["product"]}
    existing = set(db.session.scalars(select(Product.sku).where(Product.sku.in_(units))))
    return {sku: number for sku, number in units.items() if sku in existing}


def _insert(model: type[Category | Product], key: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        # for all indexes: a merchant's own product may have the SKU or the slug of an initial one
        db.session.execute(insert(model).on_conflict_do_nothing(), rows)
        _insert_texts(model, key, {row[key]: row for row in rows})


def _never_deleted(categories: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The initial categories without those that were inserted before and are missing: a merchant has deleted them."""
    of = table(InitialTexts).c
    inserted = set(db.session.scalars(select(of.key).where(of.table_name == table(Category).name)))
    deleted = inserted - set(db.session.scalars(select(Category.slug)))
    return [category for category in categories if category["slug"] not in deleted]


def _insert_texts(model: type[Category | Product], key: str, initial: Mapping[str, Mapping[str, Any]]) -> None:
    """Insert the translations of rows of an older catalogue: each language once, so that what a merchant deletes stays
    deleted.
    """
    rows, done = table(model), table(InitialTexts)
    names = select(done.c.key, done.c.locale).where(done.c.table_name == rows.name)
    known = {(row.key, row.locale) for row in db.session.execute(names)}
    offered = []
    for stored in db.session.execute(
        select(rows).where(rows.c[key].in_(initial)).order_by(rows.c[key]).with_for_update()
    ).mappings():
        first = initial[stored[key]]
        new = [locale for locale in first["texts"] if (stored[key], locale) not in known]
        added = {locale: found for locale in new if (found := _completed(stored, first, locale))}
        texts = {**stored["texts"], **added}
        if texts != stored["texts"]:
            db.session.execute(update(rows).where(rows.c[key] == stored[key]).values(texts=texts))
            if model is Product:
                search_entries.write([stored[key]])
        offered += [{"table_name": rows.name, "key": stored[key], "locale": locale} for locale in new]
    if offered:
        db.session.execute(done.insert(), offered)


def _completed(stored: RowMapping, first: Mapping[str, Any], locale: str) -> dict[str, str]:
    """The texts of a row in a language, with the initial ones that are missing and whose English text is unchanged."""
    initial = {name: text for name, text in first["texts"][locale].items() if stored[name] == first[name]}
    return {**initial, **stored["texts"].get(locale, {})}
