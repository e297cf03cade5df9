"""What a look at the invariants looks at: everything, or some orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, text

from shop.core.db import db

Rows = list[dict[str, Any]]
_ROOM = "64MB"
"""What PostgreSQL may use to join whole tables; its default of 4 MB makes it go by way of the disk."""


@dataclass(frozen=True)
class Scope:
    """All orders, or those whose ids are `orders`."""

    orders: Sequence[int] | None = None

    @property
    def is_everything(self) -> bool:
        return self.orders is None

    def only(self, column: str) -> str:
        """What a WHERE says so that a rule keeps to the scope; `column` holds the id of an order."""
        return "TRUE" if self.orders is None else f"{column} IN :orders"

    def rows(self, sql: str, **values: Any) -> Rows:
        """The rows of a query whose words are ours; times among `values` are aware."""
        statement = text(sql)
        if ":orders" in sql:
            statement = statement.bindparams(bindparam("orders", list(self.orders or ()), expanding=True))
        if self.is_everything and db.engine.dialect.name == "postgresql":
            db.session.execute(text(f"SET LOCAL work_mem = '{_ROOM}'"))
        bound = {name: _bind(value) if isinstance(value, datetime) else value for name, value in values.items()}
        return [dict(row) for row in db.session.execute(statement, bound).mappings()]


EVERYTHING = Scope()


def _bind(at: datetime) -> Any:
    """A time as the database in use stores it: raw SQL passes by the column type."""
    return at if db.engine.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")
