"""Sign-in by redirect: authorization code with PKCE (S256), state and nonce."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import httpx
from flask import current_app

from shop.accounts.oidc import issuers, refusals, tokens
from shop.accounts.oidc.decide import Proof, TokenProblem
from shop.accounts.oidc.issuers import Issuer, Metadata
from shop.core import http_client, logs, strict_json

PATH = "/sign-in/oidc/return"
LONGEST_CODE = 2048
_BOUNDS = {"bounds": http_client.Bounds(seconds=8.0, size=128 * 1024)}
log = logs.get()


@dataclass(frozen=True)
class Secrets:
    """Random values of one redirect, which the browser's cookie keeps: they tie its return to this browser."""

    state: str
    nonce: str
    verifier: str


def begin() -> tuple[str, Secrets]:
    """The address at the issuer to send the browser to, and the secrets of the return. Raises Away, and Refusal
    RedirectEnded when the settings name no issuer for redirects.
    """
    issuer = _issuer()
    http_client.leave_database()
    made = Secrets(*(secrets.token_urlsafe(32) for _ in range(3)))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(made.verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": current_app.config["OIDC_CLIENT_ID"],
        "redirect_uri": _return_address(),
        "scope": "openid email profile",
        "state": made.state,
        "nonce": made.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    endpoint = issuers.metadata(issuer).authorization_endpoint
    if not endpoint:
        raise refusals.away(issuer.name)
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}", made


def proof_of(code: str, made: Secrets) -> Proof:
    """The person whom the code of a return proves. Calls the issuer. Raises Away, Denied and TokenRefused."""
    issuer = _issuer()
    if not 0 < len(code) <= LONGEST_CODE:
        raise refusals.Denied(issuer.name, by_person=False)
    http_client.leave_database()
    token = _id_token(issuer, issuers.metadata(issuer), code, made.verifier)
    return tokens.verified(token, nonce=made.nonce, issuer=issuer)


def _issuer() -> Issuer:
    issuer = issuers.for_redirect()
    if issuer is None:
        raise refusals.RedirectEnded
    return issuer


def _return_address() -> str:
    return str(current_app.config["SHOP_URL"]).rstrip("/") + PATH


def _id_token(issuer: Issuer, found: Metadata, code: str, verifier: str) -> str:
    """Exchange the code for an ID token, once."""
    client, secret = current_app.config["OIDC_CLIENT_ID"], current_app.config["OIDC_CLIENT_SECRET"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": _return_address()}
    form |= {"code_verifier": verifier}
    auth = httpx.Auth()
    if secret and not found.posts_secret:
        auth = httpx.BasicAuth(quote(client, safe=""), quote(secret, safe=""))  # RFC 6749, section 2.3.1
    else:
        form |= {"client_id": client} | ({"client_secret": secret} if secret else {})
    try:
        answer = http_client.client().post(
            found.token_endpoint, data=form, auth=auth, headers={"Accept": "application/json"}, extensions=_BOUNDS
        )
        document = strict_json.loads(answer.content)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        log.warning("oidc.token_endpoint_away", error=f"{type(error).__name__}: {error}"[:200])
        raise refusals.away(issuer.name) from error
    if answer.status_code >= 500:
        raise refusals.away(issuer.name)
    token = document.get("id_token") if isinstance(document, dict) and answer.status_code == 200 else None
    if answer.status_code != 200:
        log.warning("oidc.code_refused", status=answer.status_code)
        raise refusals.Denied(issuer.name, by_person=False)
    if not isinstance(token, str):
        raise refusals.TokenRefused(TokenProblem.UNREADABLE)
    return token
