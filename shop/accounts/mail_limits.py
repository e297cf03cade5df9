"""Limits on mails that anyone can have sent to an address: per address and purpose, and per account."""

from __future__ import annotations

import hashlib
import hmac

from flask import current_app
from limits import RateLimitItemPerHour

from shop.accounts.decide import LinkPurpose
from shop.core import email_address, rate_limit
from shop.core.errors import Refusal
from shop.core.sentences import sentence

PER_ADDRESS = RateLimitItemPerHour(3)
"""Mails of one purpose to one address, whether or not it has an account."""
PER_ACCOUNT = RateLimitItemPerHour(5)
"""Addresses that one account may have mailed."""


class TooManyMails(Refusal):
    """Too many mails to this address; `retry_after` is in seconds."""

    retry_after = 3600

    def __init__(self) -> None:
        super().__init__(
            "too_many_mails",
            sentence(
                "We have already sent several e-mails to this address. Check the inbox and the spam folder, or try "
                "again in an hour."
            ),
        )


def count(purpose: LinkPurpose, email: str, account: int | None = None) -> None:
    """Count one mail to `email`, on behalf of `account` if one is signed in. Raises TooManyMails (429)."""
    if not current_app.config.get("RATE_LIMITS", True):
        return
    if not rate_limit.allowed(PER_ADDRESS, f"mail {purpose}", _mark(email_address.for_lookup(email))):
        raise TooManyMails
    if account is not None and not rate_limit.allowed(PER_ACCOUNT, f"mail {purpose} of account", str(account)):
        raise TooManyMails


def _mark(email: str) -> str:
    """A keyed hash, because addresses without an account must not be stored."""
    secret = current_app.config["SECRET_KEY"].encode()
    return hmac.new(secret, f"account mail\0{email}".encode(errors="replace"), hashlib.sha256).hexdigest()
