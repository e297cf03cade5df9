"""Categories and products."""

from __future__ import annotations

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from shop.core.db import Base
from shop.core.money import Money


class Category(Base):
    """A shelf of the shop."""

    __tablename__ = "categories"
    slug: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    position: Mapped[int] = mapped_column(default=0)


class Product(Base):
    """One thing for sale. `prices` maps a currency to minor units."""

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

    __table_args__ = (Index("ix_products_category_position", "category", "position"),)

    def price(self, currency: str) -> Money:
        """Its price in `currency`. Raises KeyError when it is not sold in it."""
        return Money(self.prices[currency], currency)
