"""Mailed links that can be used once: make, read, use. One conditional UPDATE decides which of several uses counts.

A link is never stored: it is signed again from its row when the mail is composed. It can be made neither from a copy of
the database without SECRET_KEY nor from SECRET_KEY without the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from itsdangerous import BadData
from sqlalchemy import insert, null, select, update

from shop.accounts import decide
from shop.accounts.decide import LinkProblem, LinkPurpose
from shop.accounts.models import NO_PASSWORD, AccountLink, User
from shop.core import clock, ids, keys, logs, outbox
from shop.core.db import after_commit, changed, db, transactional
from shop.core.errors import Refusal
from shop.core.event_types import AccountLinkMade
from shop.core.sentences import sentence

log = logs.get()
_SENTENCES = {
    LinkProblem.UNKNOWN: sentence("This link is not valid. Check that you have opened the whole link from the e-mail."),
    LinkProblem.EXPIRED: sentence("This link has expired. Nothing was changed."),
    LinkProblem.USED: sentence("This link has already been used. Nothing was changed."),
    LinkProblem.OUTDATED: sentence(
        "This link is no longer valid, because your account has changed since. Nothing was changed."
    ),
}


class LinkEnded(Refusal):
    """The link cannot be used: 404 for one that the shop did not make, 410 for one that is over."""

    def __init__(self, problem: LinkProblem) -> None:
        super().__init__(problem, _SENTENCES[problem])
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return 404 if self.problem == LinkProblem.UNKNOWN else 410


class OtherAccount(Refusal):
    """The link belongs to another account than the one that is signed in."""

    usual_status = 403

    def __init__(self) -> None:
        super().__init__("link_of_other_account", sentence("This link belongs to another account."))


@dataclass(frozen=True)
class Owner:
    """The columns of an account that a link is bound to."""

    id: int
    email: str
    password_hash: str
    language: str | None


_OWNER = select(User.id, User.email, User.password_hash, User.language)


def owner(user_id: int) -> Owner:
    """The account as it is stored now."""
    return Owner(*db.session.execute(_OWNER.where(User.id == user_id)).one())


def locked_owner(user_id: int) -> Owner:
    """The account as it is stored now, with its row locked in the caller's transaction."""
    locked = _OWNER.where(User.id == user_id).with_for_update(key_share=True)
    return Owner(*db.session.execute(locked).one())


def owner_of(email: str) -> Owner | None:
    """The account with this address in its normal form; None while the invitation to it was not accepted."""
    accepted = _OWNER.where(User.email == email, User.password_hash != NO_PASSWORD)
    found = db.session.execute(accepted).one_or_none()
    return Owner(*found) if found else None


@transactional
def make(
    purpose: LinkPurpose,
    owner: Owner | None,
    language: str,
    *,
    to: str | None = None,
    identity: Mapping[str, str] | None = None,
) -> None:
    """Store a link for an account and emit the event that causes its mail, to the account's address or `to`, in the
    account's language, or in `language` if it has none. `identity` is what the link adds.

    Without an account, and for an empty `to`, the same statements are sent and no mail follows, so that the time of the
    answer reveals nothing.
    """
    at = clock.wall()
    email, password_hash = (owner.email, owner.password_hash) if owner else ("", "")
    values = {
        "secret": ids.token(),
        "purpose": purpose,
        "user_id": owner.id if owner else None,
        "email": (email if to is None else to) or None,
        "account_email": email or None,
        "bound": decide.binding(purpose, email, password_hash),
        "language": (owner.language if owner else None) or language,
        "created_at": at,
        "expires_at": at + decide.LASTS[purpose],
        "identity": null() if identity is None else dict(identity),
    }
    number = db.session.scalar(insert(AccountLink).values(values).returning(AccountLink.id)) or 0
    outbox.emit(AccountLinkMade(number, purpose), f"account link {number}")
    after_commit(lambda: log.info("accounts.link_made", link=number, purpose=purpose))


def token(link_id: int) -> tuple[LinkPurpose, str] | None:
    """Purpose and token of a stored link, for its mail; None once it is deleted."""
    link = db.session.get(AccountLink, link_id)
    return (link.purpose, _signed(link.purpose, link.secret)) if link else None


def read(purpose: LinkPurpose, signed: str, *, by: int | None = None) -> AccountLink:
    """The link of a token, if it can be used now. `by` is the account that is signed in: for a purpose that needs one,
    it must be the account of the link unless it is None.

    Raises LinkEnded and OtherAccount.
    """
    link = _find(purpose, signed)
    user = db.session.get(User, link.user_id, populate_existing=True) if link.user_id else None
    _check(link, user, by)
    return link


@transactional
def use(purpose: LinkPurpose, signed: str, *, by: int | None = None) -> tuple[AccountLink, User]:
    """Use the link of a token, once: it and its account, whose row is locked, in the caller's transaction.

    Raises as `read` does, after which the transaction must be rolled back.
    """
    link = _find(purpose, signed)
    user = _locked(link.user_id)
    _check(link, user, by)
    if user is None:
        raise LinkEnded(LinkProblem.OUTDATED)
    at = clock.wall()
    unused = (AccountLink.id == link.id, AccountLink.used_at.is_(None), AccountLink.expires_at > at)
    if not changed(update(AccountLink).where(*unused).values(used_at=at)):
        raise LinkEnded(LinkProblem.USED)
    after_commit(lambda: log.info("accounts.link_used", link=link.id, purpose=purpose))
    return link, user


def _locked(user_id: int | None) -> User | None:
    """The account with its row locked. The lock lets others refer to the account, as new orders do."""
    if user_id is None:
        return None
    return db.session.get(User, user_id, with_for_update={"key_share": True}, populate_existing=True)


def _find(purpose: LinkPurpose, signed: str) -> AccountLink:
    """The link of a token. Raises LinkEnded for a forged one, and for one that retention has deleted."""
    try:
        secret = str(_signer(purpose).loads(signed))
    except BadData as forged:
        raise LinkEnded(LinkProblem.UNKNOWN) from forged
    found = select(AccountLink).where(AccountLink.secret == secret, AccountLink.purpose == purpose)
    link = db.session.scalars(found.execution_options(populate_existing=True)).one_or_none()
    if link is None:
        raise LinkEnded(LinkProblem.EXPIRED)
    return link


def _check(link: AccountLink, user: User | None, by: int | None) -> None:
    is_usable = user is not None and user.disabled_at is None
    bound_now = decide.binding(link.purpose, user.email, user.password_hash) if user and is_usable else None
    seen = decide.LinkSnapshot(link.expires_at, link.used_at is not None, link.bound)
    problem = decide.problem_of(seen, bound_now, clock.wall())
    if problem:
        raise LinkEnded(problem)
    if link.purpose in decide.FOR_THE_OWNER and by is not None and by != link.user_id:
        raise OtherAccount


def _signed(purpose: LinkPurpose, secret: str) -> str:
    return str(_signer(purpose).dumps(secret))


def _signer(purpose: LinkPurpose) -> keys.FixedSigner:
    return keys.fixed_signer(f"account link {purpose}")
