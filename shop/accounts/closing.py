"""Erase the personal data of an account at the request of its owner.

The row of the account stays, because orders, journals and the audit log refer to its number. It keeps no address, so
the address can be registered again, and the new account has another number.
"""

from __future__ import annotations

import secrets

from sqlalchemy import delete, func, or_, select, update

from shop.accounts import people, sessions
from shop.accounts.api_models import ApiKey, ApiSession
from shop.accounts.models import (
    IS_STAFF,
    NO_PASSWORD,
    WITHOUT_PASSWORD,
    AccountLink,
    Identity,
    Passkey,
    RecoveryCode,
    SavedAddress,
    TotpSecret,
    User,
)
from shop.accounts.permissions import Role
from shop.core import clock, logs
from shop.core.actor import Actor
from shop.core.db import Base, OutdatedSnapshot, after_commit, db, table, transactional
from shop.core.errors import Refusal
from shop.core.sentences import sentence

ERASED_NAME = "(deleted)"
_REMOVED: tuple[type[Base], ...] = (Identity, Passkey, RecoveryCode, TotpSecret, SavedAddress, ApiSession)
log = logs.get()


def erased_email(user_id: int) -> str:
    """The text in place of the address of a deleted account. It is no address, so none can be registered as it."""
    return f"deleted-account-{user_id}"


@transactional
def lock(user_id: int, epoch: int) -> User:
    """The account with its row locked, and those of all accounts of staff if it is one of them, in the order of their
    numbers: so two admins cannot leave the shop without one.

    Raises Refusal `account_changed` unless it may be used and its session epoch is `epoch`.
    """
    is_staff = bool(db.session.scalar(select(User.roles).where(User.id == user_id)))
    which = or_(User.id == user_id, IS_STAFF) if is_staff else User.id == user_id
    rows = select(User).where(which).order_by(User.id).with_for_update(key_share=True)
    found = {user.id: user for user in db.session.scalars(rows.execution_options(populate_existing=True))}
    user = found[user_id]
    if user.roles and not is_staff:
        raise OutdatedSnapshot
    if user.disabled_at is not None or user.session_epoch != epoch:
        raise Refusal("account_changed", sentence("Your account was changed at the same time. Please try again."))
    return user


def is_last_admin(user: User) -> bool:
    """True if no other account that can sign in has the role of an admin. The accounts are locked by `lock`."""
    if Role.ADMIN not in user.roles:
        return False
    usable = (User.id != user.id, User.disabled_at.is_(None), User.password_hash != NO_PASSWORD)
    return not any(Role.ADMIN in roles for roles in db.session.scalars(select(User.roles).where(IS_STAFF, *usable)))


@transactional
def erase(user_id: int) -> None:
    """Remove all by which the owner signs in, the address book, and name and address of the account, which can never
    be used again; its sign-ins, apps and API keys end. The caller has locked the account.
    """
    at = clock.now()
    for model in _REMOVED:
        db.session.execute(delete(table(model)).where(table(model).c.user_id == user_id))
    _close_links(user_id)
    keys = update(ApiKey).where(ApiKey.user_id == user_id)
    db.session.execute(keys.values(name=ERASED_NAME))
    db.session.execute(keys.where(ApiKey.revoked_at.is_(None)).values(revoked_at=at, revoked_by=Actor.staff(user_id)))
    people.lapse_requests(user_id)
    sessions.end_all(user_id)
    values = {
        "email": erased_email(user_id),
        "name": ERASED_NAME,
        "password_hash": WITHOUT_PASSWORD + secrets.token_hex(16),
        "roles": [],
        "access_version": User.access_version + 1,
        "disabled_at": at,
        "deleted_at": at,
    }
    values |= dict.fromkeys(("language", "last_signed_in_at", "email_verified_at", "second_factor_at", "cart_id"))
    db.session.execute(update(User).where(User.id == user_id).values(values))
    after_commit(lambda: sessions.forget(user_id))
    after_commit(lambda: log.info("accounts.deleted", user=user_id))


def _close_links(user_id: int) -> None:
    """End the mailed links of an account and remove their addresses. The rows stay until retention deletes them: the
    number of the newest one must not be used twice, because mails are identified by it.
    """
    used_at = func.coalesce(AccountLink.used_at, clock.wall())
    theirs = update(AccountLink).where(AccountLink.user_id == user_id)
    db.session.execute(theirs.values(email=None, account_email=None, identity=None, used_at=used_at))
