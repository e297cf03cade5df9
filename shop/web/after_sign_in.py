"""Page to return to after a sign-in whose path contains a token: in the cookie, because query strings are logged."""

from __future__ import annotations

from flask import request, session

_KEY = "after_sign_in"


def return_here() -> None:
    """Return to the path of this request after the next sign-in that names no other page."""
    session[_KEY] = request.path


def take() -> str | None:
    """The path to return to, once."""
    path = session.pop(_KEY, None)
    return path if isinstance(path, str) else None
