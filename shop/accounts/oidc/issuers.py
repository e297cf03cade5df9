"""Configured issuers, and their metadata and keys, which are fetched and cached by each process.

Addresses come from the settings, and from the metadata of an issuer that the settings name. They are never called
inside a transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from flask import current_app
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from shop.accounts.oidc import refusals
from shop.core import http_client, logs, strict_json
from shop.settings import several

FRESH = 3600.0
"""Seconds for which metadata and keys are used without fetching them again."""
REFETCH_AFTER = 60.0
"""Seconds between two fetches of the keys because a token names an unknown one."""
RETRY_AFTER = 5.0
"""Seconds after a fetch that failed in which none is tried."""
SHORTEST_KEY = 2048  # bits
MOST_KEYS = 32
_BOUNDS = {"bounds": http_client.Bounds(seconds=5.0, size=256 * 1024)}
_FIREBASE = "https://securetoken.google.com/"
log = logs.get()


@dataclass(frozen=True)
class Issuer:
    """An issuer of ID tokens, by its address (`iss`), and the audiences (`aud`) of tokens that are for us."""

    address: str
    audiences: frozenset[str]
    name: str


@dataclass(frozen=True)
class Metadata:
    """Metadata that an issuer publishes (OpenID Connect Discovery 1.0). `posts_secret` if its token endpoint takes
    the client's secret in the form alone.
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    posts_secret: bool


def configured() -> tuple[Issuer, ...]:
    """The issuers that the settings name."""
    config, found = current_app.config, []
    if config["OIDC_ISSUER"]:
        audiences = {*several(config["OIDC_AUDIENCE"]), config["OIDC_CLIENT_ID"]} - {""}
        found.append(Issuer(config["OIDC_ISSUER"], frozenset(audiences), name()))
    if config["FIREBASE_PROJECT_ID"]:
        project = config["FIREBASE_PROJECT_ID"]
        found.append(Issuer(_FIREBASE + project, frozenset({project}), "Firebase"))
    return tuple(found)


def name() -> str:
    """Name of the issuer on pages; without one, its host."""
    config = current_app.config
    return config["OIDC_NAME"] or urlsplit(config["OIDC_ISSUER"]).hostname or ""


def name_of(address: str) -> str:
    """Name on pages of the issuer with this address; its host for one that the settings do not name any more."""
    named = (one.name for one in configured() if one.address == address)
    return next(named, urlsplit(address).hostname or address)


def for_redirect() -> Issuer | None:
    """The issuer that the sign-in page offers; None if it offers none. Its tokens are for our client alone."""
    config = current_app.config
    if not (config["OIDC_ISSUER"] and config["OIDC_CLIENT_ID"]):
        return None
    return Issuer(config["OIDC_ISSUER"], frozenset({config["OIDC_CLIENT_ID"]}), name())


@dataclass
class _Known:
    """Metadata and keys of an issuer that this process has fetched. Times are monotonic seconds."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    metadata: Metadata | None = None
    metadata_at: float = 0.0
    keys: Mapping[str, RSAKey] = field(default_factory=dict)
    keys_at: float = -FRESH
    failed_at: float = -RETRY_AFTER


def metadata(issuer: Issuer) -> Metadata:
    """The metadata of an issuer. Raises Away."""
    known = _known(issuer)
    with known.lock:
        return _metadata(issuer, known)


def key(issuer: Issuer, kid: str) -> RSAKey | None:
    """The key of an issuer with this id; for an empty one its only key. None if it has none. Raises Away."""
    known = _known(issuer)
    is_fresh = time.monotonic() - known.keys_at < FRESH
    if is_fresh and (found := _chosen(known.keys, kid)) is not None:
        return found  # without the lock, which a fetch may hold for seconds
    with known.lock:
        age = time.monotonic() - known.keys_at
        if age >= FRESH or (_chosen(known.keys, kid) is None and age >= REFETCH_AFTER):
            document = _fetched(issuer, known, _metadata(issuer, known).jwks_uri)
            known.keys, known.keys_at = _keys(document), time.monotonic()
        return _chosen(known.keys, kid)


def _known(issuer: Issuer) -> _Known:
    cache: dict[str, _Known] = current_app.extensions.setdefault("settled_oidc", {})
    return cache.setdefault(issuer.address, _Known())


def _metadata(issuer: Issuer, known: _Known) -> Metadata:
    if known.metadata is None or time.monotonic() - known.metadata_at >= FRESH:
        address = f"{issuer.address.rstrip('/')}/.well-known/openid-configuration"
        found = _read_metadata(issuer, _fetched(issuer, known, address))
        if found is None:
            known.failed_at = time.monotonic()
            log.warning("oidc.bad_metadata", issuer=issuer.address)
            raise refusals.away(issuer.name)
        known.metadata, known.metadata_at = found, time.monotonic()
    return known.metadata


def _read_metadata(issuer: Issuer, document: Mapping[str, Any]) -> Metadata | None:
    """The metadata in a document; None if it is of another issuer, or names an address that must not be called."""
    if document.get("issuer") != issuer.address:
        return None
    scheme = urlsplit(issuer.address).scheme
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    addresses = [document.get(one, "") for one in names]
    if not addresses[2] or not all(_is_address(one, scheme) for one in addresses if one != ""):
        return None
    methods = document.get("token_endpoint_auth_methods_supported")
    posts = isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
    return Metadata(addresses[0], addresses[1], addresses[2], posts)


def _is_address(value: object, scheme: str) -> bool:
    """True for an https address, and for an http one of an issuer on http, which production refuses."""
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return bool(parts and parts.hostname and parts.scheme in ("https", scheme) and parts.username is None)


def _fetched(issuer: Issuer, known: _Known, address: str) -> Mapping[str, Any]:
    """The JSON object at an address of the issuer. Raises Away."""
    if time.monotonic() - known.failed_at < RETRY_AFTER:
        raise refusals.away(issuer.name)
    try:
        answer = http_client.client().get(address, headers={"Accept": "application/json"}, extensions=_BOUNDS)
        document = strict_json.loads(answer.content) if answer.status_code == 200 else None
        if not isinstance(document, dict):
            raise ValueError(f"status {answer.status_code}")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        known.failed_at = time.monotonic()
        log.warning("oidc.issuer_away", issuer=issuer.address, error=f"{type(error).__name__}: {error}"[:200])
        raise refusals.away(issuer.name) from error
    return document


def _keys(document: Mapping[str, Any]) -> dict[str, RSAKey]:
    """The RSA keys for signatures in a key set, by their ids. Others are ignored."""
    rows = document.get("keys")
    found: dict[str, RSAKey] = {}
    for row in rows[:MOST_KEYS] if isinstance(rows, list) else ():
        if not isinstance(row, dict) or row.get("kty") != "RSA" or row.get("use", "sig") != "sig":
            continue
        if row.get("alg", "RS256") != "RS256" or not isinstance(row.get("kid", ""), str):
            continue
        try:
            made = RSAKey.import_key({"kty": "RSA", "n": row.get("n"), "e": row.get("e")})  # type: ignore[dict-item]
            if made.public_key.key_size >= SHORTEST_KEY:
                found[row.get("kid", "")] = made
        except (JoseError, ValueError, TypeError, AttributeError):
            log.warning("oidc.bad_key")
    return found


def _chosen(keys: Mapping[str, RSAKey], kid: str) -> RSAKey | None:
    if not kid and len(keys) == 1:
        return next(iter(keys.values()))
    return keys.get(kid)
