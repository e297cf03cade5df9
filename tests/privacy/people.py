"""Accounts with a password, and their deletion by the owner."""

from __future__ import annotations

from shop.accounts import credentials, signin
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core.actor import Actor
from shop.core.db import db
from shop.privacy import delete_account

EMAIL, PASSWORD = "ada@example.com", "a long enough sentence"
ORIGIN = credentials.Origin("192.0.2.7")


def owner(email: str = EMAIL, *roles: Role) -> int:
    """The id of an account whose address is verified."""
    return signin.create(email, "Ada", PASSWORD, roles, by=Actor.operator(), is_verified=True).id


def deleted(user_id: int, *, gives_up_credit: bool = False) -> None:
    """Delete the account as its owner does."""
    confirmed = {"typed": account(user_id).email, "password": PASSWORD}
    delete_account.delete_account(user_id, **confirmed, gives_up_credit=gives_up_credit, origin=ORIGIN)


def account(user_id: int) -> User:
    db.session.rollback()
    return db.session.get_one(User, user_id, populate_existing=True)
