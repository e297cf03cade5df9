"""Retention of what merchandisers leave behind, as values of `shop.jobs.retention.Rule`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, text

from shop.catalogue.pictures import PREFIX
from shop.core.db import db
from shop.media import uses
from shop.media.models import MediaFile
from shop.merchandising import imports
from shop.merchandising.models import ProductImport, ProductImportLine, ProductImportPart
from shop.orders.models import OrderLine

_UNUSED_FOR = timedelta(days=1)
_IS_UPLOADED = text("order_lines.image LIKE 'media/%'")
"""With a literal, so that the partial index of uploaded pictures is used."""


def _is_in_no_product_or_order(at: datetime) -> Any:
    is_ordered = exists().where(OrderLine.image == PREFIX + MediaFile.digest, _IS_UPLOADED)
    return (MediaFile.uses == 0) & (MediaFile.unused_since < at - _UNUSED_FOR) & ~is_ordered


def _lines_of_imports(ids: Sequence[str]) -> None:
    for model in (ProductImportPart, ProductImportLine):
        db.session.execute(delete(model).where(model.import_id.in_(ids)))


RULES: Sequence[Mapping[str, Any]] = (
    {
        "model": MediaFile,
        "rows": "pictures that no product shows and no order contains",
        "kept": _UNUSED_FOR,
        "why": "pages that were open when a picture was removed still show it; their files are deleted with the row",
        "over": _is_in_no_product_or_order,
        "first": uses.remove_files,
    },
    {
        "model": ProductImport,
        "rows": "imports of products and dry runs, with their lines",
        "kept": imports.KEPT_FOR,
        "why": "as long as staff may ask what a file has changed; the audit log keeps each change",
        "over": lambda at: ProductImport.ended_at < at - imports.KEPT_FOR,
        "first": _lines_of_imports,
    },
)
REMOVED_WITH = {"product_import_parts": "product_imports", "product_import_lines": "product_imports"}
