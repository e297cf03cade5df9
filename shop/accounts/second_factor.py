"""Second factor of staff: one-time passwords of an authenticator app (TOTP, RFC 6238), recovery codes, and the rules
that they share with passkeys (see `passkeys`).

A code is used once: a conditional UPDATE on the newest used time step decides, so the same code is refused even if two
requests send it at once. The secret is encrypted with a key that is derived from SECRET_KEY; recovery codes have 80
random bits and are stored as hashes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pyotp
from flask import current_app
from limits import RateLimitItemPerHour
from sqlalchemy import delete, select, update

from shop.accounts import api_sessions, throttle
from shop.accounts.models import Passkey, RecoveryCode, TotpSecret, User
from shop.core import audit, clock, logs, rate_limit, sealed, text
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.sentences import sentence

CODES = 10
"""Recovery codes of an account."""
ISSUER = "Settled"
STEP = 30
"""Seconds for which a code is shown. The codes before and after it are accepted, for clocks that differ."""
PER_ACCOUNT = RateLimitItemPerHour(30)
"""Attempts at the code of one account from all networks. They all come after the right password."""
_PURPOSE = "totp secret"
log = logs.get()


def is_required() -> bool:
    """True if staff must have a second factor (STAFF_SECOND_FACTOR; by default in production)."""
    chosen = current_app.config["STAFF_SECOND_FACTOR"]
    return str(chosen or ("optional" if current_app.config["SETTLED_ENV"] == "development" else "required")) == (
        "required"
    )


def is_set_up(user: User) -> bool:
    """True if sign-ins to this account need a second factor."""
    return user.second_factor_at is not None


def has_app(user_id: int) -> bool:
    """True if codes of an authenticator app are accepted."""
    return db.session.scalar(select(TotpSecret.secret).where(TotpSecret.user_id == user_id)) is not None


@transactional
def begin(user_id: int) -> None:
    """Make a secret for an authenticator app. It counts once a code of it was confirmed; one that counts stays till
    then.
    """
    values = {"user_id": user_id, "pending": _encrypted(pyotp.random_base32())}
    made = insert(TotpSecret).values(values)
    db.session.execute(made.on_conflict_do_update(index_elements=["user_id"], set_={"pending": values["pending"]}))


def pending_address(user: User) -> str | None:
    """The `otpauth:` address of the secret that waits for its first code; None if none does. It contains the secret."""
    stored = db.session.scalar(select(TotpSecret.pending).where(TotpSecret.user_id == user.id))
    secret = _decrypted(stored)
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER) if secret else None


def key_of(address: str) -> str:
    """The secret in an `otpauth:` address, in groups of four, to be typed."""
    return " ".join(re.findall(".{1,4}", pyotp.parse_uri(address).secret))


def confirm(user_id: int, typed: str) -> list[str]:
    """Make the pending secret count, with a code of it; returns new recovery codes, which are shown once.

    Raises BadInput `wrong_code`, and Refusal `not_begun`.
    """
    secret = _decrypted(db.session.scalar(select(TotpSecret.pending).where(TotpSecret.user_id == user_id)))
    if secret is None:
        raise Refusal("not_begun", "Begin the set-up again: there is no secret that waits for its first code.")
    step = _step_of(secret, typed)
    if step is None:
        raise _wrong_code()
    return _confirm(user_id, secret, step)


@transactional
def _confirm(user_id: int, secret: str, step: int) -> list[str]:
    row = db.session.get(TotpSecret, user_id, with_for_update=True, populate_existing=True)
    if row is None or _decrypted(row.pending) != secret:
        raise Refusal("not_begun", "Begin the set-up again: there is no secret that waits for its first code.")
    row.secret, row.pending, row.last_step = row.pending, None, step
    db.session.execute(update(User).where(User.id == user_id).values(second_factor_at=clock.now()))
    api_sessions.end_of_user(user_id)  # they were begun without it
    _record(Actor.staff(user_id), Act.SECOND_FACTOR_SET, user_id)
    return _new_codes(user_id)


@transactional
def new_recovery_codes(user_id: int) -> list[str]:
    """Replace the recovery codes. Raises Refusal `not_set_up`."""
    if not db.session.scalar(select(User.second_factor_at).where(User.id == user_id).with_for_update(key_share=True)):
        raise Refusal("not_set_up", "Set up an authenticator app or a passkey first.")
    _record(Actor.staff(user_id), Act.RECOVERY_CODES_MADE, user_id)
    return _new_codes(user_id)


def unused_codes(user_id: int) -> int:
    """The number of recovery codes that were not used."""
    unused = select(db.func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return db.session.scalar(unused) or 0


def counter(user_id: int) -> str:
    """The name under which the throttle counts wrong codes of an account."""
    return f"second factor {user_id}"


def limited_until(user_id: int) -> datetime | None:
    """The end of the hour for which PER_ACCOUNT refuses further attempts; None while it allows some."""
    return rate_limit.exhausted_until(PER_ACCOUNT, counter(user_id))


def clear_limit(user_id: int) -> None:
    """Forget the attempts that PER_ACCOUNT counts."""
    rate_limit.clear(PER_ACCOUNT, counter(user_id))


def check(user_id: int, typed: str, ip: str) -> None:
    """Use a code of the authenticator app, or a recovery code, once.

    Raises BadInput `wrong_code` (details: `field`) for a wrong or used one, and TooManyAttempts.
    """
    with attempt(user_id, ip):
        if not _use(user_id, text.plain(typed)):
            log.info("accounts.second_factor_refused", user=user_id)
            raise _wrong_code()


@contextmanager
def attempt(user_id: int, ip: str) -> Iterator[None]:
    """Count an attempt at the second factor of an account; those of this network are forgotten unless it raises.

    Raises TooManyAttempts.
    """
    name = counter(user_id)
    if current_app.config.get("RATE_LIMITS", True) and not rate_limit.allowed(PER_ACCOUNT, name):
        raise throttle.TooManyAttempts(3600)
    throttle.count(name, ip)
    yield
    throttle.forgive(name, ip)


@transactional
def _use(user_id: int, typed: str) -> bool:
    """Mark the code as used; False if it is wrong, or was used before. Of several uses at once one counts."""
    secret = _decrypted(db.session.scalar(select(TotpSecret.secret).where(TotpSecret.user_id == user_id)))
    step = _step_of(secret, typed) if secret else None
    if step is not None:
        unused = update(TotpSecret).where(TotpSecret.user_id == user_id, TotpSecret.last_step < step)
        return bool(changed(unused.values(last_step=step)))
    unused_code = (RecoveryCode.code_hash == _hash(user_id, typed), RecoveryCode.used_at.is_(None))
    spent = update(RecoveryCode).where(RecoveryCode.user_id == user_id, *unused_code)
    return bool(changed(spent.values(used_at=clock.now())))


@transactional
def remove_app(user_id: int) -> None:
    """Remove the authenticator app of the account. Raises Refusal: `not_set_up`, `last_factor`."""
    lock(user_id)
    mine = delete(TotpSecret).where(TotpSecret.user_id == user_id, TotpSecret.secret.is_not(None))
    if not changed(mine):
        raise Refusal("not_set_up", "Your account has no authenticator app.")
    _record(Actor.staff(user_id), Act.APP_REMOVED, user_id)
    count_removal(user_id)


def lock(user_id: int) -> None:
    """Lock the account, in the caller's transaction: of two factors that are removed at once, one may be the last."""
    db.session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def count_first(user_id: int) -> list[str]:
    """Let sign-ins to a locked account need a second factor; returns recovery codes if they needed none before."""
    without = update(User).where(User.id == user_id, User.second_factor_at.is_(None))
    if not changed(without.values(second_factor_at=clock.now())):
        return []
    api_sessions.end_of_user(user_id)  # they were begun without it
    return _new_codes(user_id)


