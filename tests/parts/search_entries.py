"""Entries in the index of product search, for products that are inserted without an app."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Text, cast, func, insert
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, scoped_session

from shop.core.languages import OFFERED
from shop.product_search import tokens
from shop.product_search.index import Listed
from shop.product_search.models import SearchEntry, SearchName, SearchPrice


def let_find(session: Session | scoped_session[Any], listed: Listed) -> None:
    """Write the entry of a product in the index of product search, as `index.put` does."""
    found, is_sqlite = sorted(listed.analysed()[0]), session.get_bind().dialect.name == "sqlite"
    words = " ".join(found) if is_sqlite else func.array_to_tsvector(cast(found, ARRAY(Text)))
    place = {name: getattr(listed, name) for name in ("sku", "category", "shelf", "position")}
    row = insert(SearchEntry).values(**place, product_version=1, edition=tokens.EDITION, words=words)
    entry = session.scalar(row.returning(SearchEntry.id))
    for currency, amount in listed.prices.items():
        session.execute(insert(SearchPrice).values(entry_id=entry, currency=currency, amount=amount))
    for language in OFFERED:
        name = tokens.sorted_as(listed.names[0])
        session.execute(insert(SearchName).values(entry_id=entry, language=language, name=name))
