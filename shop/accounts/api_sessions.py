"""API sessions: start, refresh, end, and the account of an access token. They need no Redis."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import ColumnElement, bindparam, or_, select, update
from sqlalchemy.exc import OperationalError

from shop.accounts import api_decide, api_tokens
from shop.accounts.api_decide import Refresh, SessionSnapshot
from shop.accounts.api_models import ApiSession
from shop.accounts.models import User
from shop.core import clock, ids, logs
from shop.core.db import changed, db, table, transactional
from shop.core.errors import PassiveCopy, Refusal

LASTS = timedelta(days=30)
"""Lifetime of a session of a customer; that of staff is STAFF_SIGN_IN_HOURS."""
_LONGEST_DEVICE = 160
_USED_EVERY = timedelta(minutes=1)
_S, _U = table(ApiSession).c, table(User).c
_FIND = (
    select(_U.id, _U.email, _U.name, _U.roles, _U.second_factor_at, _S.created_at, _S.last_used_at, _S.expires_at)
    .join_from(table(ApiSession), table(User), _S.user_id == _U.id)
    .where(_S.id == bindparam("session"), _S.revoked_at.is_(None), _S.expires_at > bindparam("at"))
    .where(_S.epoch == _U.session_epoch, _U.id == bindparam("user"), _U.disabled_at.is_(None))
)
"""Account and session of an access token. Made once: making a statement costs more than executing it."""
MOST = 50
"""Active sessions of an account; a new one ends the oldest."""
log = logs.get()


class InvalidToken(Refusal):
    """The token is unknown, has expired, or its session has ended."""

    usual_status = 401

    def __init__(self) -> None:
        super().__init__("invalid_token", "The token is not valid, has expired, or its session has ended.")


@dataclass(frozen=True)
class Tokens:
    """Tokens of a session. `expires_in` is the lifetime of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


@transactional
def start(user: User, user_agent: str = "") -> Tokens:
    """Start a session for a snapshot of an account whose password, and second factor, were proven."""
    at, session_id = clock.wall(), ids.token()
    lasts = _of_staff() if user.roles else LASTS
    times = {"created_at": at, "rotated_at": at, "expires_at": at + lasts}
    new = ApiSession(id=session_id, user_id=user.id, epoch=user.session_epoch, generation=0, **times)
    new.device = user_agent[:_LONGEST_DEVICE]
    db.session.add(new)
    db.session.flush()
    active = (ApiSession.user_id == user.id, ApiSession.revoked_at.is_(None))
    newest = select(ApiSession.id).where(*active).order_by(ApiSession.created_at.desc(), ApiSession.id).limit(MOST)
    older = update(ApiSession).where(*active, ApiSession.id.not_in(newest))
    db.session.execute(older.values(revoked_at=at).execution_options(synchronize_session=False))
    return _tokens(user.id, session_id, 0)


def refresh(token: str) -> Tokens:
    """New tokens for a refresh token. A token that was used before ends its session, unless that was a moment ago.

    Raises InvalidToken.
    """
    found = api_tokens.read_refresh(token)
    tokens = _refresh(*found) if found else None
    if tokens is None:
        raise InvalidToken
    return tokens


@transactional
def _refresh(session_id: str, generation: int) -> Tokens | None:
    """None for a session that has ended, or ends now because of a reused token."""
    query = (
        select(ApiSession, User.session_epoch, User.disabled_at, User.roles)
        .join(User, User.id == ApiSession.user_id)
        .where(ApiSession.id == session_id)
        .with_for_update(of=ApiSession)
    )
    row = db.session.execute(query).one_or_none()
    if row is None:
        return None
    session, at = row[0], clock.wall()
    is_of_account = row.session_epoch == session.epoch and row.disabled_at is None
    is_revoked = session.revoked_at is not None
    ends = _ends_at(session, row.roles)
    seen = SessionSnapshot(session.generation, session.rotated_at, ends, is_revoked, is_of_account)
    decision = api_decide.decide(seen, generation, at)
    if decision is Refresh.ROTATE:
        session.generation, session.rotated_at = session.generation + 1, at
    elif decision is Refresh.REUSED:
        session.revoked_at = at
        log.warning("api.refresh_token_reused", user=session.user_id)
    if decision in (Refresh.REUSED, Refresh.REFUSED):
        return None
    return _tokens(session.user_id, session_id, session.generation)


