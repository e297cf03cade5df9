"""Accounts of members of staff whom tests name by their numbers."""

from __future__ import annotations

from collections.abc import Iterable

from shop.accounts.models import User
from shop.core import clock
from shop.core.db import db, transaction


def hire(numbers: Iterable[int]) -> None:
    """Create accounts with these ids, addresses of these numbers, and the role finance."""
    person = {"name": "", "password_hash": "-", "roles": ["finance"], "created_at": clock.now()}
    with transaction():
        db.session.add_all(User(id=number, email=f"staff{number}@example.com", **person) for number in numbers)
