"""Decide whether the owner may delete an account. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shop.core.money import Money


class Obstacle(StrEnum):
    """Reason why an account is not deleted now; the code of the refusal."""

    LAST_ADMIN = "last_admin"
    """The shop would have no admin."""
    CREDIT_HELD = "credit_held"
    """An unpaid order holds store credit, which returns to the account if the order ends unpaid."""
    CREDIT_LEFT = "credit_left"
    """The account has store credit that the owner has not given up."""


@dataclass(frozen=True)
class Credit:
    """Store credit of an account in one currency: all of it, and the part that an unpaid order holds."""

    balance: Money
    held: Money


@dataclass(frozen=True)
class Snapshot:
    """Values that decide about an account."""

    is_last_admin: bool
    credit: Sequence[Credit]


def obstacle(account: Snapshot, *, gives_up_credit: bool) -> Obstacle | None:
    """The reason why the account is not deleted; None if it is. Money must not disappear without the owner's word: what
    an order holds cannot be given up, because the order may still use it.
    """
    if account.is_last_admin:
        return Obstacle.LAST_ADMIN
    if any(one.held.amount for one in account.credit):
        return Obstacle.CREDIT_HELD
    if any(one.balance.amount for one in account.credit) and not gives_up_credit:
        return Obstacle.CREDIT_LEFT
    return None
