"""Help of staff with the sign-ins of an account: end all of them, and clear the wrong passwords that delay them."""

from __future__ import annotations

from shop.accounts import people, rights, second_factor, sessions, throttle
from shop.accounts.models import User
from shop.accounts.permissions import Permission
from shop.core import audit, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import transactional
from shop.core.errors import Refusal


@transactional
def sign_out(user_id: int, *, by: Actor, reason: str) -> None:
    """End all sign-ins of an account. Needs no Redis. Raises BadInput `reason_needed`, Forbidden, and Refusal
    `unknown_account` and `own_account`.
    """
    stated = reasons.needed(reason)
    user = people.locked(user_id, by)
    _demand(user, by, Permission.CUSTOMER_SIGN_OUT)
    sessions.end_all(user_id)
    audit.record(by, Act.SIGNED_OUT, _subject(user_id), reason=stated)


@transactional
def unlock(user_id: int, *, by: Actor, reason: str) -> None:
    """Clear the wrong passwords and codes of an account, so that its next sign-in is not delayed, wherever it is
    attempted. Raises as `sign_out` does, and Refusal `not_locked` when none are counted.
    """
    stated = reasons.needed(reason)
    user = people.locked(user_id, by)
    _demand(user, by, Permission.CUSTOMER_UNLOCK)
    cleared = throttle.clear(*_names(user))
    if not cleared:
        raise Refusal("not_locked", "No wrong passwords are counted for this account, so nothing delays its sign-in.")
    audit.record(by, Act.SIGN_IN_UNLOCKED, _subject(user_id), before={"counters": cleared}, reason=stated)


def delay(user: User) -> throttle.Delay:
    """The wrong passwords and codes of the account, and the delay of its sign-in."""
    return throttle.delay(*_names(user))


def _names(user: User) -> tuple[str, str]:
    return user.email, second_factor.counter(user.id)


def _demand(user: User, by: Actor, of_customers: Permission) -> None:
    rights.demand(by, Permission.USER_WRITE if user.roles else of_customers)


def _subject(user_id: int) -> Subject:
    return Subject(SubjectKind.ACCOUNT, str(user_id))
