"""Pages that verify the address of an account."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user

from shop.accounts import links, sessions, verification
from shop.accounts.decide import LinkPurpose
from shop.core.errors import Refusal
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.http_kit.translation import locale_name
from shop.web.private_page import confirm_email, ended, keep_private

bp = Blueprint("verification", __name__, url_prefix="/account")
bp.after_request(keep_private)


@bp.post("/verification")
@access("signed_in")
@limited("account_mail", 10)
def send() -> ResponseReturnValue:
    """Mail the account another link that verifies its address."""
    user = sessions.require_user()
    try:
        verification.request(user.id, locale_name())
    except Refusal as refusal:
        if refusal.code != "already_verified":
            raise
    else:
        flash(gettext("We have sent a link to %(email)s. It is valid for three days.", email=user.email))
    return redirect(url_for("accounts.show"), 303)


@bp.route("/verify/<signed>", methods=["GET", "POST"])
@access("public")
def verify(signed: str) -> ResponseReturnValue:
    """Page of a mailed link that verifies an address: a button, for its owner. Only the button uses the link."""
    owner = current_user.id if sessions.is_signed_in() else None
    try:
        link = links.read(LinkPurpose.VERIFY, signed, by=owner)
        if request.method == "POST" and owner is not None:
            verification.confirm(signed, by=owner)
            flash(gettext("Your e-mail address is confirmed."))
            return redirect(url_for("accounts.show"), 303)
    except (links.LinkEnded, links.OtherAccount) as refusal:
        return ended(refusal, LinkPurpose.VERIFY)
    return confirm_email(link, LinkPurpose.VERIFY, is_owner=owner is not None)
