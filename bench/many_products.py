"""Products with texts in four languages, as many as wanted, made by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select

from bench.filled_shop import bulk
from shop.catalogue import search_entries
from shop.catalogue.models import Category, Product
from shop.core import clock
from shop.core.db import Base, db, table, transaction
from shop.inventory.models import Stock, StockMovement
from shop.product_search.models import SearchEntry, SearchName, SearchPrice

CATEGORIES = 12
DISTINCT = 10_000
_IN_A_PART = 500
_SYLLABLES = [consonant + vowel for consonant in "bcdfghklmnprstvw" for vowel in "aeiou"]
_HAN = [chr(0x4E00 + 7 * number) for number in range(1500)]
_KANA = [chr(code) for code in range(0x30A2, 0x30ED)]


@dataclass(frozen=True)
class Vocabulary:
    """Words of a language, the frequent ones first; `drawn` repeats them by their frequency."""

    words: Sequence[str]
    between: str

    def text(self, number: int, dice: random.Random) -> str:
        # the word of rank n is drawn in proportion to 1/n, as in natural texts
        ranks = (int(len(self.words) ** dice.random()) - 1 for _ in range(number))
        return self.between.join(self.words[rank] for rank in ranks)


def vocabularies() -> dict[str, Vocabulary]:
    """English, Traditional and Simplified Chinese, and Japanese."""
    dice = random.Random(1)

    def words(letters: Sequence[str], least: int, most: int) -> list[str]:
        found = ("".join(dice.choices(letters, k=dice.randint(least, most))) for _ in range(12_000))
        return list(dict.fromkeys(found))[:6000]

    mixed = words(_KANA, 3, 6)[:3000] + words(_HAN, 2, 2)[:3000]
    dice.shuffle(mixed)
    return {
        "en": Vocabulary(words(_SYLLABLES, 2, 4), " "),
        "zh_Hant": Vocabulary(words(_HAN, 2, 2), ""),
        "zh_Hans": Vocabulary(words(_HAN, 2, 2), ""),
        "ja": Vocabulary(mixed, ""),
    }


def add_categories(of: dict[str, Vocabulary], dice: random.Random) -> None:
    """Insert the categories of the products."""
    with transaction():
        for place in range(CATEGORIES):
            names = {locale: {"name": each.text(2, dice)} for locale, each in of.items() if locale != "en"}
            row = {
                "slug": f"kind-{place}",
                "name": of["en"].text(2, dice).title(),
                "texts": names,
                "position": place + 1,
            }
            db.session.execute(insert(Category), [row])


def fill(number: int) -> None:
    """Insert categories, `number` products with their stock, and their entries of the index. DISTINCT of the products
    have texts of their own, the others are copies, made in SQL.
    """
    of, dice = vocabularies(), random.Random(2)
    add_categories(of, dice)
    with bulk(db.engine), _full_text_at_the_end():
        distinct = min(number, DISTINCT)
        for first in range(0, distinct, _IN_A_PART):
            products = [product(at, of, dice) for at in range(first, min(distinct, first + _IN_A_PART))]
            units = [{"sku": row["sku"], "on_hand": dice.choice((0, 3, 40)), "reserved": 0} for row in products]
            with transaction():
                db.session.execute(insert(Product), products)
                db.session.execute(insert(Stock), units)
                moved = [{"sku": u["sku"], "quantity": u["on_hand"]} for u in units if u["on_hand"]]
                received = [row | {"kind": "receipt", "at": clock.wall()} for row in moved]
                db.session.execute(insert(StockMovement), received)
                search_entries.write([row["sku"] for row in products])
        for copy in range(1, -(-number // DISTINCT)):
            _copy(copy)


def _copy(number: int) -> None:
    """Copy the products that have texts of their own, with a number behind SKU and slug."""
    end = f"-{number}"
    copied = {
        "products": ("sku", "slug"),
        "stock": ("sku",),
        "stock_movements": ("sku",),
        "search_entries": ("sku",),
    }
    with db.engine.begin() as connection:
        for name, changed in copied.items():
            rows = Base.metadata.tables[name]
            columns = [one for one in rows.c if one.name != "id"]
            values = [one + end if one.name in changed else one for one in columns]
            first = rows.c.sku.like("P______")
            connection.execute(rows.insert().from_select(columns, select(*values).where(first), include_defaults=False))
        entries = table(SearchEntry)
        of = entries.alias()
        for rows in (table(SearchPrice), table(SearchName)):
            paired = rows.join(of, of.c.id == rows.c.entry_id).join(entries, entries.c.sku == of.c.sku + end)
            others = [one for one in rows.c if one.name != "entry_id"]
            found = select(entries.c.id, *others).select_from(paired)
            connection.execute(rows.insert().from_select(["entry_id", *(one.name for one in others)], found))


@contextmanager
def _full_text_at_the_end() -> Iterator[None]:
    """On SQLite, fill the full-text table at the end, which is several times as fast."""
    triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'search_entries_%'"
    if db.engine.dialect.name == "postgresql":
        yield
        return
    with db.engine.begin() as connection:
        found = connection.exec_driver_sql(triggers).all()
        for name, _ in found:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    yield
    with db.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO search_index (search_index) VALUES ('rebuild')")
        for _, definition in found:
            connection.exec_driver_sql(definition)


def product(at: int, of: dict[str, Vocabulary], dice: random.Random) -> dict[str, Any]:
    """A row of the products."""
    texts = {
        locale: {
            "name": each.text(3, dice),
            "summary": each.text(10, dice),
            "description": each.text(35, dice),
        }
        for locale, each in of.items()
    }
    english = texts.pop("en")
    price = dice.randrange(100, 9900)
    return {
        "sku": f"P{at:06}",
        "slug": f"product-{at}",
        "category": f"kind-{min(dice.randrange(CATEGORIES), dice.randrange(CATEGORIES))}",
        "image": "art/no-picture.svg",
        "position": at,
        "prices": {"TWD": price * 100, "JPY": price * 5, "USD": price * 3},
        "texts": texts,
        **english,
        "name": english["name"].title(),
    }
