"""Sign-in by the API: login, refresh, logout, profile."""

from __future__ import annotations

from typing import Any

from flask import request

from shop.accounts import api_sessions, second_factor, signin
from shop.accounts.models import User
from shop.accounts.oidc import identities
from shop.accounts.permissions import Permission
from shop.accounts.signin import WrongCredentials
from shop.api.access import api_access, caller
from shop.api.problems import problems
from shop.api.rate_limits import SIGN_IN
from shop.api.resource import Resource
from shop.api.schemas import auth as schemas
from shop.core.client_address import client_network
from shop.core.errors import BadInput, Refusal

bp = Resource("Sign-in", __name__, "/auth", "Access tokens for people. Programs use API keys, made in the console.")
_EXAMPLE = {
    "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6ImQ1…",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_token": "settled_refresh.Zk3…",
}


class NotSignedIn(Refusal):
    """The sign-in is refused."""

    usual_status = 401


@bp.route("/login", methods=["POST"])
@api_access("public", policy=SIGN_IN)
@problems("invalid_credentials", "otp_required", "invalid_otp", "account_disabled", "second_factor_needed")
@problems("too_many_attempts")
@bp.arguments(schemas.LoginSchema, example={"email": "may@settled.example", "password": "settled-demo"})
@bp.response(200, schemas.TokensSchema, example=_EXAMPLE)
def login(body: dict[str, Any]) -> dict[str, Any]:
    """Sign in with e-mail and password

    A person with a second factor also sends `otp`. Wrong passwords delay further attempts, as on the sign-in page.
    """
    ip, agent = request.remote_addr or "", request.user_agent.string or ""
    try:
        user = signin.sign_in(body["email"], body["password"], ip, user_agent=agent, network=client_network(ip))
    except WrongCredentials as refusal:
        raise NotSignedIn("invalid_credentials", "E-mail or password is wrong.") from refusal
    return _started(user, body.get("otp"), ip, agent)


@bp.route("/token", methods=["POST"])
@api_access("public", policy=SIGN_IN)
@problems("id_token_refused", "id_token_used", "identity_email_unverified", "identity_of_staff", "identity_away")
@problems("identity_needs_confirmation", "account_changed", "too_many_mails", "otp_required", "invalid_otp")
@problems("invalid_credentials", "account_disabled", "second_factor_needed", "too_many_attempts")
@bp.arguments(schemas.IdTokenSchema, example={"id_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOi…"})
@bp.response(200, schemas.TokensSchema, example=_EXAMPLE)
def exchange(body: dict[str, Any]) -> dict[str, Any]:
    """Sign in with an ID token of an OpenID Connect issuer

    The settings name the issuers. A new person gets an account. A person with a second factor sends `otp` together
    with the token, which is used once.
    """
    ip, agent = request.remote_addr or "", request.user_agent.string or ""
    client = identities.Client(user_agent=agent, network=client_network(ip))
    user = identities.sign_in_with_token(body["id_token"], client, nonce=body.get("nonce"))
    return _started(user, body.get("otp"), ip, agent)


def _started(user: User, otp: str | None, ip: str, agent: str) -> dict[str, Any]:
    """The tokens of a new session, after the second factor where the account has one."""
    if second_factor.is_set_up(user):
        user = _with_second_factor(user, otp, ip, agent)
    elif user.roles and second_factor.is_required():
        raise Refusal("second_factor_needed", "Staff need a second factor. Set it up in the console first.")
    return schemas.tokens(api_sessions.start(user, agent))


def _with_second_factor(user: User, otp: str | None, ip: str, agent: str) -> User:
    if not otp:
        raise NotSignedIn("otp_required", "Send a code of the authenticator app as `otp`.")
    try:
        check = lambda: second_factor.check(user.id, otp, ip)  # noqa: E731
        return signin.complete(user.id, user.session_epoch, check, agent)
    except BadInput as refusal:
        raise NotSignedIn("invalid_otp", "The code is wrong or was used before.") from refusal
    except WrongCredentials as refusal:
        raise NotSignedIn("invalid_credentials", "The account has changed meanwhile.") from refusal


@bp.route("/refresh", methods=["POST"])
@api_access("public", policy=SIGN_IN)
@bp.arguments(schemas.RefreshSchema, example={"refresh_token": "settled_refresh.Zk3…"})
@bp.response(200, schemas.TokensSchema, example=_EXAMPLE)
def refresh(body: dict[str, Any]) -> dict[str, Any]:
    """Get new tokens for a refresh token

    A token is used once. Within 30 seconds a repetition gets the same refresh token, for answers that were lost; a
    later one ends the session, because a copy of the token is in use.
    """
    return schemas.tokens(api_sessions.refresh(body["refresh_token"]))


@bp.route("/logout", methods=["POST"])
@api_access("customer")
@bp.response(204)
def logout() -> None:
    """End the session of the access token

    Its access and refresh tokens are no longer valid.
    """
    api_sessions.end(caller().session_id)


@bp.route("/profile", methods=["GET"])
@api_access("customer")
@bp.response(
    200,
    schemas.ProfileSchema,
    example={"id": 7, "email": "may@settled.example", "name": "May", "roles": [], "permissions": []},
)
def profile() -> dict[str, Any]:
    """Show the account of the access token

    With its roles, and the permissions that they grant.
    """
    found = caller()
    if found.account is None:
        raise RuntimeError("a customer has an account")
    return schemas.profile(found.account, [str(one) for one in Permission if found.may(one)])
