"""Pages that change the password and the address of an account."""

from __future__ import annotations

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user
from werkzeug.wrappers import Response as BaseResponse

from shop.accounts import credentials, links, sessions
from shop.accounts.decide import LinkPurpose
from shop.core.errors import Refusal
from shop.http_kit import device, visitor
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import locale_name
from shop.web.forms import ChangeEmailForm, ChangePasswordForm
from shop.web.private_page import confirm_email, ended, keep_private, mails_are_shown, private_page, with_form

bp = Blueprint("credentials", __name__, url_prefix="/account")
bp.after_request(keep_private)


@bp.route("/password", methods=["GET", "POST"])
@access("signed_in")
@limited("change_password", 10, shown_again=lambda refusal: _password_form(ChangePasswordForm(), refusal))
def password() -> ResponseReturnValue:
    """Change the password; all other devices are signed out."""
    user, form = sessions.require_user(), ChangePasswordForm()
    if form.validate_on_submit():
        user_id = user.id
        try:
            epoch = credentials.change_password(user_id, form.current.data, form.password.data, _origin())
        except Refusal as refusal:
            return _password_form(form, refusal)
        flash(gettext("Your password is changed. All other devices are signed out."))
        return _signed_in_again(user_id, epoch)
    return _password_form(form)


@bp.route("/email", methods=["GET", "POST"])
@access("signed_in")
@limited("account_mail", 10, shown_again=lambda refusal: _email_form(ChangeEmailForm(), refusal))
def email() -> ResponseReturnValue:
    """Mail a link to a new address, which then becomes the address of the account."""
    user, form = sessions.require_user(), ChangeEmailForm()
    if form.validate_on_submit():
        try:
            credentials.request_email_change(user.id, form.current.data, form.email.data, _origin())
        except Refusal as refusal:
            return _email_form(form, refusal)
        return redirect(url_for("credentials.email_sent"), 303)
    return _email_form(form)


@bp.get("/email/sent")
@access("signed_in")
def email_sent() -> ResponseReturnValue:
    """The next step after a new address was entered."""
    return private_page("link_sent", purpose=LinkPurpose.CHANGE_EMAIL, mails_are_shown=mails_are_shown())


@bp.route("/change-email/<signed>", methods=["GET", "POST"])
@access("public")
def change_email(signed: str) -> ResponseReturnValue:
    """Page of a mailed link that changes the address: a button, for the owner. Only the button uses the link."""
    owner = current_user.id if sessions.is_signed_in() else None
    try:
        link = links.read(LinkPurpose.CHANGE_EMAIL, signed, by=owner)
        if request.method == "POST" and owner is not None:
            epoch = credentials.change_email(signed, by=owner)
            flash(gettext("Your e-mail address is changed. All other devices are signed out."))
            return _signed_in_again(owner, epoch)
    except (links.LinkEnded, links.OtherAccount) as refusal:
        return ended(refusal, LinkPurpose.CHANGE_EMAIL)
    except Refusal as refusal:
        return private_page("link_ended", refusal=refusal, code=refusal.code, purpose=LinkPurpose.CHANGE_EMAIL)
    return confirm_email(link, LinkPurpose.CHANGE_EMAIL, is_owner=owner is not None)


def _signed_in_again(user_id: int, epoch: int) -> BaseResponse:
    """Redirect to the account, with a new sign-in for this browser: the old one has ended with all others. Without one
    if the account has changed since `epoch`, which was written by this request.
    """
    user = sessions.snapshot(user_id, epoch)
    if user is None:
        return redirect(url_for("accounts.sign_in"), 303)
    visitor.sign_in(user)
    return device.remembered(redirect(url_for("accounts.show"), 303), user)


def _origin() -> credentials.Origin:
    return credentials.Origin(request.remote_addr or "", device.here(), locale_name())


def _password_form(form: ChangePasswordForm, refusal: Refusal | None = None) -> Response:
    return with_form("change_password", form, refusal, email=sessions.require_user().email)


def _email_form(form: ChangeEmailForm, refusal: Refusal | None = None) -> Response:
    return with_form("change_email", form, refusal, email=sessions.require_user().email)
