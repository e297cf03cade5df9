"""API keys: made by staff for their programs, used as Bearer tokens, revoked.

A key is `settled_key_<public id>_<secret>`. The secret has 256 random bits, so one SHA-256 protects it; a password hash
would block the process on every request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.exc import OperationalError

from shop.accounts import api_sessions, rights
from shop.accounts.api_models import ApiKey
from shop.accounts.api_sessions import Account, InvalidToken
from shop.accounts.models import User
from shop.accounts.permissions import Permission, effective, permissions_of
from shop.core import audit, clock, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, table, transactional
from shop.core.errors import BadInput, PassiveCopy, Refusal

PREFIX = "settled_key_"
LONGEST_NAME = 80
MOST = 25
"""Keys of a person that are not revoked."""
SHOWN = 500
"""Keys that the console lists, the newest."""
_USED_EVERY = timedelta(minutes=1)
_K, _U = table(ApiKey).c, table(User).c
_FIND = (
    select(_U.id, _U.email, _U.name, _U.roles, _U.second_factor_at)
    .add_columns(_K.id.label("key_id"), _K.secret_hash, _K.scopes, _K.last_used_at)
    .join_from(table(ApiKey), table(User), _U.id == _K.user_id)
    .where(_K.public_id == bindparam("key"), _K.revoked_at.is_(None), _U.disabled_at.is_(None))
)
"""A key and the account of its owner."""
_KEY = re.compile(rf"{PREFIX}([a-z0-9]{{16}})_([A-Za-z0-9_-]{{43}})")


@dataclass(frozen=True)
class Made:
    """A new key; `text` is the key itself, which is shown once."""

    id: int
    text: str


@dataclass(frozen=True)
class Known:
    """A key that a request has sent: its id, the account of its owner, and the permissions that it grants now."""

    id: int
    account: Account
    permissions: frozenset[Permission]


@transactional
def make(name: str, scopes: Iterable[str], *, by: Actor) -> Made:
    """Make a key for the member of staff `by`.

    Raises Forbidden, and BadInput: `bad_name`, `bad_scope` without a scope or for one that is not a permission of the
    owner, `too_many_keys`.
    """
    rights.demand(by, Permission.API_KEY_OWN)
    owner = db.session.get_one(User, by.user_id, with_for_update={"key_share": True}, populate_existing=True)
    label, chosen = text.tidy(name), sorted(set(scopes))
    if not label or len(label) > LONGEST_NAME or text.is_unusable(label):
        raise BadInput("bad_name", f"Enter a name of 1 to {LONGEST_NAME} characters.", field="name")
    if not chosen or set(chosen) - set(permissions_of(owner.roles)):
        raise BadInput("bad_scope", "Choose at least one scope. Scopes are permissions that you have.", field="scopes")
    mine = (ApiKey.user_id == owner.id, ApiKey.revoked_at.is_(None))
    if (db.session.scalar(select(func.count()).select_from(ApiKey).where(*mine)) or 0) >= MOST:
        raise BadInput("too_many_keys", f"You have {MOST} keys. Revoke one that is not used any more.")
    public_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    row = {"public_id": public_id, "secret_hash": _hash(secret), "name": label, "user_id": owner.id}
    key = ApiKey(**row, scopes=chosen, created_at=clock.now())
    db.session.add(key)
    db.session.flush()
    audit.record(by, Act.API_KEY_MADE, _subject(key), after={"name": label, "scopes": chosen})
    return Made(key.id, f"{PREFIX}{public_id}_{secret}")


@transactional
def revoke(key_id: int, *, by: Actor) -> None:
    """Revoke a key: one's own with API_KEY_OWN, any with API_KEY_REVOKE. Safe to repeat.

    Raises Forbidden, and Refusal `unknown_api_key`.
    """
    key = db.session.get(ApiKey, key_id, with_for_update=True, populate_existing=True)
    if key is None:
        raise Refusal("unknown_api_key", "There is no such API key.")
    is_own = key.user_id == by.user_id and rights.has(by, Permission.API_KEY_OWN)
    if not is_own:
        rights.demand(by, Permission.API_KEY_REVOKE)
    if key.revoked_at is None:
        key.revoked_at, key.revoked_by = clock.now(), by
        audit.record(by, Act.API_KEY_REVOKED, _subject(key), before={"name": key.name, "scopes": key.scopes})


def end_all(user_id: int, *, by: Actor, because: str) -> int:
    """Revoke every key of an account in the caller's transaction, because the account is in doubt or has ended; returns
    their number. The audit log has an entry for each.
    """
    mine = select(ApiKey).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)
    found = db.session.scalars(mine.with_for_update().execution_options(populate_existing=True)).all()
    for key in found:
        key.revoked_at, key.revoked_by = clock.now(), by
        before = {"name": key.name, "scopes": key.scopes}
        audit.record(by, Act.API_KEY_REVOKED, _subject(key), before=before, reason=because)
    db.session.flush()
    return len(found)


def find(given: str) -> Known:
    """The key that a request has sent, with the permissions that its owner still has. Raises InvalidToken."""
    parts = _KEY.fullmatch(given)
    if parts is None:
        raise InvalidToken
    row = db.session.execute(_FIND, {"key": parts[1]}).one_or_none()
    if not hmac.compare_digest(_hash(parts[2]), row.secret_hash if row else "") or row is None:
        raise InvalidToken
    if row.last_used_at is None or clock.now() - row.last_used_at >= _USED_EVERY:
        with suppress(PassiveCopy, OperationalError):  # a read must not fail because of it
            _note_use(row.key_id)
    return Known(row.key_id, api_sessions.account(row), effective(row.roles, row.scopes))


@transactional
def _note_use(key_id: int) -> None:
    at = clock.now()
    is_older = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= at - _USED_EVERY)
    changed(update(ApiKey).where(ApiKey.id == key_id, is_older).values(last_used_at=at))


def listed() -> list[tuple[ApiKey, str]]:
    """The newest keys with the e-mail addresses of their owners. One statement."""
    query = select(ApiKey, User.email).join(User, User.id == ApiKey.user_id).order_by(ApiKey.id.desc()).limit(SHOWN)
    return [(key, email) for key, email in db.session.execute(query)]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _subject(key: ApiKey) -> Subject:
    return Subject(SubjectKind.API_KEY, key.public_id)
