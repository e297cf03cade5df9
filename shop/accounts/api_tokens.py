"""Access tokens (JWT, HS256) and refresh tokens of the API.

An access token names an API session; roles, disabling and the end of the session are read from the database on each
request (`api_sessions.find`). A refresh token is `settled_refresh.<session>.<generation>.<MAC>`: it is derived, so that
a token that is used twice within moments gets the same successor, and a copy of the database contains none.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from flask import current_app
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from shop.core import clock, ids
from shop.settings import several

ACCESS_LASTS = timedelta(minutes=15)
ALGORITHM = "HS256"
_REFRESH = "settled_refresh"
_LEEWAY = 5  # seconds by which clocks of our processes may differ


@dataclass(frozen=True)
class Access:
    """Claims of a valid access token: the account and the API session."""

    user_id: int
    session_id: str


def make_access(user_id: int, session_id: str) -> str:
    """A new access token, valid for ACCESS_LASTS on wall time."""
    key_id, key = next(iter(_keys().items()))
    at = int(clock.wall().timestamp())
    claims = {
        "iss": _issuer(),
        "aud": _audience(),
        "sub": str(user_id),
        "sid": session_id,
        "jti": ids.token(),
        "iat": at,
        "exp": at + int(ACCESS_LASTS.total_seconds()),
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key_id}, claims, key, algorithms=[ALGORITHM])


def read_access(token: str) -> Access | None:
    """The claims of an access token; None for one that this shop did not sign, that has expired, or is for another
    audience.

    A token is sent many times in its quarter of an hour, and its signature does not change: what a process has verified
    once it finds by the digest of the token. Times are compared on each request.
    """
    setting, audience = current_app.config["API_TOKEN_KEY"], _audience()
    digest = hashlib.sha256(f"{setting}\n{audience}\n{token}".encode(errors="surrogatepass")).digest()
    signed = _verified.get(digest) or _verify(token)
    if signed is None:
        return None
    if len(_verified) >= _MOST_VERIFIED:
        _verified.clear()
    _verified[digest] = signed
    is_valid = signed.issued - _LEEWAY <= clock.wall().timestamp() < signed.expires
    return signed.access if is_valid else None


@dataclass(frozen=True)
class _Signed:
    """Claims of a token that this shop has signed for this audience."""

    access: Access
    issued: int
    expires: int


_MOST_VERIFIED = 4096
_verified: dict[bytes, _Signed] = {}
"""Tokens that this process has verified, by the digest of keys, audience and token."""


def _verify(token: str) -> _Signed | None:
    for key in _keys().values():
        try:
            claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            continue
        return _signed(claims)
    return None


def _signed(claims: dict[str, object]) -> _Signed | None:
    expires, issued, user_id, session_id = (claims.get(name) for name in ("exp", "iat", "sub", "sid"))
    if (claims.get("iss"), claims.get("aud")) != (_issuer(), _audience()):
        return None
    if not isinstance(expires, int) or not isinstance(issued, int) or not isinstance(session_id, str):
        return None
    return _Signed(Access(int(str(user_id)), session_id), issued, expires) if str(user_id).isdecimal() else None


def refresh_token(session_id: str, generation: int) -> str:
    """The refresh token of a generation; always the same while the first key of API_TOKEN_KEY stays."""
    key = next(iter(_keys().values()))
    return f"{_REFRESH}.{session_id}.{generation}.{_mac(key, session_id, str(generation))}"


def read_refresh(token: str) -> tuple[str, int] | None:
    """Session and generation of a refresh token; None for one that this shop did not make."""
    kind, *parts = token.split(".")
    if kind != _REFRESH or len(parts) != 3 or not token.isascii():
        return None
    session_id, generation, mac = parts
    macs = [_mac(key, session_id, generation) for key in _keys().values()]
    is_ours = any(hmac.compare_digest(mac, one) for one in macs)
    return (session_id, int(generation)) if is_ours else None


def _mac(key: OctKey, session_id: str, generation: str) -> str:
    text = f"refresh {session_id} {generation}".encode()
    return urlsafe_b64encode(hmac.digest(key.raw_value, text, "sha256")).decode().rstrip("=")


def _keys() -> dict[str, OctKey]:
    """The keys of API_TOKEN_KEY by their ids, the one that signs first."""
    return _imported(current_app.config["API_TOKEN_KEY"])


@lru_cache(maxsize=8)
def _imported(setting: str) -> dict[str, OctKey]:
    keys = [hashlib.sha256(f"api token {text}".encode()).digest() for text in several(setting)]
    return {hashlib.sha256(key).hexdigest()[:16]: OctKey.import_key(key) for key in keys}


def _issuer() -> str:
    return str(current_app.config["SHOP_URL"]).rstrip("/")


def _audience() -> str:
    return f"{_issuer()}/api/v1"
