"""9. The index of product search follows the products."""

from __future__ import annotations

from shop.catalogue import search_entries
from shop.integrity.invariants.scope import Rows, Scope

_SHOWN = 100


def index_is_current(scope: Scope) -> Rows:
    """Products whose entries are missing, of another version, or should not exist. `flask search rebuild` helps."""
    return [{"sku": sku} for sku in search_entries.stale(_SHOWN)] if scope.is_everything else []
