"""Signed links, for people who have no account."""

from __future__ import annotations

from flask import current_app
from itsdangerous import BadSignature, URLSafeTimedSerializer

HISTORY_LINK_LASTS = 24 * 3600  # seconds, on wall time


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt="order history")


def history_link(email: str) -> str:
    """A token that shows the orders of `email` for a day."""
    return _signer().dumps(email.strip().lower())


def read_history_link(token: str) -> str | None:
    """The address in the token; None when it is forged or older than a day."""
    try:
        return str(_signer().loads(token, max_age=HISTORY_LINK_LASTS))
    except BadSignature:
        return None
