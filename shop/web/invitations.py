"""Page of an invitation to the staff: the invited person chooses name and password."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext

from shop.accounts import invitations, links
from shop.accounts.decide import LinkPurpose
from shop.core.errors import BadInput
from shop.http_kit.access import access
from shop.http_kit.request_guard import limited
from shop.web.forms import InvitationForm
from shop.web.private_page import ended, keep_private, with_form

bp = Blueprint("invitations", __name__)
bp.after_request(keep_private)


@bp.route("/account/invitation/<signed>", methods=["GET", "POST"])
@access("public")
@limited("invitation", 20, free=(410, 422))
def accept(signed: str) -> ResponseReturnValue:
    """Page of a mailed invitation: a form for name and password. Only the form uses the link."""
    form = InvitationForm()
    try:
        link = links.read(LinkPurpose.INVITATION, signed)
        if form.validate_on_submit():
            try:
                invitations.accept(signed, form.name.data, form.password.data)
            except BadInput as refusal:
                return with_form("invitation", form, refusal, email=link.account_email)
            flash(gettext("Your account is ready. Sign in with your e-mail address and password."))
            return redirect(url_for("accounts.sign_in"), 303)
    except links.LinkEnded as refusal:
        return ended(refusal, LinkPurpose.INVITATION)
    return with_form("invitation", form, email=link.account_email)
