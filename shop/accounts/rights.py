"""Rights of an actor, read again in the transaction that decides.

A page checks the permission when it is requested. Between that and the decision an admin may have changed the roles of
the account, so the use case checks again.
"""

from __future__ import annotations

from sqlalchemy import select

from shop.accounts.models import User
from shop.accounts.permissions import Permission, permissions_of, roles_with
from shop.core.actor import Actor, ActorKind
from shop.core.db import db, in_transaction
from shop.core.errors import Refusal


class Forbidden(Refusal):
    """The actor does not have the permission (403); the message names the roles that have it."""

    def __init__(self, permission: Permission) -> None:
        super().__init__("forbidden", explanation(permission), permission=str(permission))


def explanation(permission: Permission) -> str:
    """Sentence for staff whose roles do not have this permission."""
    roles = roles_with(permission)
    which = "the role" if len(roles) == 1 else "one of the roles"
    return f"Your account does not have the permission {permission}. It needs {which} {', '.join(roles)}."


def demand(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden unless the account of `actor` has the permission now. Operators at the command line have all.

    Raises RuntimeError outside a transaction, where the answer could be outdated before the decision is written.
    """
    if not in_transaction():
        raise RuntimeError("rights are read in the transaction that decides")
    if actor.kind is ActorKind.OPERATOR:
        return
    if actor.kind is not ActorKind.STAFF or permission not in permissions_of(_roles(actor.user_id)):
        raise Forbidden(permission)


def demand_of_staff(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden for a member of staff without the permission. Customers and the system have their own rules."""
    if actor.kind is ActorKind.STAFF:
        demand(actor, permission)


def demand_of_requester(requested_by: Actor, permission: Permission) -> None:
    """Raise Refusal `request_lapsed` if a member of staff has lost the permission since their request."""
    if requested_by.kind is ActorKind.STAFF and permission not in permissions_of(_roles(requested_by.user_id)):
        message = "The person who requested this may no longer do so. Decline it; someone else can request it again."
        raise Refusal("request_lapsed", message)


def _roles(user_id: int | None) -> list[str]:
    return db.session.scalar(select(User.roles).where(User.id == user_id)) or []
