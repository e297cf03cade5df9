"""How often somebody may try a password.

Three brakes, because each alone is easily walked around: per address and account (guessing from one place), per address
(one password, many accounts) and per account (one account, many places). The last is a database row: it holds across
processes and while Redis is away, and it is counted before the password is looked at, so that a hundred tries at the
same moment are a hundred tries.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from datetime import datetime, timedelta

from flask import current_app
from limits import RateLimitItemPerMinute
from sqlalchemy import case, delete, or_, select, update

from shop.accounts.models import SignInFailures
from shop.core import clock, rate
from shop.core.db import db, insert, retried, writing
from shop.core.errors import Refusal

FREE_FAILURES = 10
"""Wrong passwords in a row that cost an account nothing."""
FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(minutes=15)
FORGET_AFTER = timedelta(days=1)
_PER_PLACE_AND_ACCOUNT = RateLimitItemPerMinute(5)
_PER_PLACE = RateLimitItemPerMinute(30)


class TooManyAttempts(Refusal):
    """Somebody has tried too often; `retry_after` is in seconds."""

    status = 429

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "too_many_attempts", "There were too many attempts to sign in. Please wait a little and try again."
        )
        self.retry_after = retry_after


def rest(failures: int) -> timedelta | None:
    """How long an account rests after that many wrong passwords in a row; doubles each time."""
    over = failures - FREE_FAILURES
    return None if over < 0 else min(FIRST_REST * 2 ** min(over, 10), LONGEST_REST)


def count(email: str, ip: str) -> None:
    """Count one try. Raises TooManyAttempts when it is one too many."""
    account = _key(email)
    if current_app.config.get("RATE_LIMITS", True):
        within = rate.allowed(_PER_PLACE, "sign-in", ip) and rate.allowed(
            _PER_PLACE_AND_ACCOUNT, "sign-in", ip, account
        )
        if not within:
            raise TooManyAttempts(60)
    at = clock.wall()
    until = retried(lambda: _count(account, at))
    if until is not None:
        raise TooManyAttempts(max(1, math.ceil((until - at).total_seconds())))


def forgive(email: str) -> None:
    """The right password was given: the account's failures are forgotten."""
    with writing():
        db.session.execute(delete(SignInFailures).where(SignInFailures.account == _key(email)))


def _count(account: str, at: datetime) -> datetime | None:
    """Count a try against the account; the time until which it rests when the try must not be made."""
    row = SignInFailures
    with writing():
        statement = insert(row).values(account=account, failures=1, at=at)
        statement = statement.on_conflict_do_update(
            index_elements=[row.account],
            set_={"failures": case((row.at < at - FORGET_AFTER, 1), else_=row.failures + 1), "at": at},
            where=or_(row.blocked_until.is_(None), row.blocked_until <= at),
        )
        failures = db.session.scalar(statement.returning(row.failures))
        if failures is None:
            return db.session.scalar(select(row.blocked_until).where(row.account == account))
        pause = rest(failures)
        if pause is not None:
            db.session.execute(update(row).where(row.account == account).values(blocked_until=at + pause))
        if failures == 1:
            db.session.execute(delete(row).where(row.at < at - FORGET_AFTER))
    return None


def _key(email: str) -> str:
    """The row's name: no addresses of people who are not even customers are kept."""
    secret = current_app.config["SECRET_KEY"].encode()
    return hmac.new(secret, b"sign-in throttle " + email.encode(errors="replace"), hashlib.sha256).hexdigest()
