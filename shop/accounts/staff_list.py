"""Staff accounts as a list, in keyset pages by e-mail address."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, select

from shop.accounts.models import IS_STAFF, NO_PASSWORD, User
from shop.core import key_pages
from shop.core.db import db
from shop.core.key_pages import FIRST, Page, Place
from shop.core.keyset import ON_A_PAGE

LARGEST_ID = 2**31 - 1


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


def find(place: Place = FIRST, *, state: StaffState | None = None, limit: int = ON_A_PAGE) -> Page[User]:
    """A page of the accounts with a role, by e-mail address. One statement."""
    query = select(User).where(IS_STAFF, *([_CONDITIONS[state]] if state else []))
    found = db.session.scalars(key_pages.at(query, User.email, place, limit)).all()
    return key_pages.page(found, place, limit, lambda user: user.email)


def state_of(user: User) -> StaffState:
    """State of an account, as the filter has it."""
    if user.disabled_at is not None:
        return StaffState.DISABLED
    return StaffState.INVITED if user.password_hash == NO_PASSWORD else StaffState.ACTIVE


def account(user_id: int) -> User | None:
    """The account with this number, of staff or of a customer."""
    return db.session.get(User, user_id) if 0 < user_id <= LARGEST_ID else None
