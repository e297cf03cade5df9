"""Active sign-ins: a random id in the visitor's signed cookie, and the user of this id in Redis.

Pages that only display the user never fail because of Redis: `current_user` is then a guest and `unavailable()` is
true. Code that needs the user calls `require_user`. Redis holds a hash of the id, so that reading Redis grants no
access.

Sign-ins of staff end after STAFF_IDLE_MINUTES without a request and STAFF_SIGN_IN_HOURS in any case. The times of the
last request and of the last confirmation of the password are in Redis, beside the sign-in.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, has_request_context, request, session
from flask_login import LoginManager, current_user
from sqlalchemy import BigInteger, bindparam, select, update
from sqlalchemy.orm import object_session

from shop.accounts import api_sessions
from shop.accounts.models import User
from shop.core import clock, logs, redis
from shop.core.db import after_commit, db, transactional
from shop.core.errors import Away, Refusal
from shop.core.sentences import sentence

log = logs.get()
LASTS = timedelta(days=14)
_SID = "sid"
_LONGEST_DEVICE = 160
_SEEN, _CONFIRMED = "seen", "confirmed"
_SEEN_EVERY = timedelta(seconds=30)
"""Precision of the time of the last request, so that not every request writes to Redis."""
T = TypeVar("T")
_OF_ID = select(User).where(User.id == bindparam("id", type_=BigInteger))
"""Made once: each page of a signed-in user sends it, and `Session.get` makes its statement anew."""


class SignInNeeded(Refusal):
    """A signed-in user is required."""

    def __init__(self) -> None:
        super().__init__("sign_in_needed", sentence("Please sign in to continue."))


@dataclass(frozen=True)
class SignIn:
    """An active sign-in. `handle` identifies it for `revoke` and grants no access; `here` is true for the sign-in of
    this request.
    """

    handle: str
    started_at: datetime
    device: str
    here: bool


class _Manager(LoginManager):  # type: ignore[misc]
    """Flask-Login without its cookie that keeps people signed in: it would read the session after every request."""

    def _update_remember_cookie(self, response: Response) -> Response:
        return response


def init_app(app: Flask) -> None:
    """Connect Flask-Login with the sign-ins; templates get `current_user` and `sign_in_unavailable`."""
    manager = _Manager()
    manager.session_protection = None  # it would rewrite the cookie; the id alone decides
    manager.request_loader(lambda _request: _visitor())
    manager.init_app(app)
    app.context_processor(lambda: {"sign_in_unavailable": unavailable})


def snapshot(user_id: int, epoch: int) -> User | None:
    """The account, detached from the database session, for `start`; None if its session epoch is not `epoch` any more,
    and if the account is disabled.

    `epoch` is the one under which the password was proven. The snapshot keeps it: a sign-in that `start` makes of it
    ends with the others when the password or the address is changed before `start` has run.
    """
    of_epoch = select(User).where(User.id == user_id, User.session_epoch == epoch, User.disabled_at.is_(None))
    user = db.session.scalars(of_epoch.execution_options(populate_existing=True)).one_or_none()
    if user is not None:
        db.session.expunge(user)
    return user


def start(user: User) -> None:
    """Sign `user`, a `snapshot`, in on this device, always under a new id. Raises Away when Redis is away, and
    ValueError for an account that is not detached: its epoch might be read again, after a change of the password.
    """
    if object_session(user) is not None:
        raise ValueError("a sign-in starts from a snapshot of the account")
    user_id, epoch, sid, at = user.id, user.session_epoch, secrets.token_urlsafe(24), clock.wall()
    ends = at + LASTS
    device = (request.user_agent.string or "")[:_LONGEST_DEVICE]
    record = json.dumps({"user": user_id, "epoch": epoch, "started_at": at.isoformat(), "device": device})
    old = _handle()

    def store(client: Any) -> None:
        with client.pipeline() as unit:
            unit.set(_key(_hash(sid)), record, ex=LASTS)
            unit.zremrangebyscore(_index(user_id), "-inf", at.timestamp())
            unit.zadd(_index(user_id), {_hash(sid): ends.timestamp()})
            unit.expire(_index(user_id), LASTS)
            if old:
                unit.delete(_key(old), _times_key(old))
            unit.execute()

    needed(store)
    session[_SID] = sid
    g.pop("_login_user", None)


def end() -> bool:
    """Sign out this device. False when Redis is unavailable: the cookie drops the id, which stays valid until it
    expires.
    """
    handle = _handle()
    session.pop(_SID, None)
    g.pop("_login_user", None)
    if handle is None:
        return True
    try:
        redis.attempt(lambda client: _delete(client, handle))
    except redis.RedisAway:
        return False
    return True


def of_user(user_id: int) -> list[SignIn]:
    """The user's active sign-ins, newest first. Raises Away."""
    here, epoch = _handle(), db.session.scalar(select(User.session_epoch).where(User.id == user_id))

    def read(client: Any) -> list[SignIn]:
        handles = [h.decode() for h in client.zrange(_index(user_id), 0, -1)]
        records = client.mget([_key(h) for h in handles]) if handles else []
        found = [(h, _parse(r)) for h, r in zip(handles, records, strict=True)]
        valid = [(h, r) for h, r in found if r and (r.user_id, r.epoch) == (user_id, epoch)]
        return [SignIn(h, r.started_at, r.device, h == here) for h, r in valid]

    return sorted(needed(read), key=lambda s: s.started_at, reverse=True)


