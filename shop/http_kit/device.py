"""Cookie that identifies a known device of an account; see shop.accounts.known_devices."""

from __future__ import annotations

from flask import current_app, request
from werkzeug.wrappers import Response

from shop.accounts import known_devices
from shop.accounts.models import User


def here() -> known_devices.Device | None:
    """The known device that sends this request, if any."""
    return known_devices.load(request.cookies.get(_name()))


def remembered(response: Response, user: User) -> Response:
    """Add the cookie to `response` that makes this browser a known device of `user`."""
    response.set_cookie(
        _name(),
        known_devices.remember(here(), user.email),
        max_age=known_devices.LASTS,
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
    return response


def _name() -> str:
    return "__Host-settled-device" if current_app.config["SESSION_COOKIE_SECURE"] else "settled-device"
