"""Pages of products: the list of the catalogue and the results of a search, with their filters and orders.

SQLite reads the matches from its FTS5 table, in the order of ids. Where there are many, it reads prices or names in
their order instead and looks each up among the matches (see `Source`). Statements end after the page. PostgreSQL plans
by its own statistics, but it takes rare tokens for frequent ones and does not know what reading `words` costs: it reads
entries in the order of ids only where some of the first ones match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy import table as named_table
from sqlalchemy.dialects.postgresql import TSQUERY

from shop.core.db import db, table
from shop.core.languages import ENGLISH
from shop.core.prefix import begins_with
from shop.inventory.models import Stock
from shop.product_search import query, spelling
from shop.product_search.models import SearchEntry, SearchName, SearchPrice, SearchSpelling, SearchWord
from shop.product_search.query import CATEGORY, Condition, Part, Term

PAGE = 24
"""Products on a page."""
MOST = 1008
"""Products that can be listed; a narrower search shows others. A multiple of PAGE."""
MANY, MOST_COLLECTED = 1_000, 12_000
"""Matches from which on SQLite reads prices or names in their order, and up to which it collects them before."""
FEW_PRICES = 500
"""Prices in a range up to which SQLite reads all of them before the matches."""
_SAMPLE, _FREQUENT_IN_SAMPLE = 50, 5
_CANDIDATES = 300
_ENTRIES, _PRICES, _NAMES, _STOCK = table(SearchEntry), table(SearchPrice), table(SearchName), table(Stock)
_FTS = named_table("search_index", column("rowid"))


class Sort(StrEnum):
    """Order of a list. RELEVANCE is the order of the catalogue where nothing was searched for."""

    RELEVANCE = "relevance"
    CHEAPEST = "price"
    DEAREST = "price-desc"
    NEWEST = "newest"
    NAME = "name"


class Source(StrEnum):
    """Rows that SQLite reads first for a list: the matches; the prices of a narrow range; or all prices or names in
    order, until the page is full. Of the last, an entry is looked up among the collected matches, or where these are
    very many, its text is searched.
    """

    MATCHES = "matches"
    FEW_PRICES = "few prices"
    IN_ORDER = "in order"
    IN_ORDER_BY_TEXT = "in order, by text"


BY_PRICE = (Sort.CHEAPEST, Sort.DEAREST)
BY_INDEX = (*BY_PRICE, Sort.NAME)
"""Orders of an index of another table than the entries."""


@dataclass(frozen=True)
class Wanted:
    """A list of products. Prices are minor units of `currency`; a list by price has only products that have one.
    Names are those of `language`. Products are counted up to `counted`.
    """

    q: str = ""
    category: str = ""
    currency: str = ""
    least: int | None = None
    most: int | None = None
    in_stock: bool = False
    sort: Sort = Sort.RELEVANCE
    offset: int = 0
    limit: int = PAGE
    counted: int = MOST
    language: str = ENGLISH

    @property
    def needs_price(self) -> bool:
        return self.least is not None or self.most is not None or self.sort in BY_PRICE


@dataclass(frozen=True)
class Found:
    """Available units of the products of a page by SKU, in order; the number of products that match, one more than
    `counted` if there are more; the parts of the query; and the spelling that was searched for instead of typed words
    that no product has.
    """

    available: dict[str, int]
    number: int
    parts: Sequence[Part] = ()
    corrections: Mapping[str, str] = field(default_factory=dict, hash=False)


def page(wanted: Wanted, categories: Mapping[str, frozenset[str]]) -> Found:
    """A page of products. `categories` are the tokens of the names of each category by its slug."""
    if not wanted.q:
        return Found(*_page(wanted, []))
    parts = query.parse(wanted.q)
    if not parts:
        return Found({}, 0)
    found = _page(wanted, query.ranks(parts, categories))
    corrections = {} if found[1] else _corrections(parts)
    if corrections:
        parts = query.corrected(parts, corrections)
        found = _page(wanted, query.ranks(parts, categories))
    return Found(*found, parts, {typed: words[0] for typed, words in corrections.items()} if found[1] else {})


# --- spelling ---


def _corrections(parts: Sequence[Part]) -> dict[str, list[str]]:
    """Other spellings of the words that no product has."""
    found: dict[str, list[str]] = {}
    for part in parts:
        if part.is_word and spelling.is_corrected(part.typed) and not _is_known(part.typed):
            rests = spelling.deletions(part.typed)
            of = select(SearchSpelling.word).where(SearchSpelling.rest.in_(rests)).distinct().limit(_CANDIDATES)
            if words := spelling.nearest(part.typed, db.session.scalars(of)):
                found[part.typed] = words
    return found


def _is_known(word: str) -> bool:
    of = select(SearchWord.word).where(begins_with(SearchWord.word, word)).limit(1)
    return db.session.scalar(of) is not None


# --- statements ---


def _page(wanted: Wanted, ranks: Sequence[Condition]) -> tuple[dict[str, int], int]:
    """Available units by SKU in order, and the number of products."""
    ranks = _in_category(ranks, wanted.category)
    source = _source(wanted, ranks)
    rows: Sequence[Any] = ()
    is_word = bool(ranks) and len(ranks[0]) == 1 + bool(wanted.category)
    if is_word and wanted.sort is Sort.RELEVANCE and source is Source.MATCHES:
        rows = _read(wanted, ranks[:1], source)  # the best rank of a frequent word fills the page alone
    if len(rows) <= wanted.limit:
        rows = _read(wanted, ranks, source)
    found = {row[0]: row[1] for row in rows[: wanted.limit]}
    is_last = len(rows) <= wanted.limit and (rows or not wanted.offset)
    return found, wanted.offset + len(rows) if is_last else _count(wanted, ranks, source)


def _read(wanted: Wanted, ranks: Sequence[Condition], source: Source) -> Sequence[Any]:
    """SKUs and available units of the products of a page, and of one more."""
    chosen = _chosen(wanted, ranks, source).subquery()
    units = func.coalesce(_STOCK.c.on_hand - _STOCK.c.reserved, 0)
    of = select(chosen.c.sku, units).outerjoin_from(chosen, _STOCK, _STOCK.c.sku == chosen.c.sku)
    order = [chosen.c[name].desc() if is_down else chosen.c[name] for name, is_down in _order(wanted, ranks)]
    return db.session.execute(of.order_by(*order)).all()


def _source(wanted: Wanted, ranks: Sequence[Condition]) -> Source:
    """The table from which SQLite reads a list of matches."""
    if _is_postgres() or not (ranks or wanted.category):
        return Source.MATCHES
    if wanted.least is not None or wanted.most is not None:
        first = select(literal(1)).where(*_prices(wanted, _PRICES.c.currency)).limit(FEW_PRICES + 1)
        if _number(first) <= FEW_PRICES:
            return Source.FEW_PRICES
    if wanted.sort in BY_INDEX:
        of_category = select(_ENTRIES.c.id).where(_ENTRIES.c.category == wanted.category)
        matches = _matches(query.exact(ranks[-1])) if ranks else of_category
        number = _number(matches.limit(MOST_COLLECTED))
        if number >= MANY:
            return Source.IN_ORDER if number < MOST_COLLECTED else Source.IN_ORDER_BY_TEXT
    return Source.MATCHES


def _in_category(ranks: Sequence[Condition], category: str) -> list[Condition]:
    """The ranks within a category, which is a token too."""
    return [(*rank, (Term(CATEGORY + category),)) if category else rank for rank in ranks]


def _order(wanted: Wanted, ranks: Sequence[Condition]) -> list[tuple[str, bool]]:
    """Columns of `_chosen` that order a list, each with whether it descends."""
    if wanted.sort in BY_PRICE:
        return [("amount", wanted.sort is Sort.DEAREST), ("id", wanted.sort is Sort.DEAREST)]
    if wanted.sort is Sort.NAME:
        return [("name", False), ("id", False)]
    if wanted.sort is Sort.NEWEST:
        return [("id", True)]
    if ranks:
        return [("rank", False), ("id", False)]
    place = [("position", False), ("sku", False)]
    return place if wanted.category else [("shelf", False), *place]


@dataclass(frozen=True)
class _Rows:
    """The tables of a list, the conditions of its rows, and the id of an entry as its table has it in order."""

    tables: FromClause
    conditions: Sequence[ColumnElement[bool]]
    id: ColumnElement[int]

    def select(self, *columns: Any) -> Select[Any]:
        return select(*columns).select_from(self.tables).where(*self.conditions)


def _chosen(wanted: Wanted, ranks: Sequence[Condition], source: Source) -> Select[Any]:
    """The products of a page and one more."""
    if ranks and wanted.sort is Sort.RELEVANCE:
        return _ranked(wanted, ranks, source)
    rows = _rows(wanted, ranks[-1] if ranks else None, source)
    columns: dict[str, Any] = {name: _ENTRIES.c[name] for name in ("shelf", "position", "sku")} | {"id": rows.id}
    if wanted.sort in BY_PRICE:  # both columns of the order from its index
        columns |= {"amount": _PRICES.c.amount, "id": _PRICES.c.entry_id.label("id")}
    if wanted.sort is Sort.NAME:
        columns |= {"name": _NAMES.c.name, "id": _NAMES.c.entry_id.label("id")}
    if ranks and wanted.sort is Sort.NEWEST and not _frequent(ranks[-1:])[0]:
        columns["id"] = (columns["id"] + 0).label("id")
    order = [columns[name].desc() if is_down else columns[name] for name, is_down in _order(wanted, ranks)]
    return rows.select(*columns.values()).order_by(*order).limit(wanted.limit + 1).offset(wanted.offset)


def _ranked(wanted: Wanted, ranks: Sequence[Condition], source: Source) -> Select[Any]:
    """Each rank alone, without the better ones and up to the end of the page, one after the other."""
    if source is Source.FEW_PRICES:  # each entry is read once
        tests = [(_in_text(one), literal(at)) for at, one in enumerate(ranks)]
        best = case(*tests).label("rank")
        rows = _rows(wanted, ranks[-1], source)
        of = rows.select(best, rows.id, _ENTRIES.c.sku).order_by(best, rows.id)
        return of.limit(wanted.limit + 1).offset(wanted.offset)
    needed = wanted.offset + wanted.limit + 1
    frequent = _frequent(ranks)
    parts = []
    for rank, condition in enumerate(ranks):
        rows = _rows(wanted, condition, source, without=ranks[rank - 1] if rank else None)
        of = rows.select(literal(rank).label("rank"), rows.id, _ENTRIES.c.sku)
        in_order = rows.id if frequent[rank] else rows.id + 0
        parts.append(select(of.order_by(in_order).limit(needed).subquery()))
    every = union_all(*parts).subquery() if len(parts) > 1 else parts[0].subquery()
    return select(every).order_by(every.c.rank, every.c.id).limit(wanted.limit + 1).offset(wanted.offset)


def _frequent(ranks: Sequence[Condition]) -> list[bool]:
    """For each rank whether PostgreSQL reads entries in order: many of the first ones match. True on SQLite."""
    if not _is_postgres():
        return [True] * len(ranks)
    first = select(_ENTRIES.c.words).order_by(_ENTRIES.c.id).limit(_SAMPLE).subquery()
    matching = (first.c.words.bool_op("@@")(cast(query.for_tsquery(one), TSQUERY)) for one in ranks)
    found = db.session.execute(select(*(func.count().filter(one) for one in matching)).select_from(first)).one()
    return [number >= _FREQUENT_IN_SAMPLE for number in found]


def _count(wanted: Wanted, ranks: Sequence[Condition], source: Source) -> int:
    """The number of products, up to one more than `counted`. Beginnings of words, whose matches SQLite collects before
    the first one, are counted only where the words alone are too few.
    """
    conditions: list[Condition | None] = [ranks[-1] if ranks else None]
    if ranks and not (_is_postgres() or source is Source.MATCHES and wanted.sort in BY_INDEX):  # of these too few
        conditions.insert(0, query.exact(ranks[-1]))
    of_all = not (wanted.needs_price or wanted.in_stock)
    number = 0
    for condition in dict.fromkeys(conditions):
        if condition and of_all and not _is_postgres():
            rows = _matches(condition)
        else:
            few = source is Source.FEW_PRICES
            rows = _rows(wanted, condition, source if few else Source.MATCHES).select(literal(1))
        number = _number(rows.limit(wanted.counted + 1))
        if number > wanted.counted:
            break
    return number


def _number(rows: Select[Any]) -> int:
    return db.session.scalar(select(func.count()).select_from(rows.subquery())) or 0


def _prices(wanted: Wanted, currency: Any) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [currency == wanted.currency]
    conditions += [_PRICES.c.amount >= wanted.least] if wanted.least is not None else []
    conditions += [_PRICES.c.amount <= wanted.most] if wanted.most is not None else []
    return conditions


def _matching(condition: Condition, without: Condition | None = None) -> ColumnElement[bool]:
    return literal_column("search_index").bool_op("MATCH")(query.for_fts5(condition, without))


def _matches(condition: Condition, without: Condition | None = None) -> Select[Any]:
    return select(_FTS.c.rowid).where(_matching(condition, without))


def _in_text(condition: Condition, without: Condition | None = None) -> ColumnElement[bool]:
    """The condition, tested on the text of an entry. Not by LIKE, which ignores case."""
    words = literal(" ").concat(_ENTRIES.c.words).concat(" ")
    groups = [[f" {term.text}{'' if term.is_beginning else ' '}" for term in group] for group in condition]
    found = and_(*(or_(*(func.instr(words, one) > 0 for one in group)) for group in groups))
    return and_(found, not_(_in_text(without))) if without else found


def _rows(wanted: Wanted, condition: Condition | None, source: Source, *, without: Condition | None = None) -> _Rows:
    """The rows of a list. With "+", SQLite does not read the prices or the names of all products first."""
    tables: FromClause = _ENTRIES
    conditions: list[ColumnElement[bool]] = []
    id_: Any = _ENTRIES.c.id.label("id")
    currency: Any = _PRICES.c.currency
    language: Any = _NAMES.c.language
    is_first = source is Source.MATCHES and (condition is not None or wanted.category)
    if condition is None:
        category: Any = _ENTRIES.c.category if is_first else literal_column("+search_entries.category")
        conditions += [category == wanted.category] if wanted.category else []
    elif _is_postgres():
        conditions.append(_ENTRIES.c.words.bool_op("@@")(cast(query.for_tsquery(condition, without), TSQUERY)))
    elif source is Source.MATCHES:
        tables, id_ = _FTS.join(_ENTRIES, _ENTRIES.c.id == _FTS.c.rowid), _FTS.c.rowid.label("id")
        conditions.append(_matching(condition, without))
    elif source is Source.IN_ORDER:
        of = "search_names" if wanted.sort is Sort.NAME else "search_prices"
        conditions.append(literal_column(f"+{of}.entry_id").in_(_matches(condition, without)))
    else:
        conditions.append(_in_text(condition, without))
    if is_first and not _is_postgres():
        currency, language = literal_column("+search_prices.currency"), literal_column("+search_names.language")
    elif source is Source.FEW_PRICES:
        language = literal_column("+search_names.language")
    elif source is not Source.MATCHES and wanted.sort is Sort.NAME:
        currency = literal_column("+search_prices.currency")
    if wanted.needs_price:
        tables = tables.join(_PRICES, _PRICES.c.entry_id == _ENTRIES.c.id)
        conditions += _prices(wanted, currency)
    if wanted.sort is Sort.NAME:
        tables = tables.join(_NAMES, _NAMES.c.entry_id == _ENTRIES.c.id)
        conditions.append(language == wanted.language)
    if wanted.in_stock:
        tables = tables.join(_STOCK, _STOCK.c.sku == _ENTRIES.c.sku)
        conditions.append(_STOCK.c.on_hand > _STOCK.c.reserved)
    return _Rows(tables, conditions, id_)


def _is_postgres() -> bool:
    return db.engine.dialect.name == "postgresql"
