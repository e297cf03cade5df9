"""Actors of staff accounts: lookup by e-mail, and display names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core import email_address, text
from shop.core.actor import Actor, ActorKind
from shop.core.db import db
from shop.core.errors import BadInput


def actor_of(email: str) -> Actor:
    """Actor of the staff account with this e-mail.

    Raises BadInput `unknown_account` without such an account, `disabled_account` when it is disabled, `no_role` when it
    has no role.
    """
    user = account_of(email)
    if user.disabled_at is not None:
        raise BadInput("disabled_account", f"The account {user.email} is disabled.")
    if not set(user.roles) & set(Role):
        roles = ", ".join(Role)
        raise BadInput("no_role", f"The account {user.email} has no role. It needs one of: {roles}.")
    return Actor.staff(user.id)


def account_of(email: str) -> User:
    """Return the account with this e-mail, a customer's too. Raises BadInput `unknown_account`."""
    address = email_address.for_lookup(email)
    found = select(User).where(User.email == address)
    user = None if text.is_unusable(address) else db.session.scalars(found).one_or_none()
    if user is None:
        raise BadInput("unknown_account", "No account has this e-mail address.")
    return user


def labels(actors: Iterable[Actor]) -> dict[Actor, str]:
    """Display names of several actors, as `label` gives them. One statement, which loads their accounts."""
    known = set(actors)
    ids = {actor.user_id for actor in known if actor.user_id is not None}
    users = db.session.scalars(select(User).where(User.id.in_(ids))) if ids else ()
    return labels_of(known, {user.id: user.email for user in users})


def labels_of(actors: Iterable[Actor], emails: Mapping[int, str]) -> dict[Actor, str]:
    """Display names of actors whose accounts have these addresses, by id."""
    return {actor: name(actor, emails) for actor in actors}


def name(actor: Actor, emails: Mapping[int, str]) -> str:
    """Display name of an actor whose account has one of these addresses, by id."""
    return _label(actor, emails.get(actor.user_id or 0))


def label(actor: Actor) -> str:
    """Display name of an actor for staff: e-mail of the account, provider, or kind."""
    user = None if actor.user_id is None else db.session.get(User, actor.user_id)
    return _label(actor, user and user.email)


def _label(actor: Actor, email: str | None) -> str:
    if actor.user_id is not None:
        return email or f"account {actor.user_id}"
    if actor.name:
        return actor.name
    return "the customer" if actor.kind is ActorKind.CUSTOMER else str(actor.kind)
