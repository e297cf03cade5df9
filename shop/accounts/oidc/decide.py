"""Rules of ID tokens, and of the accounts that the proven person may use. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

OLDEST = timedelta(minutes=5)
"""Age of an ID token, since it was issued, from which it is refused."""
SKEW = timedelta(seconds=30)
"""Difference of the issuer's clock that is tolerated."""
LONGEST_SUBJECT = 255
_KEPT_FOR = timedelta(days=1)


class TokenProblem(StrEnum):
    """Reason why an ID token is refused. It is logged, and not shown."""

    UNREADABLE = "unreadable"
    ALGORITHM = "algorithm"
    ISSUER = "issuer"
    KEY = "key"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    OLD = "old"
    FUTURE = "future"
    NONCE = "nonce"
    SUBJECT = "subject"
    EMAIL = "email"


@dataclass(frozen=True)
class Expected:
    """Issuer, audiences and nonce that a token must have. A `nonce` of None accepts any."""

    issuer: str
    audiences: frozenset[str]
    nonce: str | None


@dataclass(frozen=True)
class Proof:
    """A person whom an issuer has proven: its id for the person, and the address that it has verified.

    `digest` identifies the token, which counts once, until `expires_at`.
    """

    issuer: str
    subject: str
    email: str
    name: str
    digest: str
    expires_at: datetime


def problem_of(claims: Mapping[str, Any], expected: Expected, at: datetime) -> TokenProblem | None:
    """The reason to refuse the claims of a signed token at `at`; None if there is none."""
    if claims.get("iss") != expected.issuer:
        return TokenProblem.ISSUER
    if not _is_for(claims.get("aud"), claims.get("azp"), expected.audiences):
        return TokenProblem.AUDIENCE
    if problem := _problem_of_times(claims, at):
        return problem
    if expected.nonce is not None and claims.get("nonce") != expected.nonce:
        return TokenProblem.NONCE
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        return TokenProblem.SUBJECT
    is_verified = claims.get("email_verified")
    if not isinstance(claims.get("email"), str) or not (is_verified is True or is_verified == "true"):
        return TokenProblem.EMAIL
    return None


def usable_until(claims: Mapping[str, Any]) -> datetime:
    """The time until which a token whose claims are accepted must be remembered: its end, or a day after its issue,
    because it is refused as old before.
    """
    end = min(float(claims["exp"]), float(claims["iat"]) + _KEPT_FOR.total_seconds())
    return datetime.fromtimestamp(end, UTC) + SKEW


def _is_for(audience: object, party: object, accepted: frozenset[str]) -> bool:
    """True if a token is for us. One for several audiences names the party that it was issued to, which must be us."""
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not any(isinstance(one, str) and one in accepted for one in named):
        return False
    return party in accepted if isinstance(party, str) else party is None and len(named) == 1


def _problem_of_times(claims: Mapping[str, Any], at: datetime) -> TokenProblem | None:
    now, skew = at.timestamp(), SKEW.total_seconds()
    times = [claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)]
    if not all(_is_time(one) for one in times):
        return TokenProblem.UNREADABLE
    issued, end, begin = (float(one or 0) for one in times)
    if end <= now - skew:
        return TokenProblem.EXPIRED
    if issued < now - OLDEST.total_seconds() - skew:
        return TokenProblem.OLD
    return TokenProblem.FUTURE if max(issued, begin) > now + skew else None


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class Step(StrEnum):
    """Consequence of a proof by an identity that no account has."""

    CREATE = "create"
    """A new account of a customer, without a password."""
    TAKE_OVER = "take_over"
    """The account was made by a person who has not verified the address: it loses its password and what else proves
    that person, and belongs to the owner of the address.
    """
    CONFIRM = "confirm"
    """The account must confirm the identity first."""
    STAFF = "staff"
    """Only the signed-in person adds an identity to an account of staff, or of a person who is to be staff."""
    DISABLED = "disabled"


@dataclass(frozen=True)
class AccountSnapshot:
    """The account with the address of a proof."""

    is_disabled: bool
    is_verified: bool
    is_staff: bool


def step_for(account: AccountSnapshot | None) -> Step:
    """The consequence for the account with the address of the proof; None for no account."""
    if account is None:
        return Step.CREATE
    if account.is_disabled:
        return Step.DISABLED
    if account.is_staff:
        return Step.STAFF
    return Step.CONFIRM if account.is_verified else Step.TAKE_OVER
