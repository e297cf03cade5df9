"""Scope of an invariant check: everything, or some orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, text

from shop.core.db import db

Rows = list[dict[str, Any]]
_READ_WHOLE_TABLES = text("SELECT set_config('work_mem', '64MB', true), set_config('statement_timeout', '0', true)")
"""With PostgreSQL's default work_mem of 4 MB joins of whole tables would use the disk."""


@dataclass(frozen=True)
class Scope:
    """All orders, or those whose ids are `orders`."""

    orders: Sequence[int] | None = None

    @property
    def is_everything(self) -> bool:
        return self.orders is None

    def prepare(self) -> None:
        """Let the current transaction read whole tables, if the scope is everything."""
        if self.is_everything and db.engine.dialect.name == "postgresql":
            db.session.execute(_READ_WHOLE_TABLES)

    def only(self, column: str) -> str:
        """The WHERE condition that keeps a rule within the scope; `column` holds the id of an order."""
        return "TRUE" if self.orders is None else f"{column} IN :orders"

    def rows(self, sql: str, **values: Any) -> Rows:
        """The rows of a query; times among `values` are aware."""
        statement = text(sql)
        if ":orders" in sql:
            statement = statement.bindparams(bindparam("orders", list(self.orders or ()), expanding=True))
        bound = {name: _bind(value) if isinstance(value, datetime) else value for name, value in values.items()}
        return [dict(row) for row in db.session.execute(statement, bound).mappings()]


EVERYTHING = Scope()


def _bind(at: datetime) -> Any:
    """A time in the form that the database stores: raw SQL bypasses the column type."""
    return at if db.engine.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")
