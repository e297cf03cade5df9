"""Categories and products."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from shop.catalogue.refusals import NotSoldIn
from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.core.db import Base, UtcDateTime
from shop.core.money import CURRENCIES, Money
from shop.core.tax_classes import TaxClass

Texts = dict[str, dict[str, str]]
"""Translated texts by locale and column, such as `{"zh_Hant": {"name": …}}`. A missing one is shown in English."""


class _HasPrices(Protocol):
    @property
    def sku(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def prices(self) -> dict[str, int]: ...


class Priced:
    """Unit prices of a product."""

    def price(self: _HasPrices, currency: str) -> Money:
        """The unit price in `currency`. Raises NotSoldIn when the product has none."""
        if currency not in self.prices:
            raise NotSoldIn(self.sku, self.name, currency)
        return Money(self.prices[currency], currency)

    def has_price(self: _HasPrices, currency: str) -> bool:
        """True when the product is sold in `currency`."""
        return currency in self.prices

    @property
    def currencies(self: _HasPrices) -> list[str]:
        """Currencies that the product is sold in, in the order of CURRENCIES."""
        return [currency for currency in CURRENCIES if currency in self.prices]


class Category(Base):
    """A category of products. `texts` has translations of `name`. `version` counts changes of its names."""

    __tablename__ = "categories"
    slug: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(default=0)
    texts: Mapped[Texts] = mapped_column(JSON, default=dict, server_default=text("'{}'"))
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))


class Product(Priced, Base):
    """A product. `prices` maps a currency to minor units, `texts` has translations of `name`, `summary` and
    `description`.

    `image` is its illustration, a file under static/, and `images` are uploaded pictures, which are shown instead (see
    `shop.catalogue.pictures`). `version` counts the changes by staff: a change names the version that it was made on.
    An archived product is not sold.
    """

    __tablename__ = "products"
    sku: Mapped[str] = mapped_column(Text, primary_key=True)
    slug: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(ForeignKey("categories.slug"))
    summary: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    image: Mapped[str] = mapped_column(Text)
    prices: Mapped[dict[str, int]] = mapped_column(JSON)
    position: Mapped[int] = mapped_column(default=0)
    tax_class: Mapped[TaxClass] = mapped_column(
        EnumText(TaxClass), default=TaxClass.STANDARD, server_default=TaxClass.STANDARD
    )
    texts: Mapped[Texts] = mapped_column(JSON, default=dict, server_default=text("'{}'"))
    images: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default=text("'[]'"))
    version: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    archived_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_products_category_position", "category", "position"),)


class FormerSlug(Base):
    """A former address of a product, which leads to the present one."""

    __tablename__ = "former_slugs"
    slug: Mapped[str] = mapped_column(Text, primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku"))


class PriceChange(Base):
    """A change of a unit price by staff, in minor units; None is no price in this currency."""

    __tablename__ = "price_changes"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(ForeignKey("products.sku"))
    currency: Mapped[str] = mapped_column(Text)
    before: Mapped[int | None] = mapped_column(BigInteger)
    after: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    by: Mapped[Actor] = mapped_column(ActorText)

    __table_args__ = (
        CheckConstraint("after > 0", name="after_positive"),
        Index("ix_price_changes_sku", "sku", "id"),
    )


class InitialTexts(Base):
    """A language in which the seed has inserted the initial texts of a category or product. It does so once: texts that
    were changed or deleted since stay as they are. `key` is the primary key of the row in `table_name`.
    """

    __tablename__ = "initial_texts"
    table_name: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    locale: Mapped[str] = mapped_column(Text, primary_key=True)
