"""Products whose search entries are missing or older than the index, such as those that a process of an older version
has saved during an upgrade. A repair in the clock writes them.
"""

from __future__ import annotations

import time

from flask import current_app

from shop.catalogue import search_entries
from shop.core.db import db

EVERY = 120.0
"""Seconds between two looks, once nothing is left."""
AT_ONCE = 20
"""Products of one look: the clock does other work in between."""
_LOOKED_AT = "settled_entries_looked_at"


def due() -> list[str]:
    """Up to AT_ONCE products to write; none for EVERY seconds after a look that found fewer."""
    now = time.monotonic()
    if now - current_app.extensions.get(_LOOKED_AT, float("-inf")) < EVERY:
        return []
    found = search_entries.stale(AT_ONCE, only_older=True)
    db.session.rollback()
    if len(found) < AT_ONCE:
        current_app.extensions[_LOOKED_AT] = now
    return found
