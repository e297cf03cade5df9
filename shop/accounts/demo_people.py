"""Accounts of the demo, which exist in development only: one for each role, a second person of finance, a customer."""

from __future__ import annotations

from flask import current_app
from sqlalchemy import select

from shop.accounts import signin
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Refusal

PASSWORD = "settled-demo"  # noqa: S105 - public, and of accounts that no production has
PEOPLE: dict[str, tuple[str, tuple[Role, ...]]] = {
    "support@settled.example": ("Sam Support", (Role.SUPPORT,)),
    "finance@settled.example": ("Fay Finance", (Role.FINANCE,)),
    "finance2@settled.example": ("Finn Finance", (Role.FINANCE,)),
    "merchandiser@settled.example": ("Mia Merchandiser", (Role.MERCHANDISER,)),
    "admin@settled.example": ("Ada Admin", (Role.ADMIN,)),
    "may@settled.example": ("May Customer", ()),
}
"""Name and roles by e-mail. `bin/run` prints the addresses too."""


def insert_missing() -> int:
    """Create the accounts that do not exist, and return their number. Existing ones are never changed.

    Raises RuntimeError unless this is a development environment, because the password is public.
    """
    if current_app.config["SETTLED_ENV"] != "development":
        raise RuntimeError("demo accounts exist in development only")
    known = set(db.session.scalars(select(User.email).where(User.email.in_(PEOPLE))))
    db.session.rollback()
    missing = [email for email in PEOPLE if email not in known]
    return sum(_insert(email) for email in missing)


def _insert(email: str) -> bool:
    """False if another process has created the account meanwhile."""
    name, roles = PEOPLE[email]
    try:
        signin.create(email, name, PASSWORD, roles, by=Actor.operator(), is_verified=True)
    except Refusal as refusal:
        if refusal.code != "email_taken":
            raise
        return False
    return True


def shown() -> list[str]:
    """Addresses for the sign-in page: those of the demo in development, else none."""
    return list(PEOPLE) if current_app.config["SETTLED_ENV"] == "development" else []