def count_removal(user_id: int) -> None:
    """Let sign-ins to a locked account need no second factor if it has none left. Raises Refusal `last_factor` where a
    second factor is required.
    """
    has_passkey = select(Passkey.id).where(Passkey.user_id == user_id).limit(1)
    if has_app(user_id) or db.session.scalar(has_passkey) is not None:
        return
    if is_required():
        raise Refusal("last_factor", "This is your only second factor, and you need one. Set up another one first.")
    remove(user_id)


@transactional
def remove(user_id: int) -> None:
    """Delete all second factors and the recovery codes of an account, in the caller's transaction."""
    for model in (TotpSecret, Passkey, RecoveryCode):
        db.session.execute(delete(model).where(model.user_id == user_id))
    db.session.execute(update(User).where(User.id == user_id).values(second_factor_at=None))


def _step_of(secret: str, typed: str) -> int | None:
    """The time step whose code was typed; None for a wrong code."""
    code = text.plain(typed).replace(" ", "")
    if not re.fullmatch("[0-9]{6}", code):
        return None
    totp, now = pyotp.TOTP(secret, interval=STEP), int(clock.wall().timestamp()) // STEP
    return next((step for step in (now, now - 1, now + 1) if hmac.compare_digest(totp.generate_otp(step), code)), None)


def _new_codes(user_id: int) -> list[str]:
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(CODES)]
    db.session.add_all(RecoveryCode(user_id=user_id, code_hash=_hash(user_id, code)) for code in codes)
    return [_grouped(code) for code in codes]


def _grouped(code: str) -> str:
    return "-".join(re.findall("....", code))


def _hash(user_id: int, typed: str) -> str:
    code = re.sub("[^a-z2-7]", "", typed.lower())
    return hashlib.sha256(f"recovery code {user_id} {code}".encode()).hexdigest()


def _record(by: Actor, act: Act, user_id: int) -> None:
    audit.record(by, act, Subject(SubjectKind.ACCOUNT, str(user_id)))
    after_commit(lambda: log.info("accounts.second_factor_changed", user=user_id, act=act))


def _wrong_code() -> BadInput:
    message = sentence("This code is wrong or was used before. Wait for the next code of your app.")
    return BadInput("wrong_code", message, field="code")


def _encrypted(secret: str) -> str:
    return sealed.encrypted(secret, _PURPOSE)


def _decrypted(stored: str | None) -> str | None:
    """The secret; None if there is none, or if the key that encrypted it is gone: then recovery codes remain."""
    return sealed.decrypted(stored, _PURPOSE)
