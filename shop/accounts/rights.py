"""Rights of an actor, read again in the transaction that decides.

A page checks the permission when it is requested. Between that and the decision an admin may have changed the roles of
the account, so the use case checks again.
"""

from __future__ import annotations

from sqlalchemy import select

from shop.accounts.models import User
from shop.accounts.permissions import Permission, effective, permissions_of, roles_with
from shop.core.actor import Actor, ActorKind
from shop.core.db import db, in_transaction
from shop.core.errors import Refusal


class Forbidden(Refusal):
    """The actor does not have the permission (403); the message names the roles that have it, or the missing scope."""

    def __init__(self, permission: Permission, *, of_key: bool = False) -> None:
        words = scope_needed(permission) if of_key else explanation(permission)
        super().__init__("forbidden", words, permission=str(permission))


def explanation(permission: Permission) -> str:
    """Sentence for staff whose roles do not have this permission."""
    roles = roles_with(permission)
    which = "the role" if len(roles) == 1 else "one of the roles"
    return f"Your account does not have the permission {permission}. It needs {which} {', '.join(roles)}."


def scope_needed(permission: Permission) -> str:
    """Sentence for a program whose API key does not grant this permission."""
    return f"This API key needs the scope {permission}, and its owner the permission."


def demand(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden unless the account of `actor` has the permission now, and the API key by which it acts, if it
    does, the scope. Operators at the command line have all.

    Raises RuntimeError outside a transaction, where the answer could be outdated before the decision is written.
    """
    if not in_transaction():
        raise RuntimeError("rights are read in the transaction that decides")
    if not has(actor, permission):
        raise Forbidden(permission, of_key=actor.scopes is not None)


def has(actor: Actor, permission: Permission) -> bool:
    """True if `demand` would not raise."""
    if actor.kind is ActorKind.OPERATOR:
        return True
    return actor.kind is ActorKind.STAFF and permission in effective(_roles(actor.user_id), actor.scopes)


def demand_of_staff(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden for a member of staff without the permission. Customers and the system have their own rules."""
    if actor.kind is ActorKind.STAFF:
        demand(actor, permission)


class Lapsed(Refusal):
    """The account that made a request is disabled, or does not have the permission any more (409)."""

    def __init__(self, email: str, permission: Permission) -> None:
        message = (
            f"{email}, who requested this, was disabled or does not have the permission {permission} any more. The "
            "request has lapsed: decline it, and make a new one if it is right."
        )
        super().__init__("request_lapsed", message)


def demand_of_requester(requested_by: Actor, permission: Permission) -> None:
    """Raise Lapsed unless the account that made a request may still make it. Only requests of staff can lapse.

    Raises RuntimeError outside a transaction, as `demand` does.
    """
    if not in_transaction():
        raise RuntimeError("rights are read in the transaction that decides")
    if requested_by.kind is not ActorKind.STAFF or requested_by.user_id is None:
        return
    columns = select(User.email, User.roles, User.disabled_at).where(User.id == requested_by.user_id)
    user = db.session.execute(columns).one_or_none()
    if user is not None and (user.disabled_at is not None or permission not in permissions_of(user.roles)):
        raise Lapsed(user.email, permission)


def _roles(user_id: int | None) -> list[str]:
    """The roles of an account; none of one that is disabled."""
    return db.session.scalar(select(User.roles).where(User.id == user_id, User.disabled_at.is_(None))) or []
