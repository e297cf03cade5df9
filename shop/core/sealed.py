"""Encryption of stored secrets with keys that are derived from SECRET_KEY, one for each purpose."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from shop.core import keys, logs

log = logs.get()


def encrypted(secret: str, purpose: str) -> str:
    """The secret as it is stored."""
    return _cipher(purpose).encrypt(secret.encode()).decode()


def decrypted(stored: str | None, purpose: str) -> str | None:
    """The secret; None if nothing is stored, or if the key that encrypted it is gone, which is logged."""
    try:
        return _cipher(purpose).decrypt(stored.encode()).decode() if stored else None
    except InvalidToken:
        log.warning("sealed.unreadable", purpose=purpose)
        return None


def _cipher(purpose: str) -> MultiFernet:
    """The key of SECRET_KEY encrypts; those of SECRET_KEY_FALLBACKS decrypt, too."""
    derived: Iterable[bytes] = reversed(keys.mac_keys(purpose).values())
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
