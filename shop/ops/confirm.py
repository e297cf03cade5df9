"""Page that asks for the password or a passkey again, before a sensitive page is opened."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import passkeys, sessions
from shop.accounts.passkey_challenges import Purpose
from shop.accounts.permissions import Permission
from shop.http_kit import confirmation
from shop.http_kit.access import requires
from shop.http_kit.request_guard import limited
from shop.http_kit.safe_next import safe_next

bp = Blueprint("confirm", __name__)


@bp.route("/confirm", methods=["GET", "POST"])
@requires(Permission.CONSOLE_OPEN)
def show() -> ResponseReturnValue:
    """Confirm by password or passkey, then go on to `next`."""
    user = sessions.require_user()
    if request.method == "GET":
        return confirmation.page(user, 200)
    refusal = confirmation.checked(user)
    if refusal:
        return confirmation.page(user, refusal.status, refusal)
    return redirect(safe_next(request.args.get("next"), url_for("ops.home.show")), 303)


@bp.post("/confirm/passkey")
@requires(Permission.CONSOLE_OPEN)
@limited("passkey options", 30)
def passkey_options() -> ResponseReturnValue:
    """Options for the browser to confirm by a passkey, as JSON, with a challenge that it signs once."""
    options = passkeys.use_options(sessions.require_user().id, Purpose.CONFIRM)
    return Response(options, mimetype="application/json")
