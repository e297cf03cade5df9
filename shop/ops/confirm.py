"""Page that asks for the password again, before a sensitive page is opened."""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import sessions
from shop.accounts.permissions import Permission
from shop.http_kit import confirmation
from shop.http_kit.access import requires
from shop.http_kit.safe_next import safe_next

bp = Blueprint("confirm", __name__)


@bp.route("/confirm", methods=["GET", "POST"])
@requires(Permission.CONSOLE_OPEN)
def show() -> ResponseReturnValue:
    """Confirm the password, then go on to `next`."""
    user = sessions.require_user()
    if request.method == "GET":
        return confirmation.page(user, 200)
    refusal = confirmation.checked(user, request.form.get(confirmation.FIELD, ""))
    if refusal:
        return confirmation.page(user, refusal.status, refusal)
    return redirect(safe_next(request.args.get("next"), url_for("ops.home.show")), 303)
