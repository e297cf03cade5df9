"""Write the index, in the transaction that changes a product."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, bindparam, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from shop.core.db import db, insert, table
from shop.product_search import spelling, tokens
from shop.product_search.models import SearchEntry, SearchName, SearchPrice, SearchSpelling, SearchWord
from shop.product_search.query import CATEGORY, IN_NAME

_ENTRIES, _PRICES, _NAMES = table(SearchEntry), table(SearchPrice), table(SearchName)
_IN_STATEMENT = 500
"""Rows of a statement, below the number of parameters that SQLite takes."""


@dataclass(frozen=True)
class Listed:
    """Data of a product in the index: its place in the list, unit prices, its texts in all languages, and the name that
    is shown in each language.
    """

    sku: str
    category: str
    shelf: int
    position: int
    version: int
    names: Sequence[str]
    texts: Sequence[str]
    prices: Mapping[str, int] = field(default_factory=dict, hash=False)
    shown: Mapping[str, str] = field(default_factory=dict, hash=False)

    def analysed(self) -> tuple[set[str], set[str]]:
        """All tokens of the texts, those of names with their sign too, and the category; and the words that typing
        errors are corrected to.
        """
        named, others = (list(map(tokens.read, texts)) for texts in (self.names, self.texts))
        in_names: set[str] = set().union(*map(tokens.of_runs, named))
        signed = (IN_NAME + one for one in in_names)
        found = in_names.union(*map(tokens.of_runs, others), signed, [CATEGORY + self.category])
        words = {run.text for runs in (*named, *others) for run in runs if not run.is_cjk}
        return found, set(filter(spelling.is_corrected, words))


def put(products: Sequence[Listed]) -> set[str]:
    """Write the entries of products, in the caller's transaction, and return their words. Safe to repeat."""
    if not products:
        return set()
    rows: list[dict[str, Any]] = []
    words: set[str] = set()
    for one in sorted(products, key=lambda one: one.sku):
        place = {name: getattr(one, name) for name in ("sku", "category", "shelf", "position")}
        found, spelt = one.analysed()
        words |= spelt
        rows.append(place | {"product_version": one.version, "edition": tokens.EDITION, "given_words": _stored(found)})
    into = insert(SearchEntry, plain=True)
    columns = [one.name for one in _ENTRIES.c if one.name not in ("id", "sku")]
    updated = {name: into.excluded[name] for name in columns}
    statement = into.values(words=_words()).on_conflict_do_update(index_elements=["sku"], set_=updated)
    db.session.connection().execute(statement, rows)
    _put_rows(_PRICES, products, _prices)
    _put_rows(_NAMES, products, _names)
    _put_words(words)
    return words


def remove(skus: Collection[str]) -> None:
    """Remove the entries of products, in the caller's transaction."""
    for some in _parts(sorted(skus)):
        ids = select(_ENTRIES.c.id).where(_ENTRIES.c.sku.in_(some))
        for of in (_PRICES, _NAMES):
            db.session.execute(delete(of).where(of.c.entry_id.in_(ids)))
        db.session.execute(delete(_ENTRIES).where(_ENTRIES.c.sku.in_(some)))


def set_shelf(category: str, shelf: int) -> None:
    """Move all entries of a category to another place of the list, in the caller's transaction."""
    moved = (_ENTRIES.c.category == category, _ENTRIES.c.shelf != shelf)
    db.session.execute(update(_ENTRIES).where(*moved).values(shelf=shelf))


def words() -> set[str]:
    """The words that typing errors are corrected to."""
    return set(db.session.scalars(select(SearchWord.word)))


def forget_words(unused: Collection[str]) -> None:
    """Remove words that no product has, in the caller's transaction."""
    for some in _parts(sorted(unused)):
        db.session.execute(delete(SearchSpelling).where(SearchSpelling.word.in_(some)))
        db.session.execute(delete(SearchWord).where(SearchWord.word.in_(some)))


def _prices(one: Listed) -> list[dict[str, Any]]:
    return [{"currency": currency, "amount": amount} for currency, amount in one.prices.items()]


def _names(one: Listed) -> list[dict[str, Any]]:
    return [{"language": language, "name": tokens.sorted_as(name)} for language, name in one.shown.items()]


def _put_rows(into: Table, products: Sequence[Listed], values: Callable[[Listed], list[dict[str, Any]]]) -> None:
    """Replace the rows of the products' entries in a table, where they are others."""
    by_sku = {one.sku: values(one) for one in products}
    rows: list[dict[str, Any]] = []
    for some in _parts(sorted(by_sku)):
        found = db.session.execute(select(_ENTRIES.c.id, _ENTRIES.c.sku).where(_ENTRIES.c.sku.in_(some)))
        ids = {row.id: row.sku for row in found}
        stored: dict[int, set[tuple[Any, ...]]] = {entry_id: set() for entry_id in ids}
        for entry_id, *others in db.session.execute(select(into).where(into.c.entry_id.in_(ids))):
            stored[entry_id].add(tuple(others))
        other = [one for one, sku in ids.items() if stored[one] != {tuple(row.values()) for row in by_sku[sku]}]
        if other:
            db.session.execute(delete(into).where(into.c.entry_id.in_(other)))
            rows += [{"entry_id": one, **row} for one in other for row in by_sku[ids[one]]]
    if rows:
        db.session.execute(into.insert(), rows)


def _put_words(words: Collection[str]) -> None:
    """Add words that are new, in order, so that two transactions with the same words wait for each other in turn."""
    known: set[str] = set()
    for some in _parts(sorted(words)):
        known.update(db.session.scalars(select(SearchWord.word).where(SearchWord.word.in_(some))))
    new = sorted(set(words) - known)
    spellings = [{"rest": rest, "word": word} for word in new for rest in sorted(spelling.deletions(word))]
    if new:
        connection = db.session.connection()
        connection.execute(insert(SearchSpelling, plain=True).on_conflict_do_nothing(), spellings)
        connection.execute(insert(SearchWord, plain=True).on_conflict_do_nothing(), [{"word": word} for word in new])


def _is_postgres() -> bool:
    return db.engine.dialect.name == "postgresql"


def _stored(found: Iterable[str]) -> list[str] | str:
    return sorted(found) if _is_postgres() else " ".join(sorted(found))


def _words() -> Any:
    if _is_postgres():
        return func.array_to_tsvector(cast(bindparam("given_words", type_=ARRAY(Text)), ARRAY(Text)))
    return bindparam("given_words", type_=Text)


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[at : at + _IN_STATEMENT] for at in range(0, len(values), _IN_STATEMENT))
