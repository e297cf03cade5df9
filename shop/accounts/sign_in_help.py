"""Help of staff with the sign-ins of an account: end all of them, with its API keys, and clear the wrong passwords that
delay them.
"""

from __future__ import annotations

from dataclasses import replace

from shop.accounts import api_keys, people, rights, second_factor, sessions, throttle
from shop.accounts.models import User
from shop.accounts.permissions import Permission
from shop.core import audit, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, transactional
from shop.core.errors import Refusal


@transactional
def sign_out(user_id: int, *, by: Actor, reason: str) -> None:
    """End all sign-ins of an account, and its API keys: both may be in the wrong hands. Needs no Redis. Raises BadInput
    `reason_needed`, Forbidden, and Refusal `unknown_account` and `own_account`.
    """
    stated = reasons.needed(reason)
    user = people.locked(user_id, by)
    _demand(user, by, Permission.CUSTOMER_SIGN_OUT)
    sessions.end_all(user_id)
    api_keys.end_all(user_id, by=by, because=f"All sign-ins of the account were ended: {stated}")
    audit.record(by, Act.SIGNED_OUT, _subject(user_id), reason=stated)


def unlock(user_id: int, *, by: Actor, reason: str) -> None:
    """Clear the wrong passwords and codes of an account, and the hourly limit of codes, so that its next sign-in is not
    delayed, wherever it is attempted. Raises as `sign_out` does, and Refusal `not_locked` when none are counted.
    """
    is_limited = second_factor.limited_until(user_id) is not None
    _unlock(user_id, by, reasons.needed(reason), is_limited=is_limited)


@transactional
def _unlock(user_id: int, by: Actor, reason: str, *, is_limited: bool) -> None:
    user = people.locked(user_id, by)
    _demand(user, by, Permission.CUSTOMER_UNLOCK)
    cleared = throttle.clear(*_names(user)) + is_limited
    if not cleared:
        raise Refusal("not_locked", "No wrong passwords are counted for this account, so nothing delays its sign-in.")
    audit.record(by, Act.SIGN_IN_UNLOCKED, _subject(user_id), before={"counters": cleared}, reason=reason)
    after_commit(lambda: second_factor.clear_limit(user_id))


def delay(user: User) -> throttle.Delay:
    """The wrong passwords and codes of the account, and the delay of its sign-in."""
    counted = throttle.delay(*_names(user))
    limited = second_factor.limited_until(user.id) if second_factor.is_set_up(user) else None
    return replace(counted, until=max(filter(None, (counted.until, limited)), default=None))


def _names(user: User) -> tuple[str, str]:
    return user.email, second_factor.counter(user.id)


def _demand(user: User, by: Actor, of_customers: Permission) -> None:
    rights.demand(by, Permission.USER_WRITE if user.roles else of_customers)


def _subject(user_id: int) -> Subject:
    return Subject(SubjectKind.ACCOUNT, str(user_id))
