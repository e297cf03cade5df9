"""Staff accounts as a list, in keyset pages by e-mail address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, select

from shop.accounts.models import IS_STAFF, NO_PASSWORD, User
from shop.core.db import db

LARGEST_ID = 2**31 - 1
PAGE = 100


class StaffState(StrEnum):
    """State of a staff account, as a filter."""

    ACTIVE = "active"
    INVITED = "invited"
    """The invitation was not accepted yet."""
    DISABLED = "disabled"


_CONDITIONS: Mapping[StaffState, Any] = {
    StaffState.ACTIVE: and_(User.disabled_at.is_(None), User.password_hash != NO_PASSWORD),
    StaffState.INVITED: and_(User.disabled_at.is_(None), User.password_hash == NO_PASSWORD),
    StaffState.DISABLED: User.disabled_at.is_not(None),
}


@dataclass(frozen=True)
class StaffPage:
    """Accounts by e-mail address, and the address after which the next page begins; empty on the last page."""

    accounts: list[User]
    after: str


def find(*, state: StaffState | None = None, after: str = "", limit: int = PAGE) -> StaffPage:
    """Accounts with a role, from the one after the address `after` on. One statement."""
    query = select(User).where(IS_STAFF, User.email > after).order_by(User.email).limit(limit + 1)
    accounts = list(db.session.scalars(query.where(_CONDITIONS[state]) if state else query))
    return StaffPage(accounts[:limit], accounts[limit - 1].email if len(accounts) > limit else "")


def state_of(user: User) -> StaffState:
    """State of an account, as the filter has it."""
    if user.disabled_at is not None:
        return StaffState.DISABLED
    return StaffState.INVITED if user.password_hash == NO_PASSWORD else StaffState.ACTIVE


def account(user_id: int) -> User | None:
    """The account with this number, of staff or of a customer."""
    return db.session.get(User, user_id) if 0 < user_id <= LARGEST_ID else None
