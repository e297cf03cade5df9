"""Invitations of staff: an account without a password, and a mailed link by which its owner chooses a password.

Until then the account cannot sign in, and no other mailed link is made for it. Roles that need a second admin wait for
one, as for every account. Disabling the account withdraws the invitation.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import update

from shop.accounts import links, mail_limits, passwords, people, rights, signin
from shop.accounts.decide import LinkProblem, LinkPurpose
from shop.accounts.models import NO_PASSWORD, User
from shop.accounts.permissions import Permission
from shop.core import audit, clock, email_address, reasons
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal


def invite(email: str, roles: Iterable[str], *, by: Actor, reason: str, language: str = "en") -> int:
    """Create an account for the owner of this address and mail the invitation; returns the number of the account.

    Raises BadInput: `bad_email`, `unknown_role`, `roles_needed`, `reason_needed`, `account_needed`; Forbidden,
    TooManyMails, and Refusal `account_exists` (details: `user_id`) when the address has an account already.
    """
    try:
        address = email_address.normal(email)
    except email_address.NotAnAddress as error:
        message = "Enter an e-mail address in the format name@example.com."
        raise BadInput("bad_email", message, field="email") from error
    chosen = people.known_roles(roles)
    if not chosen:
        raise BadInput("roles_needed", "Choose at least one role.", field="roles")
    kept = reasons.needed(reason)
    mail_limits.count(LinkPurpose.INVITATION, address)
    return _invite(address, chosen, by, kept, language)


@transactional
def _invite(address: str, roles: list[str], by: Actor, reason: str, language: str) -> int:
    rights.demand(by, Permission.USER_WRITE)
    waiting = people.waiting_roles(roles, by)
    now = [role for role in roles if role not in waiting]
    values: dict[str, object] = {"email": address, "name": address.partition("@")[0][: signin.LONGEST_NAME]}
    values |= {"roles": now, "password_hash": NO_PASSWORD, "created_at": clock.now()}
    made = insert(User).values(values).on_conflict_do_nothing().returning(User.id)
    user_id = db.session.scalar(made)
    if user_id is None:
        user_id = db.session.scalar(db.select(User.id).where(User.email == address))
        message = f"{address} has an account already. Change the roles of that account instead."
        raise Refusal("account_exists", message, user_id=user_id)
    after = {"roles": now, "requested": waiting}
    _record(by, Act.ACCOUNT_INVITED, user_id, after, reason, {"email": address})
    if waiting:
        people.request_roles(user_id, waiting, by, reason)
    links.make(LinkPurpose.INVITATION, links.owner(user_id), language)
    return int(user_id)


def send_again(user_id: int, *, by: Actor, language: str = "en") -> None:
    """Mail another link for an invitation that was not accepted yet.

    Raises Forbidden, TooManyMails, and Refusal: `unknown_account`, `own_account`, `already_accepted`, `is_disabled`.
    """
    user = db.session.get(User, user_id)
    if user is not None:
        mail_limits.count(LinkPurpose.INVITATION, user.email)
    _send_again(user_id, by, language)


@transactional
def _send_again(user_id: int, by: Actor, language: str) -> None:
    user = people.locked(user_id, by)
    rights.demand(by, Permission.USER_WRITE)
    if user.password_hash != NO_PASSWORD:
        raise Refusal("already_accepted", "The person has accepted the invitation already and can sign in.")
    if user.disabled_at is not None:
        raise Refusal("is_disabled", "This account is disabled. Enable it before you send the invitation again.")
    _record(by, Act.INVITATION_SENT, user_id, {"roles": sorted(user.roles)}, "", {"email": user.email})
    links.make(LinkPurpose.INVITATION, links.owner(user_id), language)


def accept(signed: str, name: str, password: str) -> str:
    """Set name and password of the invited account, whose address is verified from then on; returns the address.

    Raises LinkEnded, and BadInput (details: `field`) for a name or password that cannot be used.
    """
    link = links.read(LinkPurpose.INVITATION, signed)
    tidy = signin.checked_name(name)
    signin.check_password(password, link.account_email or "")
    return _accept(signed, tidy, passwords.make(password))


@transactional
def _accept(signed: str, name: str, hashed: str) -> str:
    _, user = links.use(LinkPurpose.INVITATION, signed)
    unaccepted = update(User).where(User.id == user.id, User.password_hash == NO_PASSWORD)
    values = {"name": name, "password_hash": hashed, "email_verified_at": clock.now()}
    if not changed(unaccepted.values(values)):
        raise links.LinkEnded(LinkProblem.OUTDATED)
    _record(Actor.staff(user.id), Act.INVITATION_ACCEPTED, user.id, {"roles": sorted(user.roles)}, "", {"name": name})
    return user.email


def _record(by: Actor, act: Act, user_id: int, after: dict[str, list[str]], reason: str, who: dict[str, str]) -> None:
    subject = Subject(SubjectKind.ACCOUNT, str(user_id))
    audit.record(by, act, subject, after=after, reason=reason, personal=who)
