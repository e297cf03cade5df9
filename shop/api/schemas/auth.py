"""Sign-in: bodies and answers."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from shop.accounts.api_sessions import Account, Tokens
from shop.accounts.permissions import Role
from shop.api.schemas.fields import Secret, Strict
from shop.core import email_address


class LoginSchema(Strict):
    """Credentials of a person."""

    email = Secret(email_address.LONGEST, required=True, metadata={"example": "may@settled.example"})
    password = Secret(256, required=True, metadata={"example": "settled-demo"})
    otp = Secret(40, metadata={"description": "Code of the authenticator app, or a recovery code."})


class IdTokenSchema(Strict):
    """An ID token of an OpenID Connect issuer, such as Firebase."""

    id_token = Secret(16 * 1024, required=True, metadata={"description": "Issued at most five minutes ago, used once."})
    nonce = Secret(255, metadata={"description": "The nonce that the token must have."})
    otp = Secret(40, metadata={"description": "Code of the authenticator app, or a recovery code."})


class RefreshSchema(Strict):
    """A refresh token."""

    refresh_token = Secret(300, required=True)


class TokensSchema(Strict):
    """Tokens of a session. A refresh token is used once; the answer has the next one."""

    access_token = fields.String(required=True)
    token_type = fields.String(required=True, metadata={"example": "Bearer"})
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 900})
    refresh_token = fields.String(required=True)


class ProfileSchema(Strict):
    """The account of the caller."""

    id = fields.Integer(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    roles = fields.List(fields.String(metadata={"enum": [str(role) for role in Role]}), required=True)
    permissions = fields.List(fields.String(), required=True)


def tokens(made: Tokens) -> dict[str, Any]:
    """The body of an answer with tokens."""
    return {
        "access_token": made.access_token,
        "token_type": "Bearer",
        "expires_in": made.expires_in,
        "refresh_token": made.refresh_token,
    }


def profile(account: Account, permissions: list[str]) -> dict[str, Any]:
    """The body of the profile."""
    values = {"id": account.id, "email": account.email, "name": account.name}
    return values | {"roles": list(account.roles), "permissions": permissions}
