"""Changes of the password and of the address of an account. Each ends all sign-ins of the account."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from shop.accounts import links, mail_limits, passwords, sessions, signin, throttle
from shop.accounts.decide import LinkPurpose
from shop.accounts.known_devices import Device
from shop.accounts.models import User
from shop.core import clock, email_address, ids, outbox
from shop.core.db import changed, db, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.event_types import AccountEmailChanged, AccountPasswordChanged
from shop.core.sentences import sentence


@dataclass(frozen=True)
class Origin:
    """Client that asks for a change: its address, the device if it is known, and the language of its pages."""

    ip: str
    device: Device | None = None
    language: str = "en"


def change_password(user_id: int, current: str, password: str, origin: Origin) -> int:
    """Replace the password `current` and end all sign-ins of the account; returns its new session epoch.

    Raises BadInput (details: `field`), TooManyAttempts, Away, and Refusal `account_changed` after a concurrent change.
    """
    email, stored = _proven(user_id, current, origin)
    signin.check_password(password, email)
    return _replace_password(user_id, stored, passwords.make(password), origin)


@transactional
def _replace_password(user_id: int, stored: str, hashed: str, origin: Origin) -> int:
    unchanged = update(User).where(User.id == user_id, User.password_hash == stored)
    if not changed(unchanged.values(password_hash=hashed)):
        raise _changed_meanwhile()
    return write_password(user_id, hashed, origin.language)


def write_password(user_id: int, hashed: str, language: str) -> int:
    """Store a new password hash, end all sign-ins and emit the event, in the caller's transaction; returns the new
    session epoch. The mail is in the account's language, or in `language` if it has none.
    """
    change = update(User).where(User.id == user_id).values(password_hash=hashed)
    chosen = db.session.scalar(change.returning(User.language))
    epoch = sessions.end_all(user_id)
    event = AccountPasswordChanged(user_id, ids.token(), clock.now().isoformat(), chosen or language)
    outbox.emit(event, f"account {user_id}")
    return epoch


def confirm_password(user_id: int, password: str, origin: Origin) -> None:
    """Confirm the password for the sign-in of this request, before a sensitive act. Raises BadInput (details: `field`),
    TooManyAttempts, Away.
    """
    _proven(user_id, password, origin)
    sessions.confirm()


def confirm_owner(user_id: int, password: str, origin: Origin) -> int:
    """Confirm that the owner of the account acts, by the password, or by a recent sign-in for an account without one;
    returns the session epoch under which it was confirmed.

    Raises BadInput (details: `field`), TooManyAttempts, Away, and Refusal `sign_in_again`.
    """
    user = db.session.get_one(User, user_id, populate_existing=True)
    has_password, epoch = user.has_password, user.session_epoch
    db.session.rollback()
    if has_password:
        confirm_password(user_id, password, origin)
    elif not sessions.is_confirmed():
        raise Refusal("sign_in_again", sentence("Sign out and sign in again, then repeat this."))
    return epoch


def request_email_change(user_id: int, password: str, email: str, origin: Origin) -> str:
    """Mail a link to the address `email` that makes it the address of the account; returns its normal form. The answer
    is the same when another account has that address, and then there is no mail.

    Raises BadInput (details: `field`), TooManyAttempts, TooManyMails, Away, and Refusal `account_changed` after a
    concurrent change.
    """
    current, stored = _proven(user_id, password, origin)
    try:
        wanted = email_address.normal(email)
    except email_address.NotAnAddress as error:
        message = sentence("Enter an e-mail address in the format name@example.com.")
        raise BadInput("bad_email", message, field="email") from error
    if wanted == current:
        raise BadInput("same_email", sentence("This is already the e-mail address of your account."), field="email")
    mail_limits.count(LinkPurpose.CHANGE_EMAIL, wanted, account=user_id)
    _make(user_id, stored, wanted, origin.language)
    return wanted


@transactional
def _make(user_id: int, stored: str, wanted: str, language: str) -> None:
    owner = links.locked_owner(user_id)
    if owner.password_hash != stored:
        raise _changed_meanwhile()
    is_taken = db.session.scalar(select(User.id).where(User.email == wanted)) is not None
    links.make(LinkPurpose.CHANGE_EMAIL, owner, language, to="" if is_taken else wanted)


def change_email(signed: str, *, by: int) -> int:
    """Make the address that a link was mailed to the address of the account `by`, and end all its sign-ins; returns its
    new session epoch.

    Raises LinkEnded, OtherAccount, and Refusal `email_taken` when another account has it meanwhile.
    """
    try:
        return _change_email(signed, by)
    except IntegrityError as error:
        raise Refusal("email_taken", sentence("Another account uses this e-mail address."), field="email") from error


@transactional
def _change_email(signed: str, by: int) -> int:
    link, user = links.use(LinkPurpose.CHANGE_EMAIL, signed, by=by)
    at = clock.now()
    db.session.execute(update(User).where(User.id == user.id).values(email=link.email, email_verified_at=at))
    epoch = sessions.end_all(user.id)
    outbox.emit(AccountEmailChanged(user.id, link.id, at.isoformat()), f"account {user.id}")
    return epoch


def _proven(user_id: int, password: str, origin: Origin) -> tuple[str, str]:
    """Address and password hash of the account, after `password` was checked; wrong ones count as at a sign-in."""
    user = db.session.get_one(User, user_id, populate_existing=True)
    email, stored = user.email, user.password_hash
    throttle.count(email, origin.ip, origin.device)
    db.session.rollback()
    if not passwords.matches(stored, password):
        raise BadInput("wrong_password", sentence("This is not your current password."), field="current")
    throttle.forgive(email, origin.ip, origin.device)
    return email, stored


def _changed_meanwhile() -> Refusal:
    return Refusal(
        "account_changed", sentence("Your account was changed at the same time. Nothing was changed by this form.")
    )
