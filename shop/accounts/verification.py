"""Verification of the address of an account by a mailed link."""

from __future__ import annotations

from sqlalchemy import update

from shop.accounts import links, mail_limits
from shop.accounts.decide import LinkPurpose
from shop.accounts.models import User
from shop.core import clock, logs
from shop.core.db import after_commit, db, transactional
from shop.core.errors import Refusal
from shop.core.sentences import sentence

log = logs.get()


def request(user_id: int, language: str) -> None:
    """Mail the account a link that verifies its address. Raises Refusal `already_verified`, TooManyMails."""
    user = db.session.get_one(User, user_id, populate_existing=True)
    if user.email_verified_at is not None:
        raise Refusal("already_verified", sentence("Your e-mail address is already confirmed."))
    mail_limits.count(LinkPurpose.VERIFY, user.email)
    _make(user_id, language)


@transactional
def _make(user_id: int, language: str) -> None:
    links.make(LinkPurpose.VERIFY, links.owner(user_id), language)


@transactional
def confirm(signed: str, *, by: int) -> None:
    """Verify the address of the account `by`, with the link that was mailed to it. Raises LinkEnded, OtherAccount."""
    _, user = links.use(LinkPurpose.VERIFY, signed, by=by)
    mark(user.id)


def mark(user_id: int) -> None:
    """Record that the owner of the account receives mail at its address, in the caller's transaction."""
    unverified = (User.id == user_id, User.email_verified_at.is_(None))
    db.session.execute(update(User).where(*unverified).values(email_verified_at=clock.now()))
    after_commit(lambda: log.info("accounts.verified", user=user_id))