@transactional
def end(session_id: str) -> None:
    """End a session: its access tokens and its refresh token are no longer valid."""
    active = update(ApiSession).where(ApiSession.id == session_id, ApiSession.revoked_at.is_(None))
    db.session.execute(active.values(revoked_at=clock.wall()))


def of_user(user_id: int) -> list[ApiSession]:
    """The active sessions of an account, the newest first. One statement."""
    query = select(ApiSession, User.roles).join(User, User.id == ApiSession.user_id).where(*_active(user_id))
    rows = db.session.execute(query.order_by(ApiSession.created_at.desc(), ApiSession.id)).all()
    return [session for session, roles in rows if _ends_at(session, roles) > clock.wall()]


@transactional
def end_of_user(user_id: int, session_id: str | None = None) -> int:
    """End a session of an account, or all of them; returns how many were active."""
    mine = select(ApiSession.id).join(User, User.id == ApiSession.user_id).where(*_active(user_id))
    some = mine if session_id is None else mine.where(ApiSession.id == session_id)
    ended = update(ApiSession).where(ApiSession.id.in_(some)).values(revoked_at=clock.wall())
    return changed(ended.execution_options(synchronize_session=False))


def _active(user_id: int) -> tuple[ColumnElement[bool], ...]:
    return (
        ApiSession.user_id == user_id,
        ApiSession.revoked_at.is_(None),
        ApiSession.expires_at > clock.wall(),
        ApiSession.epoch == User.session_epoch,
        User.disabled_at.is_(None),
    )


def _of_staff() -> timedelta:
    """Lifetime of a session of staff."""
    return timedelta(hours=current_app.config["STAFF_SIGN_IN_HOURS"])


@dataclass(frozen=True)
class Account:
    """The account of a request, read from the database. `has_second_factor` says that its sign-ins need one."""

    id: int
    email: str
    name: str
    roles: tuple[str, ...]
    has_second_factor: bool


def find(token: str) -> tuple[Account, str]:
    """Account and session id of an access token, whose use is noted: one statement, and once a minute another one.
    Raises InvalidToken, for staff also after STAFF_IDLE_MINUTES without a use.
    """
    access = api_tokens.read_access(token)
    if access is None:
        raise InvalidToken
    at = clock.wall()
    values = {"session": access.session_id, "user": access.user_id, "at": at}
    row = db.session.connection().execute(_FIND, values).first()
    if row is None or _ends_at(row, row.roles) <= at:
        raise InvalidToken
    if row.last_used_at is None or at - row.last_used_at >= _USED_EVERY:
        with suppress(PassiveCopy, OperationalError):  # a read must not fail because of it
            _note_use(access.session_id)
    return account(row), access.session_id


@transactional
def _note_use(session_id: str) -> None:
    at = clock.wall()
    is_older = or_(ApiSession.last_used_at.is_(None), ApiSession.last_used_at <= at - _USED_EVERY)
    changed(update(ApiSession).where(ApiSession.id == session_id, is_older).values(last_used_at=at))


def _ends_at(session: Any, roles: Collection[str]) -> datetime:
    """End of a session, or of a row with its times. That of staff ends after STAFF_IDLE_MINUTES without a use, and
    after STAFF_SIGN_IN_HOURS also if it began as a customer's.
    """
    last_used_at = session.last_used_at or session.created_at
    if not roles:
        return api_decide.ends_at(session.expires_at, last_used_at, None)
    latest = min(session.expires_at, session.created_at + _of_staff())
    return api_decide.ends_at(latest, last_used_at, timedelta(minutes=current_app.config["STAFF_IDLE_MINUTES"]))


def account(row: object) -> Account:
    """The account in a row with the columns id, email, name, roles and second_factor_at."""
    values = {name: getattr(row, name) for name in ("id", "email", "name")}
    return Account(**values, roles=tuple(row.roles), has_second_factor=row.second_factor_at is not None)  # type: ignore[attr-defined]


def _tokens(user_id: int, session_id: str, generation: int) -> Tokens:
    access = api_tokens.make_access(user_id, session_id)
    lasts = int(api_tokens.ACCESS_LASTS.total_seconds())
    return Tokens(access, api_tokens.refresh_token(session_id, generation), lasts)
