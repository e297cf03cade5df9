"""Sign-in and creation of accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import select, update

from shop.accounts import known_networks, links, passwords, people, rights, second_factor, sessions, throttle
from shop.accounts.decide import LinkPurpose
from shop.accounts.known_devices import Device
from shop.accounts.models import User
from shop.accounts.permissions import Permission, Role
from shop.core import audit, clock, email_address, ids, logs, outbox, text
from shop.core.actor import Actor, ActorKind
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, changed, db, insert, transaction, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.event_types import AccountNewDevice
from shop.core.sentences import sentence

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 256
LONGEST_NAME = 100
LONGEST_DEVICE = 300
_TRIES = 3
log = logs.get()


class AccountDisabled(Refusal):
    """The password is right, and the account is disabled."""

    usual_status = 403

    def __init__(self) -> None:
        super().__init__("account_disabled", sentence("This account has been disabled. Contact us if you need help."))


class WrongCredentials(Refusal):
    """Wrong e-mail or password; the message does not reveal which."""

    def __init__(self) -> None:
        super().__init__("wrong_credentials", sentence("Wrong e-mail or password."))


def sign_in(
    email: str,
    password: str,
    ip: str,
    device: Device | None = None,
    user_agent: str = "",
    language: str = "en",
    *,
    network: str = "",
) -> User:
    """Check the password and return a snapshot of the user for `sessions.start`. `ip`, `device` and `user_agent` are
    the origin of the attempt. A sign-in from a device that the account does not know writes an event, which the
    customer is mailed about, in the account's language, or in `language` if it has none; for a program, which has no
    device and names its client `network`, once a day. If the account has a second
    factor (`second_factor.is_set_up`), the sign-in needs `complete` before `sessions.start`.

    Raises WrongCredentials (422), AccountDisabled (403), TooManyAttempts (429, with `retry_after` in seconds), Away
    (503).
    """
    email = email_address.for_lookup(email)
    throttle.count(email, ip, device)
    for _ in range(_TRIES):
        proof = _prove(email, password)
        if proof is None:
            break
        if proof.is_disabled:
            _record_failure(email, user_agent)
            raise AccountDisabled
        with transaction():
            user = _record(proof)
            if user is None:
                continue  # the account has changed since it was read: check the password that it has now
            throttle.forgive(email, ip, device)
            record_success(user, device, user_agent, language, network)
        log.info("accounts.signed_in", user=user.id)
        return user
    log.info("accounts.sign_in_refused", ip=ip)
    _record_failure(email, user_agent)
    raise WrongCredentials


def record_success(user: User, device: Device | None, user_agent: str, language: str, network: str = "") -> None:
    """Record a sign-in that needs no second factor or waits for it, in the caller's transaction: an entry of the audit
    log for staff, and an event for the owner when the device, or the `network` of a program, is new.
    """
    if user.roles and not second_factor.is_set_up(user):
        _record_sign_in(Actor.staff(user.id), Act.SIGN_IN_SUCCEEDED, user.id, user_agent)
    if known_networks.knows(user.id, network) if network else device is not None and device.knows(user.email):
        return
    at, device_name, user_id = clock.now(), user_agent[:LONGEST_DEVICE], user.id
    event = AccountNewDevice(user_id, ids.token(), device_name, at.isoformat(), user.language or language)
    outbox.emit(event, f"account {user_id}")
    if network:
        after_commit(lambda: known_networks.remember(user_id, network))


def complete(user_id: int, epoch: int, check: Callable[[], None], user_agent: str = "") -> User:
    """Check the second factor after the password was proven under the session epoch `epoch`; returns a snapshot for
    `sessions.start`. `check` is `second_factor.check` or `passkeys.check`, with what the person has sent.

    Raises what `check` raises, and WrongCredentials when the account has changed meanwhile.
    """
    try:
        check()
    except BadInput:
        with transaction():
            _record_sign_in(Actor(ActorKind.UNPROVEN), Act.SIGN_IN_FAILED, user_id, user_agent)
        raise
    with transaction():
        user = sessions.snapshot(user_id, epoch)
        if user is None:
            raise WrongCredentials
        _record_sign_in(Actor.staff(user.id), Act.SIGN_IN_SUCCEEDED, user.id, user_agent)
    log.info("accounts.signed_in", user=user.id)
    return user


@transactional
def _record_failure(email: str, user_agent: str) -> None:
    """Record a wrong password for an account with a role. The throttle limits the number of these entries."""
    found = db.session.execute(select(User.id, User.roles).where(User.email == email)).one_or_none()
    if found is not None and found.roles:
        _record_sign_in(Actor(ActorKind.UNPROVEN), Act.SIGN_IN_FAILED, found.id, user_agent)


def _record_sign_in(actor: Actor, act: Act, user_id: int, user_agent: str) -> None:
    device = {"user_agent": user_agent[:LONGEST_DEVICE]}
    audit.record(actor, act, Subject(SubjectKind.ACCOUNT, str(user_id)), personal=device)


@dataclass(frozen=True)
class _Proof:
    """An account as it was when its password was proven; `fresh` is the hash to store, with the current parameters."""

    user_id: int
    epoch: int
    stored: str
    fresh: str
    is_disabled: bool


def _prove(email: str, password: str) -> _Proof | None:
    """Check the password of the account with this address, outside of a transaction; None if it is wrong."""
    columns = select(User.id, User.session_epoch, User.password_hash, User.disabled_at).where(User.email == email)
    found = db.session.execute(columns).one_or_none()
    user_id, epoch, stored, disabled_at = found if found else (0, 0, None, None)
    db.session.rollback()
    if not passwords.matches(stored, password) or stored is None:
        return None
    fresh = passwords.make(password) if passwords.is_outdated(stored) else stored
    return _Proof(user_id, epoch, stored, fresh, disabled_at is not None)


def _record(proof: _Proof) -> User | None:
    """Record a sign-in, in the caller's transaction; None if the password or the session epoch has changed, or the
    account was disabled, since it was proven.
    """
    unchanged = [User.id == proof.user_id, User.session_epoch == proof.epoch, User.password_hash == proof.stored]
    unchanged.append(User.disabled_at.is_(None))
    values = {"last_signed_in_at": clock.now(), "password_hash": proof.fresh}
    if not changed(update(User).where(*unchanged).values(values)):
        return None
    return sessions.snapshot(proof.user_id, proof.epoch)


def register(email: str, name: str, password: str, language: str = "en") -> User:
    """Create a customer account and mail a link that verifies its address; returns a snapshot for `sessions.start`.
    Raises BadInput (details: `field`) and Refusal `email_taken`.
    """
    return _create(email, name, password, verify_in=language)


def create(
    email: str, name: str, password: str, roles: Iterable[str] = (), *, by: Actor, is_verified: bool = False
) -> User:
    """Create an account with `roles`; `is_verified` if the address is known to belong to the owner. Raises as
    `register` does, Forbidden, and BadInput `second_admin_needed` for staff who name a role that needs two admins.
    """
    return _create(email, name, password, roles, by=by, is_verified=is_verified)


def _create(
    email: str,
    name: str,
    password: str,
    roles: Iterable[str] = (),
    *,
    by: Actor | None = None,
    is_verified: bool = False,
    verify_in: str | None = None,
) -> User:
    email, name, chosen = _checked_email(email), checked_name(name), sorted(set(roles))
    if unknown := [role for role in chosen if role not in tuple(Role)]:
        raise BadInput("unknown_role", f"{unknown[0]} is not a role. Roles are {', '.join(Role)}.", field="roles")
    check_password(password, email)
    hashed = passwords.make(password)
    with transaction():
        if by is not None:
            _demand_creation(by, chosen)
        at = clock.now()
        values = {"email": email, "name": name, "password_hash": hashed, "roles": chosen, "created_at": at}
        values |= {"language": verify_in}
        statement = insert(User).values(values | {"email_verified_at": at if is_verified else None})
        made = statement.on_conflict_do_nothing().returning(User.id, User.session_epoch)
        new = db.session.execute(made).one_or_none()
        user = sessions.snapshot(*new) if new else None
        if user is not None and verify_in is not None:
            links.make(LinkPurpose.VERIFY, links.owner(user.id), verify_in)
        if user is not None and by is not None:
            subject, after = Subject(SubjectKind.ACCOUNT, str(user.id)), {"roles": chosen, "is_verified": is_verified}
            audit.record(by, Act.ACCOUNT_CREATED, subject, after=after, personal={"email": email, "name": name})
    if user is None:
        raise Refusal(
            "email_taken",
            sentence("There is already an account with this e-mail address. Sign in instead."),
            field="email",
        )
    log.info("accounts.created", user=user.id, roles=chosen)
    return user


def _demand_creation(by: Actor, roles: list[str]) -> None:
    rights.demand(by, Permission.USER_WRITE)
    if by.user_id is not None and (waiting := people.waiting_roles(roles, by)):
        message = f"A second admin has to approve {', '.join(waiting)}: create the account without, then set its roles."
        raise BadInput("second_admin_needed", message, field="roles")


def _checked_email(email: str) -> str:
    try:
        return email_address.normal(email)
    except email_address.NotAnAddress as error:
        raise BadInput(
            "bad_email", sentence("Enter an e-mail address in the format name@example.com."), field="email"
        ) from error


def checked_name(name: str) -> str:
    """The name as it is stored. Raises BadInput."""
    name = text.tidy(name)
    if not name or len(name) > LONGEST_NAME or text.is_unusable(name):
        raise BadInput(
            "bad_name", sentence("Enter a name of 1 to %(most)d characters.", most=LONGEST_NAME), field="name"
        )
    return name


def check_password(password: str, email: str) -> None:
    """Raise BadInput unless `password` may be chosen for the account of `email`."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        message = sentence(
            "Enter a password of %(least)d to %(most)d characters. A short phrase works well.",
            least=SHORTEST_PASSWORD,
            most=LONGEST_PASSWORD,
        )
        raise BadInput("bad_password", message, field="password")
    if len(set(password)) < 4 or password.lower() in (email, email.partition("@")[0]):
        raise BadInput(
            "weak_password",
            sentence("This password is too easy to guess. Choose another one."),
            field="password",
        )
