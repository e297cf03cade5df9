"""Limits on wrong passwords that never lock out the owner of an account.

Attempts are counted per network and account, per network (one password, many accounts), and per browser in which the
account was used before (see known_devices.py). An exhausted counter means a growing delay for its network or browser
only. While an account is attacked from many networks, each network has one attempt before its delay. The counters are
database rows, shared by all processes and independent of Redis. An attempt is counted before the password is checked,
so that concurrent attempts are all counted.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import current_app
from limits import RateLimitItemPerMinute
from sqlalchemy import ColumnElement, case, delete, func, or_, select, update

from shop.accounts.known_devices import Device
from shop.accounts.models import SignInFailures
from shop.core import clock, rate_limit
from shop.core.client_address import client_network
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import Refusal
from shop.core.sentences import sentence

FREE_ON_KNOWN_DEVICE = 10
"""Consecutive wrong passwords without a delay, in a browser in which the account was used before."""
FREE_FAILURES = 5
"""The same for any other network."""
FREE_UNDER_ATTACK = 1
ATTACKED_FROM = 50
"""Wrong passwords from unknown browsers, in a day without a sign-in, from which an account counts as attacked."""
FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(minutes=15)
FORGET_AFTER = timedelta(days=1)
_PER_NETWORK = RateLimitItemPerMinute(30)


class TooManyAttempts(Refusal):
    """Too many attempts; `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "too_many_attempts", sentence("Too many sign-in attempts. Please wait a few minutes and try again.")
        )
        self.retry_after = retry_after


def rest(failures: int, free: int) -> timedelta | None:
    """Delay after `failures` consecutive wrong passwords, the first `free` of which have none; it doubles each time."""
    over = failures - free
    return None if over < 0 else min(FIRST_REST * 2 ** min(over, 10), LONGEST_REST)


def count(email: str, ip: str, device: Device | None = None) -> None:
    """Count one attempt from `ip`, or from `device` if it is known for `email`. Raises TooManyAttempts (429)."""
    network = client_network(ip)
    if current_app.config.get("RATE_LIMITS", True) and not rate_limit.allowed(_PER_NETWORK, "sign-in", network):
        raise TooManyAttempts(60)
    at = clock.wall()
    if device and device.knows(email):
        until = _count(_key("device", device.id, email), at, FREE_ON_KNOWN_DEVICE, _key("account", email))
    else:
        until = _count_unknown(email, network, at)
    if until is not None:
        raise TooManyAttempts(max(1, math.ceil((until - at).total_seconds())))


@dataclass(frozen=True)
class Delay:
    """Wrong passwords of an account, of the row that has most, and the end of the longest delay (wall time)."""

    failures: int
    until: datetime | None


def delay(*names: str) -> Delay:
    """The wrong passwords that count now for an account, anywhere, and the delay that they cause. `names` are as for
    `clear`.
    """
    counted = select(func.max(SignInFailures.failures), func.max(SignInFailures.blocked_until))
    failures, until = db.session.execute(counted.where(*_of_account(names))).one()
    return Delay(failures or 0, until)


def clear(*names: str) -> int:
    """Delete all counters of an account, of every network and browser, in the caller's transaction; returns their
    number. `names` are its address, and whatever else `count` was called with.
    """
    return changed(delete(SignInFailures).where(*_of_account(names)))


def _of_account(names: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    keys = [_key("account", name) for name in names]
    return SignInFailures.of_account.in_(keys), SignInFailures.at >= clock.wall() - FORGET_AFTER


@transactional
def forgive(email: str, ip: str, device: Device | None = None) -> None:
    """Clear the failures of this network, browser and account after a sign-in. Other networks keep theirs."""
    names = [_key("account", email), _key("network", client_network(ip), email)]
    if device:
        names.append(_key("device", device.id, email))
    db.session.execute(delete(SignInFailures).where(SignInFailures.account.in_(names)))


@transactional
def _count_unknown(email: str, network: str, at: datetime) -> datetime | None:
    """Count an attempt from a browser that is not a known device of the account; as `_count`."""
    account = _key("account", email)
    tried = select(SignInFailures.failures).where(
        SignInFailures.account == account, SignInFailures.at >= at - FORGET_AFTER
    )
    attacked = (db.session.scalar(tried) or 0) >= ATTACKED_FROM
    free = FREE_UNDER_ATTACK if attacked else FREE_FAILURES
    until = _count(_key("network", network, email), at, free, account)
    if until is None:
        _count(account, at, None, account)
    return until


@transactional
def _count(name: str, at: datetime, free: int | None, of_account: str) -> datetime | None:
    """Count an attempt in the row `name`; returns the end of the delay if the attempt is not allowed. Without `free` it
    only counts.
    """
    row = SignInFailures
    statement = insert(row).values(account=name, of_account=of_account, failures=1, at=at)
    statement = statement.on_conflict_do_update(
        index_elements=[row.account],
        set_={"failures": case((row.at < at - FORGET_AFTER, 1), else_=row.failures + 1), "at": at},
        where=or_(row.blocked_until.is_(None), row.blocked_until <= at),
    )
    failures = db.session.scalar(statement.returning(row.failures))
    if failures is None:
        return db.session.scalar(select(row.blocked_until).where(row.account == name))
    pause = None if free is None else rest(failures, free)
    if pause is not None:
        db.session.execute(update(row).where(row.account == name).values(blocked_until=at + pause))
    if failures == 1:
        db.session.execute(delete(row).where(row.at < at - FORGET_AFTER))
    return None


def _key(*parts: str) -> str:
    """The row's name: a keyed hash, because e-mail addresses without an account must not be stored."""
    secret = current_app.config["SECRET_KEY"].encode()
    text = "\0".join(("sign-in throttle", *parts))
    return hmac.new(secret, text.encode(errors="replace"), hashlib.sha256).hexdigest()
