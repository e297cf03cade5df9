"""Changes of the access of accounts by staff: disable, enable, and roles.

Each use case locks the rows of the account and of the actor, demands the permission, and writes by a conditional UPDATE
on the version of the access. So of several changes at a time one counts, and the others are refused with the name of
the person who was first. Roles that need a second admin are requested here and given in `role_requests`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from shop.accounts import api_keys, rights, second_factor, sessions, staff
from shop.accounts.models import IS_STAFF, RoleRequest, RoleRequestState, User
from shop.accounts.permissions import NEED_TWO_ADMINS, PERMISSIONS, Permission, Role
from shop.core import audit, audit_search, clock, logs, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, changed, db, transactional
from shop.core.errors import BadInput, Refusal

ACTS = (
    *(Act.ACCOUNT_DISABLED, Act.ACCOUNT_ENABLED, Act.ROLES_CHANGED, Act.ROLES_REQUESTED),
    *(Act.ROLES_APPROVED, Act.ROLES_DECLINED, Act.SECOND_FACTOR_REMOVED),
)
"""Acts about the access of an account."""
log = logs.get()


@dataclass(frozen=True)
class RolesSet:
    """Roles that an account has now, and those that wait for a second admin under the number `request`."""

    now: list[str]
    waiting: list[str]
    request: int | None = None


def needs_two_admins(role: str) -> bool:
    """True if this role has a permission to decide about money or to change roles."""
    return role in tuple(Role) and bool(PERMISSIONS[Role(role)] & NEED_TWO_ADMINS)


def disable(user_id: int, *, by: Actor, reason: str, version: int | None = None) -> None:
    """Disable an account: all its sign-ins and its API keys end, it cannot sign in, and its open requests lapse.

    `version` is the version of the access that the actor has seen. Raises BadInput `reason_needed`, Forbidden, and
    Refusal: `unknown_account`, `own_account`, `already_disabled`, `access_changed` when the account was changed since
    `version`.
    """
    _disable(user_id, by, reasons.needed(reason), version)


@transactional
def _disable(user_id: int, by: Actor, reason: str, version: int | None) -> None:
    user = locked(user_id, by)
    demand_for(user, by)
    if user.disabled_at is not None:
        raise Refusal("already_disabled", "This account is disabled already." + _last_change(user_id))
    write_access(user, version, disabled_at=clock.now())
    lapse_requests(user_id)
    sessions.end_all(user_id)
    api_keys.end_all(user_id, by=by, because=f"The account was disabled: {reason}")
    _record(by, Act.ACCOUNT_DISABLED, user_id, {"is_disabled": False}, {"is_disabled": True}, reason)


def enable(user_id: int, *, by: Actor, reason: str, version: int | None = None) -> None:
    """Let a disabled account sign in again, with the roles that it has. Its API keys stay revoked. Raises as `disable`
    does; `not_disabled` when it is not disabled.
    """
    _enable(user_id, by, reasons.needed(reason), version)


@transactional
def _enable(user_id: int, by: Actor, reason: str, version: int | None) -> None:
    user = locked(user_id, by)
    demand_for(user, by)
    if user.disabled_at is None:
        raise Refusal("not_disabled", "This account is not disabled." + _last_change(user_id))
    write_access(user, version, disabled_at=None)
    _record(by, Act.ACCOUNT_ENABLED, user_id, {"is_disabled": True}, {"is_disabled": False}, reason)


def remove_second_factor(user_id: int, *, by: Actor, reason: str) -> None:
    """Remove the second factor of a person who has lost it, and end all sign-ins of the account. Raises as `disable`
    does; `not_set_up` when there is none.
    """
    _remove_second_factor(user_id, by, reasons.needed(reason))


@transactional
def _remove_second_factor(user_id: int, by: Actor, reason: str) -> None:
    user = locked(user_id, by)
    rights.demand(by, Permission.USER_WRITE)
    if user.second_factor_at is None:
        raise Refusal("not_set_up", "This account has no second factor.")
    second_factor.remove(user_id)
    sessions.end_all(user_id)
    _record(by, Act.SECOND_FACTOR_REMOVED, user_id, {"has_second_factor": True}, {"has_second_factor": False}, reason)


def set_roles(user_id: int, roles: Iterable[str], *, by: Actor, reason: str, version: int | None = None) -> RolesSet:
    """Give an account exactly these roles. Those that it does not have yet, and that `needs_two_admins`, wait for a
    second admin; the other changes count at once.

    Raises as `disable` does, and BadInput: `unknown_role`, `same_roles`, `account_needed` when an operator without an
    account requests a role that needs a second admin; Refusal `is_disabled`.
    """
    return _set_roles(user_id, known_roles(roles), by, reasons.needed(reason), version)


@transactional
def _set_roles(user_id: int, wanted: list[str], by: Actor, reason: str, version: int | None) -> RolesSet:
    user = locked(user_id, by)
    rights.demand(by, Permission.USER_WRITE)
    if user.disabled_at is not None:
        raise Refusal("is_disabled", "This account is disabled. Enable it before you change its roles.")
    before = sorted(user.roles)
    waiting = waiting_roles((role for role in wanted if role not in before), by)
    now = [role for role in wanted if role not in waiting]
    if now == before and not waiting:
        raise BadInput("same_roles", "The account has exactly these roles already. Nothing was changed.", field="roles")
    write_access(user, version, roles=now)
    lapse_requests(user_id)
    if now != before:
        _record(by, Act.ROLES_CHANGED, user_id, {"roles": before}, {"roles": now}, reason)
    return RolesSet(now, waiting, request_roles(user_id, waiting, by, reason) if waiting else None)


def request_roles(user_id: int, roles: list[str], by: Actor, reason: str) -> int:
    """Request roles that a second admin gives, in the caller's transaction; returns the number of the request."""
    if by.user_id is None:
        message = f"Name your account with --by: a second admin has to approve {', '.join(roles)}."
        raise BadInput("account_needed", message)
    request = RoleRequest(user_id=user_id, roles=roles, reason=reason, requested_by=by, requested_at=clock.now())
    db.session.add(request)
    db.session.flush()
    _record(by, Act.ROLES_REQUESTED, user_id, None, {"request": request.id, "roles": roles}, reason)
    return request.id


