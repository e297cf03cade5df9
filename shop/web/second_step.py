"""Second step of a sign-in of staff, after the password: a passkey, or a code of the authenticator app."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Blueprint, Response, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import passkeys, second_factor, signin
from shop.accounts.models import User
from shop.accounts.passkey_challenges import Purpose
from shop.core import clock
from shop.core.errors import Refusal
from shop.core.sentences import sentence
from shop.http_kit import device, visitor
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.safe_next import safe_next
from shop.web.forms import CodeForm
from shop.web.private_page import keep_private, with_form

bp = Blueprint("second_step", __name__)
bp.after_request(keep_private)
LASTS = timedelta(minutes=10)
_KEY = "second_step"
Proven = tuple[int, int, str]
"""Account, session epoch and following page of the first step."""


def begin(user: User, following: str) -> None:
    """Note in the signed cookie that the password of this account was proven, and the page to go on to."""
    session[_KEY] = [user.id, user.session_epoch, clock.wall().isoformat(), following]


@bp.route("/sign-in/code", methods=["GET", "POST"])
@access("public")
def show() -> ResponseReturnValue:
    """Sign in with a code of the authenticator app or a recovery code, after the password."""
    proven = _proven()
    if proven is None:
        return _to_first_step()
    form = CodeForm()
    if form.validate_on_submit():
        user_id, ip = proven[0], request.remote_addr or ""
        return _completed(proven, form, lambda: second_factor.check(user_id, form.code.data, ip))
    return _page(proven, form)


@bp.post("/sign-in/passkey")
@access("public")
def use_passkey() -> ResponseReturnValue:
    """Sign in with the answer of a passkey, after the password."""
    proven = _proven()
    if proven is None:
        return _to_first_step()
    user_id, answer, ip = proven[0], request.form.get("passkey", ""), request.remote_addr or ""
    return _completed(proven, CodeForm(formdata=None), lambda: passkeys.check(user_id, answer, ip))


@bp.post("/sign-in/passkey/options")
@access("public")
@limited("passkey options", 30)
def passkey_options() -> ResponseReturnValue:
    """Options for the browser to use a passkey, as JSON, with a challenge that it signs once."""
    proven = _proven()
    if proven is None:
        raise Refusal("sign_in_needed", sentence("Your sign-in took too long. Enter your password again."))
    return Response(passkeys.use_options(proven[0], Purpose.SIGN_IN), mimetype="application/json")


def _completed(proven: Proven, form: CodeForm, check: Callable[[], None]) -> ResponseReturnValue:
    """The answer to the second factor that `check` checks."""
    user_id, epoch, following = proven
    try:
        user = signin.complete(user_id, epoch, check, request.user_agent.string)
        visitor.sign_in(user)
    except signin.WrongCredentials:  # the password or the account has changed since the first step
        return _to_first_step()
    except Refusal as refusal:
        return _page(proven, form, refusal)
    session.pop(_KEY, None)
    return device.remembered(redirect(safe_next(following, url_for("ops.home.show")), 303), user)


def _page(proven: Proven, form: CodeForm, refusal: Refusal | None = None) -> Response:
    user_id = proven[0]
    factors = {"has_app": second_factor.has_app(user_id), "has_passkey": bool(passkeys.of_user(user_id))}
    return with_form("second_step", form, refusal, **factors)


def _to_first_step() -> ResponseReturnValue:
    session.pop(_KEY, None)
    return redirect(url_for("accounts.sign_in"), 303)


def _proven() -> Proven | None:
    """Account, session epoch and following page of the first step; None if it was not made, or too long ago."""
    try:
        user_id, epoch, at, following = session[_KEY]
        is_recent = clock.wall() - datetime.fromisoformat(at) < LASTS
        return (int(user_id), int(epoch), str(following)) if is_recent else None
    except (KeyError, TypeError, ValueError):
        return None
