"""Accounts by the beginning of their e-mail address."""

from __future__ import annotations

from sqlalchemy import select

from shop.accounts.models import IS_STAFF, User
from shop.core import email_address, text
from shop.core.db import db
from shop.core.prefix import begins_with, in_order

SHORTEST = 3
"""Characters of an address that a search needs."""
LONGEST = 200
MOST = 20


def by_email(typed: str, *, with_staff: bool) -> list[User]:
    """Accounts whose address begins with `typed`, in the order of the addresses; at most MOST + 1. Those of staff are
    for readers of staff accounts alone. One statement.
    """
    prefix = email_address.for_lookup(text.tidy(typed))
    if not SHORTEST <= len(prefix) <= LONGEST or text.is_unusable(prefix):
        return []
    found = select(User).where(begins_with(User.email, prefix)).order_by(in_order(User.email)).limit(MOST + 1)
    return list(db.session.scalars(found if with_staff else found.where(~IS_STAFF)))
