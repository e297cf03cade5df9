"""Signing in, and making accounts."""

from __future__ import annotations

from collections.abc import Iterable

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select, update

from shop.accounts import passwords, throttle
from shop.accounts.models import ROLES, User
from shop.core import clock, logs
from shop.core.db import db, insert, writing
from shop.core.errors import BadInput, Refusal

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 256
LONGEST_NAME = 100
log = logs.get()


class WrongCredentials(Refusal):
    """The same sentence whether the address or the password is wrong."""

    status = 422

    def __init__(self) -> None:
        super().__init__("wrong_credentials", "This e-mail address and password do not belong together.")


def sign_in(email: str, password: str, ip: str) -> User:
    """The user whom `email` and `password` name. `ip` is where the try comes from.

    Raises WrongCredentials (422), TooManyAttempts (429, with `retry_after` in seconds), Away (503).
    """
    email = _plain(email)
    throttle.count(email, ip)
    user = db.session.scalars(select(User).where(User.email == email)).one_or_none()
    user_id, stored = (user.id, user.password_hash) if user else (None, None)
    db.session.rollback()
    if not passwords.matches(stored, password) or stored is None:
        log.info("accounts.sign_in_refused", ip=ip)
        raise WrongCredentials
    fresh = passwords.make(password) if passwords.is_outdated(stored) else stored
    with writing():
        db.session.execute(update(User).where(User.id == user_id).values(last_signed_in_at=clock.now()))
        if fresh != stored:
            unchanged = (User.id == user_id, User.password_hash == stored)
            db.session.execute(update(User).where(*unchanged).values(password_hash=fresh))
        throttle.forgive(email)
    log.info("accounts.signed_in", user=user_id)
    return db.session.get_one(User, user_id)


def register(email: str, name: str, password: str) -> User:
    """A new customer account. Raises BadInput (details: `field`) and Refusal `email_taken`."""
    return create(email, name, password)


def create(email: str, name: str, password: str, roles: Iterable[str] = ()) -> User:
    """A new account with `roles`. Raises BadInput (details: `field`) and Refusal `email_taken`."""
    email, name, chosen = _checked_email(email), _checked_name(name), sorted(set(roles))
    if unknown := [role for role in chosen if role not in ROLES]:
        raise BadInput("unknown_role", f"{unknown[0]} is not a role. Roles are {', '.join(ROLES)}.", field="roles")
    _check_password(password, email)
    hashed = passwords.make(password)
    with writing():
        statement = insert(User).values(
            email=email, name=name, password_hash=hashed, roles=chosen, created_at=clock.now()
        )
        user_id = db.session.scalar(statement.on_conflict_do_nothing().returning(User.id))
    if user_id is None:
        raise Refusal(
            "email_taken", "There is already an account with this e-mail address. Sign in instead.", field="email"
        )
    log.info("accounts.created", user=user_id, roles=chosen)
    return db.session.get_one(User, user_id)


def _checked_email(email: str) -> str:
    try:
        return _normal(email)
    except EmailNotValidError as error:
        raise BadInput("bad_email", "This is not an e-mail address.", field="email") from error


def _plain(email: str) -> str:
    """The spelling under which `email` would be stored; what is no address is looked up as it is, and not found."""
    try:
        return _normal(email)
    except EmailNotValidError:
        return email.strip().lower()[:254]


def _normal(email: str) -> str:
    return validate_email(email.strip(), check_deliverability=False).normalized.lower()


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise BadInput("bad_name", f"Please give a name of 1 to {LONGEST_NAME} characters.", field="name")
    return name


def _check_password(password: str, email: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        sentence = (
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters; a few words are easy to remember."
        )
        raise BadInput("bad_password", sentence, field="password")
    if len(set(password)) < 4 or password.lower() in (email, email.partition("@")[0]):
        raise BadInput("weak_password", "This password is too easy to guess.", field="password")
