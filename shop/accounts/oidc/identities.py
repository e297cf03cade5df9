"""Sign-ins and accounts of people whom an issuer has proven: sign in, create, take over, add and remove identities."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from shop.accounts import credentials, links, mail_limits, second_factor, sessions, signin
from shop.accounts.decide import LinkProblem, LinkPurpose
from shop.accounts.known_devices import Device
from shop.accounts.models import (
    NO_PASSWORD,
    WITHOUT_PASSWORD,
    Identity,
    RoleRequest,
    RoleRequestState,
    SpentIdToken,
    User,
)
from shop.accounts.oidc import decide, refusals, tokens
from shop.accounts.oidc.decide import AccountSnapshot, Proof, Step
from shop.core import audit, clock, ids, logs, outbox
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, db, insert, transactional
from shop.core.errors import Refusal
from shop.core.event_types import AccountIdentityAdded
from shop.core.sentences import sentence

_TRIES = 3
log = logs.get()


@dataclass(frozen=True)
class Client:
    """Client of a sign-in: the device if it is known, its user agent, and the language of its pages; for a program its
    client network.
    """

    device: Device | None = None
    user_agent: str = ""
    language: str = "en"
    network: str = ""


class _Raced(Exception):
    """Another request has changed the account or the identity since it was read."""


def sign_in_with_token(token: str, client: Client, *, nonce: str | None = None) -> User:
    """Sign in with an ID token that a program hands over; returns what `sign_in` returns. The token must have `nonce`,
    if one is given.

    Raises TokenRefused, AddressUnverified and TokenUsed (401), Away (503), and what `sign_in` raises. Never
    called in a transaction.
    """
    proof = tokens.verified(token, nonce=nonce)
    spend(proof)
    return sign_in(proof, client)


@transactional
def spend(proof: Proof) -> None:
    """Use the token of a proof, once. Raises TokenUsed."""
    row = {"digest": proof.digest, "expires_at": proof.expires_at}
    spent = insert(SpentIdToken).values(row).on_conflict_do_nothing(index_elements=["digest"])
    if db.session.scalar(spent.returning(SpentIdToken.digest)) is None:
        raise refusals.TokenUsed


def sign_in(proof: Proof, client: Client) -> User:
    """A snapshot of the proven person's account, for `sessions.start`; of a new one for a new address. If it has a
    second factor (`second_factor.is_set_up`), the sign-in needs `signin.complete` before.

    Raises AccountDisabled, NotForStaff, TooManyMails, and NeedsConfirmation after a link was mailed to an account that
    has the address.
    """
    for _ in range(_TRIES):
        try:
            admitted = _admit(proof, client)
        except _Raced:
            continue
        if isinstance(admitted, User):
            log.info("accounts.signed_in", user=admitted.id, by="identity")
            return admitted
        if admitted == Step.CONFIRM:
            mail_limits.count(LinkPurpose.LINK_IDENTITY, proof.email)
            _mail_link(proof, client.language)
            raise refusals.NeedsConfirmation(proof.email)
        raise refusals.NotForStaff if admitted == Step.STAFF else signin.AccountDisabled
    raise Refusal("account_changed", sentence("Your account was changed at the same time. Please try again."))


@transactional
def _admit(proof: Proof, client: Client) -> User | Step:
    """The account of the identity, or of its address where the proof alone decides; else the step that is needed."""
    account = _of_identity(proof) or _of_address(proof, client.language)
    if isinstance(account, Step):
        return account
    user_id, epoch = account
    user = sessions.snapshot(user_id, epoch)
    if user is None:
        return Step.DISABLED
    db.session.execute(update(User).where(User.id == user_id).values(last_signed_in_at=clock.now()))
    signin.record_success(user, client.device, client.user_agent, client.language, client.network)
    return user


def _of_identity(proof: Proof) -> tuple[int, int] | None:
    """Account and session epoch of an identity that an account has."""
    used = update(Identity).where(Identity.issuer == proof.issuer, Identity.subject == proof.subject)
    user_id = db.session.scalar(used.values(last_used_at=clock.now()).returning(Identity.user_id))
    if user_id is None:
        return None
    return user_id, db.session.scalars(select(User.session_epoch).where(User.id == user_id)).one()


def _of_address(proof: Proof, language: str) -> tuple[int, int] | Step:
    """Account and session epoch for a new identity, which is added; or the step that is needed first. Raises _Raced."""
    locked = select(User).where(User.email == proof.email).with_for_update(key_share=True)
    user = db.session.scalars(locked.execution_options(populate_existing=True)).one_or_none()
    step = decide.step_for(_snapshot(user))
    if user is None:
        user_id, epoch = _created(proof)
    elif step == Step.TAKE_OVER:
        user_id, epoch = user.id, _taken_over(user.id)
    else:
        return step
    try:
        _add(user_id, identity_of(proof), is_used=True)
    except refusals.IdentityTaken as taken:
        raise _Raced from taken
    if step == Step.TAKE_OVER:
        _mail_owner(user_id, proof.issuer, language)
    after_commit(lambda: log.info("accounts.identity_added", user=user_id, step=step))
    return user_id, epoch


def _snapshot(user: User | None) -> AccountSnapshot | None:
    if user is None:
        return None
    is_asked = select(RoleRequest.id).where(
        RoleRequest.user_id == user.id, RoleRequest.state == RoleRequestState.REQUESTED
    )
    is_staff = bool(user.roles) or user.password_hash == NO_PASSWORD or db.session.scalar(is_asked) is not None
    return AccountSnapshot(user.disabled_at is not None, user.email_verified_at is not None, is_staff)


def _created(proof: Proof) -> tuple[int, int]:
    """A new account of a customer, without a password. Raises _Raced when another request has created one."""
    at = clock.now()
    values: dict[str, Any] = {
        "email": proof.email,
        "name": proof.name[: signin.LONGEST_NAME],
        "password_hash": _no_password(),
    }
    values |= {"roles": [], "created_at": at, "email_verified_at": at}
    made = insert(User).values(values).on_conflict_do_nothing().returning(User.id, User.session_epoch)
    new = db.session.execute(made).one_or_none()
    if new is None:
        raise _Raced
    return new[0], new[1]


def _taken_over(user_id: int) -> int:
    """Remove all that proves the person who made the account, whose address they have not verified; returns the new
    session epoch.
    """
    values = {"password_hash": _no_password(), "email_verified_at": clock.now()}
    db.session.execute(update(User).where(User.id == user_id).values(values))
    db.session.execute(delete(Identity).where(Identity.user_id == user_id))
    second_factor.remove(user_id)
    return sessions.end_all(user_id)


def identity_of(proof: Proof) -> dict[str, str]:
    """The identity of a proof, as `add` takes it."""
    return {"issuer": proof.issuer, "subject": proof.subject, "email": proof.email}


def _no_password() -> str:
    return WITHOUT_PASSWORD + secrets.token_hex(16)


def _add(user_id: int, identity: dict[str, str], *, is_used: bool = False) -> int | None:
    """Add an identity to an account, in the caller's transaction; returns its number, None if the account has it.
    Raises IdentityTaken when another account has it.
    """
    at = clock.now()
    row: dict[str, Any] = {**identity, "user_id": user_id, "added_at": at, "last_used_at": at if is_used else None}
    made = insert(Identity).values(row).on_conflict_do_nothing(index_elements=["issuer", "subject"])
    number: int | None = db.session.scalar(made.returning(Identity.id))
    if number is None:
        named = (Identity.issuer == identity["issuer"], Identity.subject == identity["subject"])
        if db.session.scalar(select(Identity.user_id).where(*named)) != user_id:
            raise refusals.IdentityTaken
    return number


@transactional
def _mail_link(proof: Proof, language: str) -> None:
    """Mail a link that adds the identity to the account of its address."""
    links.make(LinkPurpose.LINK_IDENTITY, links.owner_of(proof.email), language, identity=identity_of(proof))


@transactional
def add_by_link(signed: str) -> None:
    """Add the identity of a mailed link to its account, once. Raises LinkEnded, also for an account that is one of
    staff by now, and IdentityTaken.
    """
    link, user = links.use(LinkPurpose.LINK_IDENTITY, signed)
    seen = _snapshot(user)
    if link.identity is None or seen is None or seen.is_staff or not seen.is_verified:
        raise links.LinkEnded(LinkProblem.OUTDATED)
    if _add(user.id, link.identity) is not None:
        _mail_owner(user.id, link.identity["issuer"], link.language)
    after_commit(lambda: log.info("accounts.identity_added", user=user.id, step="link"))


def add(user_id: int, identity: dict[str, str], password: str, origin: credentials.Origin) -> None:
    """Add an identity (`issuer`, `subject`, `email`) to the account of the person who is signed in, after the password
    was confirmed; an account without one needs a recent sign-in.

    Raises BadInput (details: `field`), TooManyAttempts, Away, IdentityTaken, and Refusal: `email_unverified`,
    `sign_in_again`.
    """
    user = db.session.get_one(User, user_id, populate_existing=True)
    is_verified = user.email_verified_at is not None
    db.session.rollback()
    if not is_verified:
        raise Refusal("email_unverified", sentence("Confirm your e-mail address first."))
    epoch = credentials.confirm_owner(user_id, password, origin)
    _add_to(user_id, epoch, identity, origin.language)


@transactional
def _add_to(user_id: int, epoch: int, identity: dict[str, str], language: str) -> None:
    second_factor.lock(user_id)
    if sessions.snapshot(user_id, epoch) is None:
        raise Refusal("account_changed", sentence("Your account was changed at the same time. Please try again."))
    number = _add(user_id, identity)
    if number is not None:
        _record(user_id, Act.IDENTITY_ADDED, number, identity["email"])
        _mail_owner(user_id, identity["issuer"], language)


def _mail_owner(user_id: int, issuer: str, language: str) -> None:
    """Emit the event that mails the owner of an account about a new identity, in the caller's transaction. The mail is
    in the account's language, or in `language` if it has none.
    """
    chosen = db.session.scalar(select(User.language).where(User.id == user_id))
    event = AccountIdentityAdded(user_id, ids.token(), issuer, clock.now().isoformat(), chosen or language)
    outbox.emit(event, f"account {user_id}")


@transactional
def remove(user_id: int, identity_id: int) -> None:
    """Remove an identity of the account; nothing is left to do for one that it does not have. Raises OnlySignIn."""
    locked = select(User).where(User.id == user_id).with_for_update(key_share=True)
    user = db.session.scalars(locked.execution_options(populate_existing=True)).one()
    mine = of_user(user_id)
    if not user.has_password and [one.id for one in mine] == [identity_id]:
        raise refusals.OnlySignIn
    removed = delete(Identity).where(Identity.id == identity_id, Identity.user_id == user_id)
    email = db.session.scalar(removed.returning(Identity.email))
    if email is not None:
        _record(user_id, Act.IDENTITY_REMOVED, identity_id, email)


def of_user(user_id: int) -> Sequence[Identity]:
    """The identities of an account, the oldest first."""
    return db.session.scalars(select(Identity).where(Identity.user_id == user_id).order_by(Identity.id)).all()


def _record(user_id: int, act: Act, number: int, email: str) -> None:
    """Record a change of the identities of an account with a role."""
    if db.session.scalar(select(User.roles).where(User.id == user_id)):
        subject = Subject(SubjectKind.ACCOUNT, str(user_id))
        audit.record(Actor.staff(user_id), act, subject, after={"identity": number}, personal={"email": email})
    after_commit(lambda: log.info("accounts.identities_changed", user=user_id, act=act))
