"""Second factors of the person who is signed in: passkeys, an authenticator app, and recovery codes."""

from __future__ import annotations

from collections.abc import Callable

import segno
from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import passkeys, second_factor, sessions
from shop.accounts.permissions import Permission
from shop.core.errors import Refusal
from shop.http_kit.access import requires
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import translated
from shop.ops import acts
from shop.ops.navigation import Group, Link

bp = Blueprint("second_factor", __name__)
LINKS = (Link("Second factor", "ops.second_factor.show", Permission.CONSOLE_OPEN, Group.SYSTEM),)


@bp.get("/second-factor")
@requires(Permission.CONSOLE_OPEN, before_second_factor=True)
def show() -> ResponseReturnValue:
    """The second factors, and the secret that waits for its first code, as a QR code."""
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
        user_id = sessions.require_user().id
        codes = second_factor.confirm(user_id, request.form.get("code", ""))
        sessions.revoke_all(user_id, but_here=True)  # they were begun without it
    except Refusal as refusal:
        return _page(refusal)
    return _with_codes(codes)


@bp.post("/second-factor/remove-app")
@requires(Permission.CONSOLE_OPEN, fresh=True)
def remove_app() -> ResponseReturnValue:
    """Remove the authenticator app, if it is not the last factor that is required."""
    return _done(lambda: second_factor.remove_app(sessions.require_user().id), "The authenticator app is removed.")


@bp.post("/second-factor/recovery-codes")
@requires(Permission.CONSOLE_OPEN, fresh=True)
def make_codes() -> ResponseReturnValue:
    """Replace the recovery codes; the answer shows the new ones, once."""
    try:
        codes = second_factor.new_recovery_codes(sessions.require_user().id)
    except Refusal as refusal:
        return _page(refusal)
    return render_template("ops/recovery_codes.html", codes=codes)


@bp.post("/second-factor/passkeys/options")
@requires(Permission.CONSOLE_OPEN, before_second_factor=True)
@limited("passkey options", 30)
def passkey_options() -> ResponseReturnValue:
    """Options for the browser to make a passkey, as JSON, with a challenge that it signs once."""
    return Response(passkeys.registration_options(sessions.require_user()), mimetype="application/json")


@bp.post("/second-factor/passkeys")
@requires(Permission.CONSOLE_OPEN, fresh=True, before_second_factor=True)
def add_passkey() -> ResponseReturnValue:
    """Add the passkey that the browser has made; if it is the first factor, the answer shows recovery codes, once."""
    user_id, form = sessions.require_user().id, request.form
    try:
        codes = passkeys.add(user_id, form.get("name", ""), form.get("passkey", ""))
        if codes:
            sessions.revoke_all(user_id, but_here=True)  # they were begun without it
            return _with_codes(codes)
    except Refusal as refusal:
        return _page(refusal)
    flash("The passkey is added.")
    return redirect(url_for("ops.second_factor.show"), 303)


@bp.post("/second-factor/passkeys/<int:passkey_id>/remove")
@requires(Permission.CONSOLE_OPEN, fresh=True)
def remove_passkey(passkey_id: int) -> ResponseReturnValue:
    """Remove a passkey, if it is not the last factor that is required."""
    return _done(lambda: passkeys.remove(sessions.require_user().id, passkey_id), "The passkey is removed.")


def _done(act: Callable[[], None], message: str) -> ResponseReturnValue:
    return acts.done(act, message, url_for("ops.second_factor.show"), _render)


def _with_codes(codes: list[str]) -> str:
    flash("Your second factor is set up. From now on each sign-in needs it.")
    return render_template("ops/recovery_codes.html", codes=codes)


def _page(refusal: Refusal | None = None) -> ResponseReturnValue:
    return _render(refusal), refusal.status if refusal else 200


def _render(refusal: Refusal | None = None) -> str:
    user = sessions.require_user()
    address = second_factor.pending_address(user)
    picture = segno.make(address, error="m", micro=False) if address else None
    return render_template(
        "ops/second_factor.html",
        user=user,
        unused=second_factor.unused_codes(user.id),
        has_app=second_factor.has_app(user.id),
        passkeys=passkeys.of_user(user.id),
        is_required=second_factor.is_required(),
        picture=picture.svg_data_uri(scale=5, border=4, light="#fff", dark="#000") if picture else "",
        key=second_factor.key_of(address) if address else "",
        wrong=translated(refusal.message) if refusal else "",
        wrong_field=refusal.details.get("field") if refusal else None,
        typed=request.form if refusal else {},
    )
