"""Pages for people who cannot sign in: a new password, and the end of the delay after wrong passwords."""

from __future__ import annotations

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from shop.accounts import links, recovery
from shop.accounts.decide import LinkPurpose
from shop.core.errors import BadInput, Refusal
from shop.http_kit import device
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import locale_name
from shop.web.forms import EmailForm, NewPasswordForm
from shop.web.private_page import ended, keep_private, mails_are_shown, private_page, with_form

bp = Blueprint("recovery", __name__)
bp.after_request(keep_private)


@bp.route("/forgot-password", methods=["GET", "POST"])
@access("public")
@limited("account_mail", 10, shown_again=lambda refusal: _page(LinkPurpose.RESET, EmailForm(), refusal))
def forgot() -> ResponseReturnValue:
    """Mail a link for a new password. The answer is the same for addresses without an account."""
    return _request(LinkPurpose.RESET, "recovery.forgot_sent")


@bp.get("/forgot-password/sent")
@access("public")
def forgot_sent() -> ResponseReturnValue:
    """The next step after a new password was requested."""
    return private_page("link_sent", purpose=LinkPurpose.RESET, mails_are_shown=mails_are_shown())


@bp.route("/unlock-account", methods=["GET", "POST"])
@access("public")
@limited("account_mail", 10, shown_again=lambda refusal: _page(LinkPurpose.UNLOCK, EmailForm(), refusal))
def unlock_request() -> ResponseReturnValue:
    """Mail a link that ends the delay after wrong passwords, with the same answer for addresses without an account."""
    return _request(LinkPurpose.UNLOCK, "recovery.unlock_sent")


@bp.get("/unlock-account/sent")
@access("public")
def unlock_sent() -> ResponseReturnValue:
    """The next step after the link was requested."""
    return private_page("link_sent", purpose=LinkPurpose.UNLOCK, mails_are_shown=mails_are_shown())


@bp.route("/account/reset/<signed>", methods=["GET", "POST"])
@access("public")
@limited("reset", 20, free=(410, 422))
def reset(signed: str) -> ResponseReturnValue:
    """Page of a mailed link: a form for the new password. Only the form uses the link."""
    form = NewPasswordForm()
    try:
        link = links.read(LinkPurpose.RESET, signed)
        if form.validate_on_submit():
            try:
                recovery.reset(signed, form.password.data, request.remote_addr or "", device.here())
            except BadInput as refusal:
                return with_form("reset_password", form, refusal, email=link.account_email)
            flash(gettext("Your password is changed. Sign in with the new one."))
            return redirect(url_for("accounts.sign_in"), 303)
    except links.LinkEnded as refusal:
        return ended(refusal, LinkPurpose.RESET)
    return with_form("reset_password", form, email=link.account_email)


@bp.route("/account/unlock/<signed>", methods=["GET", "POST"])
@access("public")
@limited("unlock", 20, free=(410,))
def unlock(signed: str) -> ResponseReturnValue:
    """Page of a mailed link that ends the delay after wrong passwords: a button. Only the button uses the link."""
    try:
        link = links.read(LinkPurpose.UNLOCK, signed)
        if request.method == "POST":
            recovery.unlock(signed, request.remote_addr or "", device.here())
            flash(gettext("You can sign in again."))
            return redirect(url_for("accounts.sign_in"), 303)
    except links.LinkEnded as refusal:
        return ended(refusal, LinkPurpose.UNLOCK)
    return private_page("unlock", email=link.account_email)


def _request(purpose: LinkPurpose, sent: str) -> ResponseReturnValue:
    form = EmailForm()
    if form.validate_on_submit():
        try:
            recovery.request(purpose, form.email.data, locale_name())
        except Refusal as refusal:
            return _page(purpose, form, refusal)
        return redirect(url_for(sent), 303)
    return _page(purpose, form)


def _page(purpose: LinkPurpose, form: EmailForm, refusal: Refusal | None = None) -> Response:
    return with_form("request_link", form, refusal, purpose=purpose)
