"""Second factor of the person who is signed in: set up an authenticator app, and recovery codes."""

from __future__ import annotations

import segno
from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import second_factor, sessions
from shop.accounts.permissions import Permission
from shop.core.errors import Refusal
from shop.http_kit.access import requires
from shop.http_kit.translation import translated
from shop.ops.navigation import Group, Link

bp = Blueprint("second_factor", __name__)
LINKS = (Link("Second factor", "ops.second_factor.show", Permission.CONSOLE_OPEN, Group.SYSTEM),)


@bp.get("/second-factor")
@requires(Permission.CONSOLE_OPEN, before_second_factor=True)
def show() -> ResponseReturnValue:
    """State of the second factor, and the secret that waits for its first code, as a QR code."""
    return _page()


@bp.post("/second-factor/begin")
@requires(Permission.CONSOLE_OPEN, fresh=True, before_second_factor=True)
def begin() -> ResponseReturnValue:
    """Make a secret for an authenticator app; a present one counts until a code of the new one was confirmed."""
    second_factor.begin(sessions.require_user().id)
    return redirect(url_for("ops.second_factor.show"), 303)


@bp.post("/second-factor/confirm")
@requires(Permission.CONSOLE_OPEN, fresh=True, before_second_factor=True)
def confirm() -> ResponseReturnValue:
    """Make the secret count, with its first code; the answer shows the recovery codes, once."""
    try:
        codes = second_factor.confirm(sessions.require_user().id, request.form.get("code", ""))
    except Refusal as refusal:
        return _page(refusal)
    flash("Your second factor is set up. From now on each sign-in needs a code.")
    return render_template("ops/recovery_codes.html", codes=codes)


@bp.post("/second-factor/recovery-codes")
@requires(Permission.CONSOLE_OPEN, fresh=True)
def make_codes() -> ResponseReturnValue:
    """Replace the recovery codes; the answer shows the new ones, once."""
    codes = second_factor.new_recovery_codes(sessions.require_user().id)
    return render_template("ops/recovery_codes.html", codes=codes)


def _page(refusal: Refusal | None = None) -> ResponseReturnValue:
    user = sessions.require_user()
    address = second_factor.pending_address(user)
    picture = segno.make(address, error="m", micro=False) if address else None
    values = {
        "user": user,
        "unused": second_factor.unused_codes(user.id),
        "is_required": second_factor.is_required(),
        "picture": picture.svg_data_uri(scale=5, border=4, light="#fff", dark="#000") if picture else "",
        "key": second_factor.key_of(address) if address else "",
        "wrong": translated(refusal.message) if refusal else "",
    }
    return render_template("ops/second_factor.html", **values), refusal.status if refusal else 200