def lapse_requests(user_id: int) -> None:
    """Let the open request for an account lapse, because the account has changed; in the caller's transaction."""
    still_open = (RoleRequest.user_id == user_id, RoleRequest.state == RoleRequestState.REQUESTED)
    db.session.execute(
        update(RoleRequest).where(*still_open).values(state=RoleRequestState.LAPSED, decided_at=clock.now())
    )


def locked(user_id: int, by: Actor) -> User:
    """The account, with its row and that of the actor locked in the order of their numbers, so that two admins cannot
    take the role from each other at the same time.

    Raises Refusal `unknown_account`, `own_account` for the account of the actor, and `account_deleted` for one that its
    owner has deleted.
    """
    if user_id == by.user_id:
        raise Refusal("own_account", "You cannot change the access of your own account. Ask another admin.")
    rows = select(User).where(User.id.in_({user_id, by.user_id or user_id})).order_by(User.id)
    rows = rows.with_for_update(key_share=True).execution_options(populate_existing=True)
    found = {user.id: user for user in db.session.scalars(rows)}
    if user_id not in found:
        raise Refusal("unknown_account", "There is no such account.")
    if found[user_id].deleted_at is not None:
        raise Refusal("account_deleted", "The owner has deleted this account. It cannot be used or changed again.")
    return found[user_id]


def demand_for(user: User, by: Actor) -> None:
    """Raise Forbidden unless the actor may change the access of this account, of staff or of a customer."""
    rights.demand(by, Permission.USER_WRITE if user.roles else Permission.CUSTOMER_DISABLE)


def write_access(user: User, version: int | None, **values: Any) -> None:
    """Change the access of an account that is `locked`. Raises Refusal `access_changed` when it was changed since
    `version`; None is the present version.
    """
    seen = user.access_version if version is None else version
    unchanged = update(User).where(User.id == user.id, User.access_version == seen)
    if not changed(unchanged.values(access_version=seen + 1, **values)):
        message = "Someone else has changed this account since you opened the page, and your change was not made."
        raise Refusal("access_changed", f"{message}{_last_change(user.id)} Check the account and decide again.")


def known_roles(roles: Iterable[str]) -> list[str]:
    """The roles, sorted. Raises BadInput `unknown_role`."""
    chosen = sorted(set(roles))
    if unknown := [role for role in chosen if role not in tuple(Role)]:
        message = f"{unknown[0][:40]} is not a role. Roles are {', '.join(Role)}."
        raise BadInput("unknown_role", message, field="roles")
    return chosen


def _record(
    by: Actor, act: Act, user_id: int, before: Mapping[str, Any] | None, after: Mapping[str, Any], reason: str
) -> None:
    audit.record(by, act, Subject(SubjectKind.ACCOUNT, str(user_id)), before=before, after=after, reason=reason)
    after_commit(lambda: log.info("accounts.access_changed", user=user_id, act=act))


def _last_change(user_id: int) -> str:
    """Sentence with the person and the time of the newest change of the access; empty if it was not changed."""
    filters = audit_search.Filters(acts=ACTS, subject_kind=SubjectKind.ACCOUNT, subject_id=str(user_id))
    entries = audit_search.find(filters, limit=1).rows
    return f" {describe(entries[0])}" if entries else ""


_DID: Mapping[str, str] = {
    Act.ACCOUNT_DISABLED: "disabled it",
    Act.ACCOUNT_ENABLED: "enabled it",
    Act.SECOND_FACTOR_REMOVED: "removed its second factor",
    Act.ROLES_CHANGED: "changed its roles",
    Act.ROLES_REQUESTED: "requested roles for it",
    Act.ROLES_APPROVED: "approved roles for it",
    Act.ROLES_DECLINED: "declined roles for it",
}


def describe(entry: audit_search.Entry) -> str:
    """Sentence about an entry of ACTS: the person, the act, and the time in UTC."""
    person = staff.label(Actor.parse(entry.actor))
    return f"{person} {_DID[entry.act]} at {entry.at:%Y-%m-%d %H:%M:%S} UTC."


def waiting_roles(roles: Iterable[str], by: Actor) -> list[str]:
    """Those of these roles that a second admin has to approve. An operator without an account makes the first admin."""
    first = [Role.ADMIN] if by.user_id is None and not _has_admin() else []
    return [role for role in roles if needs_two_admins(role) and role not in first]


def _has_admin() -> bool:
    active = db.session.scalars(select(User.roles).where(IS_STAFF, User.disabled_at.is_(None)))
    return any(Role.ADMIN in roles for roles in active)
