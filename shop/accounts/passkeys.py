"""Passkeys of staff (WebAuthn): second factor at a sign-in, and confirmation before a sensitive act.

`webauthn` verifies the answers of browsers. The private key stays on the device of the person; the shop stores the
public one. A challenge is used once (see `passkey_challenges`), and a conditional UPDATE of the signature counter
decides between a passkey and a copy of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import webauthn
from flask import current_app
from sqlalchemy import delete, func, select, update
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.parse_authentication_credential_json import parse_authentication_credential_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from shop.accounts import passkey_challenges, second_factor, sessions
from shop.accounts.models import Passkey, User
from shop.accounts.passkey_challenges import LASTS, Purpose
from shop.core import audit, clock, logs, text, web_address
from shop.core.actor import Actor, ActorKind
from shop.core.audit import Act, Subject, SubjectKind, Values
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.sentences import sentence

MOST = 20
"""Passkeys of an account."""
LONGEST_NAME = 60
_VERIFICATION = {
    Purpose.SIGN_IN: UserVerificationRequirement.PREFERRED,
    Purpose.CONFIRM: UserVerificationRequirement.REQUIRED,
}
"""At a sign-in the password comes first. In a confirmation the passkey replaces it, so it checks the person itself."""
log = logs.get()
T = TypeVar("T")


def of_user(user_id: int) -> list[Passkey]:
    """The passkeys of an account, the oldest first."""
    return list(db.session.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)))


def registration_options(user: User) -> str:
    """Options for the browser to make a passkey, as JSON. Raises Away."""
    options = webauthn.generate_registration_options(
        rp_id=_host(),
        rp_name=second_factor.ISSUER,
        user_name=user.email,
        user_id=hashlib.sha256(f"passkey user {user.id}".encode()).digest(),
        user_display_name=user.name,
        challenge=passkey_challenges.issue(user.id, Purpose.ADD),
        timeout=_milliseconds(),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=_descriptors(user.id),
    )
    return webauthn.options_to_json(options)


def use_options(user_id: int, purpose: Purpose) -> str:
    """Options for the browser to use a passkey of the account, as JSON. Raises Away, and BadInput `unknown_passkey`
    without a passkey.
    """
    known = _descriptors(user_id)
    if not known:
        raise _unknown()
    options = webauthn.generate_authentication_options(
        rp_id=_host(),
        challenge=passkey_challenges.issue(user_id, purpose),
        timeout=_milliseconds(),
        allow_credentials=known,
        user_verification=_VERIFICATION[purpose],
    )
    return webauthn.options_to_json(options)


def add(user_id: int, name: str, answer: str) -> list[str]:
    """Store the passkey that the browser has made; returns recovery codes, to be shown once, if it is the first factor.

    Raises BadInput (`bad_passkey_name`, `passkey_refused`), ChallengeEnded, Away, and Refusal: `passkey_known`,
    `too_many_passkeys`.
    """
    name = text.tidy(name)
    if not name or len(name) > LONGEST_NAME or text.is_unusable(name):
        raise BadInput("bad_passkey_name", f"Enter a name of 1 to {LONGEST_NAME} characters.", field="name")
    challenge = passkey_challenges.take(user_id, Purpose.ADD)
    made = _verified(
        lambda: webauthn.verify_registration_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=_host(), expected_origin=_origin()
        )
    )
    return _add(user_id, name, made)


@transactional
def _add(user_id: int, name: str, made: VerifiedRegistration) -> list[str]:
    second_factor.lock(user_id)
    count = select(func.count()).where(Passkey.user_id == user_id)
    if (db.session.scalar(count) or 0) >= MOST:
        raise Refusal("too_many_passkeys", f"An account has at most {MOST} passkeys. Remove one that you do not use.")
    values = {"user_id": user_id, "name": name, "sign_count": made.sign_count, "created_at": clock.now()}
    values |= {"credential_id": bytes_to_base64url(made.credential_id)}
    values |= {"public_key": bytes_to_base64url(made.credential_public_key)}
    stored = insert(Passkey).values(values).on_conflict_do_nothing(index_elements=["credential_id"])
    passkey_id = db.session.scalar(stored.returning(Passkey.id))
    if passkey_id is None:
        raise Refusal("passkey_known", "This passkey is set up already.")
    _record(Actor.staff(user_id), Act.PASSKEY_ADDED, user_id, after={"passkey": passkey_id}, personal={"name": name})
    return second_factor.count_first(user_id)


@transactional
def remove(user_id: int, passkey_id: int) -> None:
    """Remove a passkey of the account. Raises Refusal: `no_such_passkey`, `last_factor`."""
    second_factor.lock(user_id)
    mine = delete(Passkey).where(Passkey.id == passkey_id, Passkey.user_id == user_id)
    name = db.session.scalar(mine.returning(Passkey.name))
    if name is None:
        raise Refusal("no_such_passkey", "Your account has no such passkey. It may have been removed before.")
    _record(Actor.staff(user_id), Act.PASSKEY_REMOVED, user_id, before={"passkey": passkey_id}, personal={"name": name})
    second_factor.count_removal(user_id)


def check(user_id: int, answer: str, ip: str) -> None:
    """Use a passkey as the second factor of a sign-in, after the password.

    Raises BadInput (`unknown_passkey`, `passkey_refused`, `passkey_copied`), ChallengeEnded, TooManyAttempts, Away.
    """
    with second_factor.attempt(user_id, ip):
        _use(user_id, answer, Purpose.SIGN_IN)


def confirm(user_id: int, answer: str, ip: str) -> None:
    """Use a passkey, which has verified the person, in place of the password for the sign-in of this request. Raises as
    `check` does, and BadInput `passkey_unverified`.
    """
    with second_factor.attempt(user_id, ip):
        _use(user_id, answer, Purpose.CONFIRM)
    sessions.confirm()


def _use(user_id: int, answer: str, purpose: Purpose) -> None:
    challenge = passkey_challenges.take(user_id, purpose)
    credential = _verified(lambda: parse_authentication_credential_json(answer))
    mine = select(Passkey.id, Passkey.public_key).where(
        Passkey.user_id == user_id, Passkey.credential_id == bytes_to_base64url(credential.raw_id)
    )
    known = db.session.execute(mine).one_or_none()
    db.session.rollback()
    if known is None:
        raise _unknown()
    used: VerifiedAuthentication = _verified(
        lambda: webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=_host(),
            expected_origin=_origin(),
            credential_public_key=base64url_to_bytes(known.public_key),
            credential_current_sign_count=0,  # compared below, when the signature is known to be right
        )
    )
    if purpose is Purpose.CONFIRM and not used.user_verified:
        message = "This passkey did not check your PIN, fingerprint or face. Enter your password instead."
        raise BadInput("passkey_unverified", message)
    if not _count(user_id, known.id, used.new_sign_count, purpose):
        log.warning("accounts.passkey_copied", user=user_id, passkey=known.id)
        message = sentence(
            "This passkey was refused, because a copy of it may be in use. Use another factor, and tell an "
            "administrator."
        )
        raise BadInput("passkey_copied", message)


@transactional
def _count(user_id: int, passkey_id: int, count: int, purpose: Purpose) -> bool:
    """Store the signature counter; False, with an entry in the audit log, unless it is higher than the stored one. Some
    authenticators have none, and always report 0.
    """
    is_higher = Passkey.sign_count < count if count else Passkey.sign_count == 0
    higher = update(Passkey).where(Passkey.id == passkey_id, is_higher)
    if changed(higher.values(sign_count=count, last_used_at=clock.now())):
        after = {"passkey": passkey_id, "purpose": purpose}
        _record(Actor.staff(user_id), Act.PASSKEY_USED, user_id, after=after)
        return True
    stored = db.session.scalar(select(Passkey.sign_count).where(Passkey.id == passkey_id))
    before, after = {"passkey": passkey_id, "sign_count": stored}, {"passkey": passkey_id, "sign_count": count}
    _record(Actor(ActorKind.UNPROVEN), Act.PASSKEY_REFUSED, user_id, before=before, after=after)
    return False


def _verified(verify: Callable[[], T]) -> T:
    """The result of `verify`. Raises BadInput `passkey_refused`.

    The answer is binary data that any client may send, and the parsers below the library raise errors of many kinds.
    """
    try:
        return verify()
    except Exception as error:
        log.info("accounts.passkey_refused", error=type(error).__name__, reason=str(error)[:200])
        message = sentence("This passkey was not accepted. Try again, or use another factor.")
        raise BadInput("passkey_refused", message) from error


def _unknown() -> BadInput:
    message = sentence("This passkey does not belong to your account. Use another one, or enter a code.")
    return BadInput("unknown_passkey", message)


def _record(
    by: Actor,
    act: Act,
    user_id: int,
    *,
    before: Values | None = None,
    after: Values | None = None,
    personal: Values | None = None,
) -> None:
    subject = Subject(SubjectKind.ACCOUNT, str(user_id))
    audit.record(by, act, subject, before=before, after=after, personal=personal)


def _descriptors(user_id: int) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.credential_id)) for one in of_user(user_id)]


def _milliseconds() -> int:
    """Time that the browser gives the person, which ends before the challenge does."""
    return int(LASTS.total_seconds() * 1000 * 0.8)


def _host() -> str:
    """The relying party id: a passkey is bound to the host of SHOP_URL."""
    return urlsplit(str(current_app.config["SHOP_URL"])).hostname or "localhost"


def _origin() -> str:
    """The origin of SHOP_URL, as browsers write it."""
    scheme, host, port = web_address.origin(str(current_app.config["SHOP_URL"]))
    is_usual = port == {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{host}" if is_usual else f"{scheme}://{host}:{port}"
