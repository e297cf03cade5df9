"""Second step of a sign-in of staff: a code of the authenticator app, after the password."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Blueprint, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import signin
from shop.accounts.models import User
from shop.core import clock
from shop.core.errors import Refusal
from shop.http_kit import device, visitor
from shop.http_kit.access import access
from shop.http_kit.safe_next import safe_next
from shop.web.forms import CodeForm
from shop.web.private_page import keep_private, with_form

bp = Blueprint("second_step", __name__)
bp.after_request(keep_private)
LASTS = timedelta(minutes=10)
_KEY = "second_step"


def begin(user: User, following: str) -> None:
    """Note in the signed cookie that the password of this account was proven, and the page to go on to."""
    session[_KEY] = [user.id, user.session_epoch, clock.wall().isoformat(), following]


@bp.route("/sign-in/code", methods=["GET", "POST"])
@access("public")
def show() -> ResponseReturnValue:
    """Sign in with a code of the authenticator app or a recovery code, after the password."""
    proven = _proven()
    if proven is None:
        session.pop(_KEY, None)
        return redirect(url_for("accounts.sign_in"), 303)
    user_id, epoch, following = proven
    form = CodeForm()
    if form.validate_on_submit():
        origin = request.remote_addr or "", request.user_agent.string
        try:
            user = signin.complete(user_id, epoch, form.code.data, *origin)
            visitor.sign_in(user)
        except signin.WrongCredentials:  # the password or the account has changed since the first step
            session.pop(_KEY, None)
            return redirect(url_for("accounts.sign_in"), 303)
        except Refusal as refusal:
            return with_form("second_step", form, refusal)
        session.pop(_KEY, None)
        return device.remembered(redirect(safe_next(following, url_for("ops.home.show")), 303), user)
    return with_form("second_step", form)


def _proven() -> tuple[int, int, str] | None:
    """Account, session epoch and following page of the first step; None if it was not made, or too long ago."""
    try:
        user_id, epoch, at, following = session[_KEY]
        is_recent = clock.wall() - datetime.fromisoformat(at) < LASTS
        return (int(user_id), int(epoch), str(following)) if is_recent else None
    except (KeyError, TypeError, ValueError):
        return None