def revoke(user_id: int, handle: str) -> bool:
    """End one sign-in of the user; False if the user has no such sign-in. Raises Away."""

    def drop(client: Any) -> bool:
        record = _parse(client.get(_key(handle)))
        return bool(record and record.user_id == user_id and _delete(client, handle))

    return needed(drop)


def revoke_all(user_id: int, *, but_here: bool = False) -> int:
    """End all sign-ins of the user, also those of programs, or all others; returns their number. Raises Away."""
    of_programs = api_sessions.end_of_user(user_id)
    revoked = [s.handle for s in of_user(user_id) if not (but_here and s.here)]
    return of_programs + sum(revoke(user_id, handle) for handle in revoked)


@transactional
def end_all(user_id: int) -> int:
    """End every sign-in of the user, that of this request included, in the caller's transaction; returns the new
    session epoch. Needs no Redis.
    """
    raised = update(User).where(User.id == user_id).values(session_epoch=User.session_epoch + 1)
    epoch = db.session.execute(raised.returning(User.session_epoch)).scalar_one()
    after_commit(lambda: log.info("accounts.signed_out_everywhere", user=user_id))
    return epoch


def forget(user_id: int) -> None:
    """Remove all sign-ins of the user from Redis, after `end_all`. While Redis is away they stay there until they
    expire, and are not accepted.
    """

    def drop(client: Any) -> None:
        handles = [handle.decode() for handle in client.zrange(_index(user_id), 0, -1)]
        keys = [key for handle in handles for key in (_key(handle), _times_key(handle))]
        client.delete(_index(user_id), *keys)

    with suppress(redis.RedisAway):
        redis.attempt(drop)


def confirm() -> None:
    """Record that the password was confirmed now for the sign-in of this request. Raises Away."""
    handle, at = _handle(), clock.wall()
    if handle is not None:
        needed(lambda client: _write_time(client, handle, _CONFIRMED, at))
        g.sign_in_confirmed_at = at


def is_confirmed() -> bool:
    """True if the person has signed in, or confirmed the password, less than STAFF_CONFIRM_MINUTES ago."""
    bool(current_user)  # loads it
    confirmed_at: datetime | None = g.get("sign_in_confirmed_at")
    limit = timedelta(minutes=current_app.config["STAFF_CONFIRM_MINUTES"])
    return confirmed_at is not None and clock.wall() - confirmed_at < limit


def ended_because() -> str:
    """The reason why the sign-in of this request has ended, as a sentence for staff; empty if no limit has ended it."""
    bool(current_user)  # loads it
    return str(g.get("sign_in_ended", ""))


def require_user() -> User:
    """The signed-in user. Raises SignInNeeded (401) for guests, Away (503) while Redis is away."""
    if current_user and current_user.is_authenticated:
        user: User = current_user._get_current_object()
        return user
    if unavailable():
        raise _away()
    raise SignInNeeded


def is_signed_in() -> bool:
    """True for a signed-in user, False for guests. Raises Away (503) while Redis is away."""
    if unavailable():
        raise _away()
    return bool(current_user and current_user.is_authenticated)


def is_claimed() -> bool:
    """True if the request's cookie names a sign-in, active or not."""
    return _handle() is not None


def unavailable() -> bool:
    """True if the cookie names a sign-in that cannot be checked because Redis is unavailable; the page then shows a
    guest.
    """
    if not has_request_context():
        return False
    bool(current_user)  # loads it
    return bool(g.get("sign_in_unavailable", False))


@dataclass(frozen=True)
class _Record:
    user_id: int
    epoch: int
    started_at: datetime
    device: str


def _visitor() -> User | None:
    handle = _handle()
    if handle is None:
        return None
    try:
        record, seen_at, confirmed_at = redis.attempt(lambda client: _read(client, handle))
        user = db.session.scalars(_OF_ID, {"id": record.user_id}).one_or_none() if record else None
        if user is None or record is None or user.session_epoch != record.epoch or user.disabled_at is not None:
            return None
        if user.roles and not _is_within_limits(handle, record.started_at, seen_at or record.started_at):
            return None
    except redis.RedisAway:
        g.sign_in_unavailable = True
        return None
    g.sign_in_confirmed_at = confirmed_at or record.started_at
    return user


def _is_within_limits(handle: str, started_at: datetime, seen_at: datetime) -> bool:
    """True while a sign-in of staff may be used; records the time of this request if it is activity of the person. Else
    it has ended. Raises RedisAway.
    """
    at = clock.wall()
    g.sign_in_ended = _limit_reached(at, started_at, seen_at)
    if not g.sign_in_ended:
        if _is_activity() and at - seen_at >= _SEEN_EVERY:
            redis.attempt(lambda client: _write_time(client, handle, _SEEN, at))
        return True
    redis.attempt(lambda client: _delete(client, handle))
    return False


