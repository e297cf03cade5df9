"""Scope of an invariant check: everything, or some orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import TextClause, bindparam, text

from shop.core.db import db

Rows = list[dict[str, Any]]
_READ_WHOLE_TABLES = text("SELECT set_config('work_mem', '64MB', true), set_config('statement_timeout', '0', true)")
"""With PostgreSQL's default work_mem of 4 MB joins of whole tables would use the disk."""
_PREPARED = "transaction that reads whole tables"


@dataclass(frozen=True)
class Scope:
    """All orders, or those whose ids are `orders`."""

    orders: Sequence[int] | None = None

    @property
    def is_everything(self) -> bool:
        return self.orders is None

    def prepare(self) -> None:
        """Let the current transaction read whole tables, if the scope is everything."""
        if not self.is_everything or db.engine.dialect.name != "postgresql":
            return
        session = db.session()
        if session.info.get(_PREPARED) is None or session.info[_PREPARED] is not session.get_transaction():
            session.execute(_READ_WHOLE_TABLES)
            session.info[_PREPARED] = session.get_transaction()

    def only(self, column: str) -> str:
        """The WHERE condition that keeps a rule within the scope; `column` holds the id of an order."""
        return "TRUE" if self.orders is None else f"{column} IN :orders"

    def rows(self, sql: str, **values: Any) -> Rows:
        """The rows of a query; times among `values` are aware."""
        bound = {name: _bind(value) if isinstance(value, datetime) else value for name, value in values.items()}
        if ":orders" in sql:
            bound["orders"] = list(self.orders or ())
        return [dict(row) for row in db.session.connection().execute(_statement(sql), bound).mappings()]


EVERYTHING = Scope()


@lru_cache(maxsize=256)
def _statement(sql: str) -> TextClause:
    """The statement of a rule; making it takes as long as running it in a small shop."""
    statement = text(sql)
    return statement.bindparams(bindparam("orders", expanding=True)) if ":orders" in sql else statement


def _bind(at: datetime) -> Any:
    """A time in the form that the database stores: raw SQL bypasses the column type."""
    return at if db.engine.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")
