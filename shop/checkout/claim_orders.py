"""Claim orders that were placed as a guest, by the verified address of an account."""

from __future__ import annotations

from shop.accounts.models import User
from shop.core import logs
from shop.core.db import after_commit, db, transactional
from shop.core.errors import Refusal
from shop.core.sentences import sentence
from shop.orders import claim

log = logs.get()


def claimable(user: User) -> int:
    """The number of orders that the customer can add to the account; 0 before the address is verified."""
    return claim.claimable(user.email) if user.email_verified_at is not None else 0


@transactional
def claim_batch(user_id: int) -> int:
    """Add one batch of the orders of guests with the customer's address to the account; returns their number. The
    account's row is locked, so that the address is verified and stays the same until the commit.

    Raises Refusal `not_verified`.
    """
    user = db.session.get_one(User, user_id, with_for_update={"key_share": True}, populate_existing=True)
    if user.email_verified_at is None:
        raise Refusal("not_verified", sentence("Confirm your e-mail address first."))
    number = claim.assign(user_id, user.email)
    after_commit(lambda: log.info("orders.claimed", user=user_id, orders=number))
    return number
