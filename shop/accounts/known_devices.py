"""Known devices: browsers in which an account was signed in before, identified by a signed cookie that lasts a year.

The cookie grants no access. It gives the browser its own counter for wrong passwords (see throttle.py), so that
attempts from other browsers never delay the owner of the account.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta

from itsdangerous import BadData

from shop.core import keys

_PURPOSE = "known device"
LASTS = timedelta(days=365)
_ACCOUNTS = 5
"""Accounts per browser; the least recently used one is dropped."""


@dataclass(frozen=True)
class Device:
    """A browser: a random id, and hashes of the accounts that were signed in there."""

    id: str
    accounts: tuple[str, ...] = ()

    def knows(self, email: str) -> bool:
        """True if the account of `email` (in its normal form) has been signed in on this browser."""
        return any(hmac.compare_digest(_mark(self.id, email), mark) for mark in self.accounts)


def load(cookie: str | None) -> Device | None:
    """The browser that sends `cookie`; None if the cookie is forged, expired or absent."""
    try:
        device, accounts = keys.signer(_PURPOSE).loads(cookie or "", max_age=int(LASTS.total_seconds()))
        return Device(str(device), tuple(map(str, accounts)))
    except (BadData, TypeError, ValueError):
        return None


def remember(device: Device | None, email: str) -> str:
    """The cookie of this browser, with `email` added to its accounts."""
    found = device or Device(secrets.token_urlsafe(16))
    mark = _mark(found.id, email)
    accounts = (mark, *(other for other in found.accounts if other != mark))[:_ACCOUNTS]
    found = replace(found, accounts=accounts)
    return str(keys.signer(_PURPOSE).dumps([found.id, found.accounts]))


def _mark(device: str, email: str) -> str:
    return hashlib.sha256(f"{device} {email}".encode(errors="replace")).hexdigest()[:32]
