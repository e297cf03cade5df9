"""Invariants that the rows of the database violate."""

from __future__ import annotations

from shop.core.db import db
from shop.integrity import invariants


def broken() -> set[str]:
    """Names of the violated invariants; no acquirer is queried."""
    db.session.rollback()
    return {finding.name for finding in invariants.check(with_acquirers=False) if not finding.holds}
