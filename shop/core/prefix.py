"""Search by prefix, in the form for which each database uses its index."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_

from shop.core.db import db

_LAST = "\U0010ffff"


def begins_with(column: Any, prefix: str) -> ColumnElement[bool]:
    """The text in `column` begins with `prefix`. On PostgreSQL the index needs text_pattern_ops."""
    if db.engine.dialect.name == "postgresql":
        found: ColumnElement[bool] = column.startswith(prefix, autoescape=True)
        return found
    return and_(column >= prefix, column < prefix + _LAST)


def in_order(column: Any) -> ColumnElement[str]:
    """The column, to sort what begins with a prefix: by code points on both databases. PostgreSQL would compare by the
    rules of a language, or read its index in that order and miss the one for prefixes.
    """
    if db.engine.dialect.name == "postgresql":
        found: ColumnElement[str] = column.collate("C")
        return found
    return column  # type: ignore[no-any-return]
