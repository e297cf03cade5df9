"""Key ring: SECRET_KEY signs; signatures by the keys in SECRET_KEY_FALLBACKS are still accepted.

All signed values use `signer` or Flask's session, so a key can be replaced without ending sign-ins or breaking links
and open forms.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import Flask, current_app
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

FixedSigner = URLSafeSerializer


def ring(app: Flask) -> list[str]:
    """The keys in the order of itsdangerous: the oldest first, the last one signs."""
    return [*reversed(app.config["SECRET_KEY_FALLBACKS"]), app.config["SECRET_KEY"]]


def signer(purpose: str) -> URLSafeTimedSerializer:
    """A signer for `purpose`: signs with SECRET_KEY and accepts every key of the ring."""
    return URLSafeTimedSerializer(ring(current_app), salt=purpose)


def fixed_signer(purpose: str) -> FixedSigner:
    """A signer for `purpose` without a time: the same value gives the same text as long as SECRET_KEY stays. For values
    whose expiry is stored in the database.
    """
    return URLSafeSerializer(ring(current_app), salt=purpose)


def mac_keys(purpose: str) -> dict[str, bytes]:
    """Keys for HMACs of `purpose`, derived from the ring, by their ids; the last one is that of SECRET_KEY. An id does
    not reveal its key.
    """
    keys = [hmac.digest(key.encode(), f"mac {purpose}".encode(), "sha256") for key in ring(current_app)]
    return {hashlib.sha256(key).hexdigest()[:16]: key for key in keys}
