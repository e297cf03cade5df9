"""Rules of mailed links: purposes, lifetimes, binding, and the reason why a link cannot be used. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class LinkPurpose(StrEnum):
    """Purpose of a mailed link. The values are stored and signed."""

    VERIFY = "verify"
    """Confirm the address of an account."""
    RESET = "reset"
    """Choose a new password."""
    CHANGE_EMAIL = "change_email"
    """Confirm a new address."""
    UNLOCK = "unlock"
    """End the delay after wrong passwords."""
    INVITATION = "invitation"
    """Accept an invitation to the staff."""
    LINK_IDENTITY = "link_identity"
    """Add an identity of an OpenID Connect issuer."""


LASTS: Mapping[LinkPurpose, timedelta] = {
    LinkPurpose.VERIFY: timedelta(days=3),
    LinkPurpose.RESET: timedelta(hours=1),
    LinkPurpose.CHANGE_EMAIL: timedelta(hours=24),
    LinkPurpose.UNLOCK: timedelta(hours=1),
    LinkPurpose.INVITATION: timedelta(hours=72),
    LinkPurpose.LINK_IDENTITY: timedelta(hours=1),
}
"""Lifetime of a link, on wall time."""
FOR_THE_OWNER = frozenset({LinkPurpose.VERIFY, LinkPurpose.CHANGE_EMAIL})
"""Links that also need a sign-in to the account. Otherwise anyone could create an account with the address of another
person, whose click would verify it for the creator.
"""


class LinkProblem(StrEnum):
    """Reason why a link cannot be used; the code of the refusal."""

    UNKNOWN = "link_unknown"
    EXPIRED = "link_expired"
    USED = "link_used"
    OUTDATED = "link_outdated"
    """The address or the password has changed since the link was made, or the account is disabled."""


@dataclass(frozen=True)
class LinkSnapshot:
    """A stored link: its end, whether it was used, and its binding."""

    expires_at: datetime
    is_used: bool
    bound: str


def binding(purpose: LinkPurpose, email: str, password_hash: str) -> str:
    """Hash of the values of an account that must stay the same until the link is used: the address, and the password
    unless the link only confirms the address.
    """
    parts = (purpose, email) if purpose == LinkPurpose.VERIFY else (purpose, email, password_hash)
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def problem_of(link: LinkSnapshot, bound_now: str | None, at: datetime) -> LinkProblem | None:
    """The reason why a link cannot be used at `at`; None if it can. `bound_now` is the binding of the account as it is
    now, None without an account.
    """
    if link.is_used:
        return LinkProblem.USED
    if link.expires_at <= at:
        return LinkProblem.EXPIRED
    return None if link.bound == bound_now else LinkProblem.OUTDATED
