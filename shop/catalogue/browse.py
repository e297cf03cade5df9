"""Finding products."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import or_, select

from shop.catalogue.models import Category, Product
from shop.core.db import db


def categories() -> list[Category]:
    """All categories in the order in which they are shown."""
    return list(db.session.scalars(select(Category).order_by(Category.position)))


def search(q: str = "", category: str = "") -> list[Product]:
    """Products that have every word of `q` in their name, summary or category, in the order of the catalogue."""
    query = select(Product).join(Category, Category.slug == Product.category)
    query = query.order_by(Category.position, Product.position)
    if category:
        query = query.where(Product.category == category)
    for word in q.split()[:8]:
        pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        query = query.where(
            or_(*(column.ilike(pattern, escape="\\") for column in (Product.name, Product.summary, Category.name)))
        )
    return list(db.session.scalars(query))


def by_slug(slug: str) -> Product | None:
    """The product at /products/<slug>."""
    return db.session.scalars(select(Product).where(Product.slug == slug)).one_or_none()


def by_skus(skus: Iterable[str]) -> dict[str, Product]:
    """The known ones of `skus`."""
    return {p.sku: p for p in db.session.scalars(select(Product).where(Product.sku.in_(list(skus))))}