def _is_activity() -> bool:
    """True for a request of the person: a form that was sent, or a page that was opened.

    An open page sends the others without an act of the person: a WebSocket that reconnects, the refresh of a fragment,
    a stream.
    """
    if request.method not in ("GET", "HEAD"):
        return True
    headers = request.headers
    is_navigation = headers.get("Sec-Fetch-Mode", "navigate") == "navigate"  # old browsers do not send it
    return is_navigation and not headers.get("HX-Request") and "Upgrade" not in headers


def _limit_reached(at: datetime, started_at: datetime, seen_at: datetime) -> str:
    """Sentence about the limit that has ended a sign-in of staff; empty if none has."""
    minutes, hours = current_app.config["STAFF_IDLE_MINUTES"], current_app.config["STAFF_SIGN_IN_HOURS"]
    if at - started_at >= timedelta(hours=hours):
        return f"You were signed out, because you signed in {hours} hours ago. Sign in to continue."
    if at - seen_at >= timedelta(minutes=minutes):
        return f"You were signed out after {minutes} minutes without activity. Sign in to continue."
    return ""


def here() -> str | None:
    """The handle of the sign-in that the request's cookie names, active or not."""
    return _handle()


def active_roles(handles: Collection[str]) -> dict[str, list[str]]:
    """The roles of the accounts of these sign-ins, by handle, for connections that stay open. Ended ones are left out.
    It counts as no activity. Raises RedisAway.
    """

    def read(client: Any) -> list[Any]:
        with client.pipeline(transaction=False) as unit:
            for handle in handles:
                unit.get(_key(handle))
                unit.hget(_times_key(handle), _SEEN)
            return list(unit.execute())

    found = redis.attempt(read)
    records = {handle: (_parse(found[2 * n]), _moment(found[2 * n + 1])) for n, handle in enumerate(handles)}
    at, ids = clock.wall(), {record.user_id for record, _ in records.values() if record}
    columns = select(User.id, User.session_epoch, User.roles).where(User.id.in_(ids), User.disabled_at.is_(None))
    accounts = {user_id: (epoch, roles) for user_id, epoch, roles in db.session.execute(columns)}
    roles_of: dict[str, list[str]] = {}
    for handle, (record, seen_at) in records.items():
        epoch, roles = accounts.get(record.user_id, (None, [])) if record else (None, [])
        if record and epoch == record.epoch and not _limit_reached(at, record.started_at, seen_at or record.started_at):
            roles_of[handle] = roles
    return roles_of


def _read(client: Any, handle: str) -> tuple[_Record | None, datetime | None, datetime | None]:
    """The record of a sign-in, and the times of the last request and of the last confirmation."""
    with client.pipeline(transaction=False) as unit:
        unit.get(_key(handle))
        unit.hmget(_times_key(handle), _SEEN, _CONFIRMED)
        raw, (seen, confirmed) = unit.execute()
    return _parse(raw), _moment(seen), _moment(confirmed)


def _moment(raw: bytes | None) -> datetime | None:
    try:
        return datetime.fromisoformat(raw.decode()).astimezone(UTC) if raw else None
    except ValueError:
        return None


def _write_time(client: Any, handle: str, name: str, at: datetime) -> None:
    with client.pipeline() as unit:
        unit.hset(_times_key(handle), name, at.isoformat())
        unit.expire(_times_key(handle), LASTS)
        unit.execute()


def _handle() -> str | None:
    sid = session.get(_SID) if has_request_context() else None
    return _hash(sid) if isinstance(sid, str) else None


def _parse(raw: Any) -> _Record | None:
    """The record in a value from Redis; None if there is none or it cannot be read."""
    try:
        data = json.loads(raw)
        at = datetime.fromisoformat(data["started_at"]).astimezone(UTC)
        return _Record(int(data["user"]), int(data.get("epoch", 0)), at, str(data["device"]))
    except (TypeError, ValueError, KeyError):
        return None


def _delete(client: Any, handle: str) -> bool:
    record = _parse(client.get(_key(handle)))
    if record:
        client.zrem(_index(record.user_id), handle)
    return bool(client.delete(_key(handle), _times_key(handle)))


def needed(use: Callable[[Any], T]) -> T:
    """The result of `use(client)`. Raises Away when Redis is away."""
    try:
        return redis.attempt(use)
    except redis.RedisAway as away:
        raise _away() from away


def _away() -> Away:
    return Away(
        "sign_in_unavailable",
        sentence("Sign-in is temporarily unavailable. Please try again in a minute."),
        retry_after=5,
    )


def _hash(sid: str) -> str:
    return hashlib.sha256(sid.encode()).hexdigest()


def _key(handle: str) -> str:
    return f"settled:sid:{handle}"


def _times_key(handle: str) -> str:
    return f"settled:sid:{handle}:times"


def _index(user_id: int) -> str:
    return f"settled:sids:{user_id}"
