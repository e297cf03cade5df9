"""Verify ID tokens: signature by RS256 alone, with a key of an issuer that the settings name, then the claims."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError

from shop.accounts.oidc import decide, issuers, refusals
from shop.accounts.oidc.decide import Expected, Proof, TokenProblem
from shop.accounts.oidc.issuers import Issuer
from shop.core import clock, email_address, http_client, logs, strict_json, text

LONGEST = 16 * 1024
"""Characters of a token."""
ALGORITHM = "RS256"
log = logs.get()


def verified(token: str, *, nonce: str | None = None, issuer: Issuer | None = None) -> Proof:
    """The person whom an ID token proves: one of `issuer`, or of any that the settings name. A `nonce` must be in it.

    Calls the issuer when its keys are not known, so never inside a transaction. Raises TokenRefused,
    AddressUnverified and Away.
    """
    http_client.leave_database()
    try:
        return _verified(token, nonce, (issuer,) if issuer else issuers.configured())
    except (refusals.TokenRefused, refusals.AddressUnverified) as refused:
        log.info("oidc.token_refused", problem=refused.problem)
        raise


def _verified(token: str, nonce: str | None, trusted: tuple[Issuer, ...]) -> Proof:
    header, unproven = _parts(token)
    issuer = next((one for one in trusted if one.address == unproven.get("iss")), None)
    if issuer is None:
        raise refusals.TokenRefused(TokenProblem.ISSUER)
    kid = header.get("kid", "")
    if header.get("alg") != ALGORITHM or not isinstance(kid, str):
        raise refusals.TokenRefused(TokenProblem.ALGORITHM)
    key = issuers.key(issuer, kid)
    if key is None:
        raise refusals.TokenRefused(TokenProblem.KEY)
    try:
        claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
    except (JoseError, ValueError, TypeError) as error:
        raise refusals.TokenRefused(TokenProblem.SIGNATURE) from error
    expected = Expected(issuer.address, issuer.audiences, nonce)
    problem = decide.problem_of(claims, expected, clock.wall())
    if problem == TokenProblem.EMAIL:
        raise refusals.AddressUnverified
    if problem:
        raise refusals.TokenRefused(problem)
    return _proof(token, claims)


def _proof(token: str, claims: Mapping[str, Any]) -> Proof:
    try:
        email = email_address.normal(claims["email"])
    except email_address.NotAnAddress as error:
        raise refusals.AddressUnverified from error
    name = claims.get("name")
    usable = text.tidy(name) if isinstance(name, str) else ""
    signed = token.rpartition(".")[0]  # the signature can be written in several ways, what it covers cannot
    digest = hashlib.sha256(f"{claims['iss']}\0{signed}".encode()).hexdigest()
    is_usable = usable and not text.is_unusable(usable)
    shown = usable if is_usable else email.partition("@")[0]
    return Proof(claims["iss"], claims["sub"], email, shown, digest, decide.usable_until(claims))


def _parts(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims, before the signature is verified: only to choose the key. Raises TokenRefused."""
    parts = token.split(".")
    if len(token) > LONGEST or not token.isascii() or len(parts) != 3:
        raise refusals.TokenRefused(TokenProblem.UNREADABLE)
    try:
        header, claims = (strict_json.loads(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4))) for one in parts[:2])
    except ValueError as error:
        raise refusals.TokenRefused(TokenProblem.UNREADABLE) from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise refusals.TokenRefused(TokenProblem.UNREADABLE)
    return header, claims
