"""The index of product search. Its rows follow the products: `shop.catalogue.search_entries` writes them."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Text, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base


class SearchEntry(Base):
    """A product that is in the shop, as it is found and listed. Archived products have none.

    `words` are its tokens: a vector with a GIN index on PostgreSQL; on SQLite a text, which triggers copy to the FTS5
    table `search_index`. `shelf` is the position of its category. `product_version` and `edition` are the versions of
    the product and of the rules of tokens that it was written from.
    """

    __tablename__ = "search_entries"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku", ondelete="CASCADE"), unique=True)
    category: Mapped[str] = mapped_column(Text)
    shelf: Mapped[int]
    position: Mapped[int]
    product_version: Mapped[int]
    edition: Mapped[int]
    words: Mapped[str] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"))

    __table_args__ = (
        Index("ix_search_entries_place", "shelf", "position", "sku"),
        Index("ix_search_entries_category", "category", "position", "sku"),
        # empty on SQLite, where search_index does its work
        Index("ix_search_entries_words", "words", postgresql_using="gin", sqlite_where=text("words IS NULL")),
        {"sqlite_autoincrement": True},
    )


class SearchPrice(Base):
    """A unit price of an entry, in minor units: filters and orders by price read no product."""

    __tablename__ = "search_prices"
    entry_id: Mapped[int] = mapped_column(ForeignKey("search_entries.id", ondelete="CASCADE"), primary_key=True)
    currency: Mapped[str] = mapped_column(Text, primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_search_prices_amount", "currency", "amount", "entry_id"),)


class SearchName(Base):
    """The name of an entry in a language of the shop, as lists are sorted by it (see `tokens.sorted_as`)."""

    __tablename__ = "search_names"
    entry_id: Mapped[int] = mapped_column(ForeignKey("search_entries.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text().with_variant(Text(collation="C"), "postgresql"))

    __table_args__ = (Index("ix_search_names_name", "language", "name", "entry_id"),)


class SearchWord(Base):
    """A word of the index that typing errors are corrected to. It stays when no product has it any more, until the
    index is rebuilt.
    """

    __tablename__ = "search_words"
    word: Mapped[str] = mapped_column(Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True)


class SearchSpelling(Base):
    """Rest of a word after deletions of letters."""

    __tablename__ = "search_spellings"
    rest: Mapped[str] = mapped_column(Text, primary_key=True)
    word: Mapped[str] = mapped_column(Text, primary_key=True)
