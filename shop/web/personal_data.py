"""Pages with which the owner of an account exports its data and deletes it."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, flash, redirect, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from limits import RateLimitItemPerHour

from shop.accounts import credentials, sessions
from shop.core import clock, rate_limit
from shop.core.errors import Refusal
from shop.core.sentences import sentence
from shop.http_kit import device, visitor
from shop.http_kit.access import access
from shop.http_kit.request_guard import TooMany, limited
from shop.http_kit.translation import locale_name
from shop.ledger import store_credit
from shop.orders.find import READABLE_AFTER_END
from shop.privacy import delete_account, export
from shop.web.forms import DeleteAccountForm, ExportForm
from shop.web.private_page import keep_private, with_form

bp = Blueprint("personal_data", __name__, url_prefix="/account")
bp.after_request(keep_private)
EXPORTS = RateLimitItemPerHour(5)
"""Exports of one account."""


@bp.route("/data", methods=["GET", "POST"])
@access("signed_in")
@limited("export_data", 10, shown_again=lambda refusal: _export_page(ExportForm(), refusal))
def show() -> ResponseReturnValue:
    """Download the data of the account as JSON, after the password was confirmed."""
    user_id, form = sessions.require_user().id, ExportForm()
    if not form.validate_on_submit():
        return _export_page(form)
    try:
        credentials.confirm_owner(user_id, form.current.data or "", _origin())
        _count_export(user_id)
    except Refusal as refusal:
        return _export_page(form, refusal)
    name = f"settled-data-{clock.now():%Y-%m-%d}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(stream_with_context(export.stream(user_id)), mimetype="application/json", headers=headers)


@bp.route("/delete", methods=["GET", "POST"])
@access("signed_in")
@limited("delete_account", 10, shown_again=lambda refusal: _delete_page(DeleteAccountForm(), refusal))
def delete() -> ResponseReturnValue:
    """Delete the account, after its address was typed and the password was confirmed."""
    user_id, form = sessions.require_user().id, DeleteAccountForm()
    if not form.validate_on_submit():
        return _delete_page(form)
    confirmed = {"typed": form.confirmation.data, "password": form.current.data or ""}
    try:
        delete_account.delete_account(user_id, **confirmed, gives_up_credit=form.gives_up_credit.data, origin=_origin())
    except Refusal as refusal:
        return _delete_page(form, refusal)
    visitor.sign_out()
    flash(gettext("Your account is deleted. We have sent you an e-mail that confirms it."))
    return redirect(url_for("accounts.sign_in"), 303)


def _count_export(user_id: int) -> None:
    """Raise TooMany when the account has been exported often."""
    is_limited = current_app.config.get("RATE_LIMITS", True)
    if is_limited and not rate_limit.allowed(EXPORTS, "export of account", str(user_id)):
        message = sentence("You have downloaded your data several times. Try again in an hour.")
        raise TooMany(3600, message)


def _origin() -> credentials.Origin:
    return credentials.Origin(request.remote_addr or "", device.here(), locale_name())


def _export_page(form: ExportForm, refusal: Refusal | None = None) -> Response:
    user = sessions.require_user()
    form.current.flags.required = user.has_password
    is_proven = user.has_password or sessions.is_confirmed()
    return with_form("export_data", form, refusal, has_password=user.has_password, is_proven=is_proven)


def _delete_page(form: DeleteAccountForm, refusal: Refusal | None = None) -> Response:
    user = sessions.require_user()
    form.current.flags.required = user.has_password
    shown = {
        "email": user.email,
        "is_staff": bool(user.roles),
        "has_password": user.has_password,
        "is_proven": user.has_password or sessions.is_confirmed(),
        "obstacle": delete_account.obstacle_of(user),
        "unpaid": delete_account.unpaid(user.id),
        "credit": store_credit.balances(user.id),
        "days": current_app.config["GUEST_DATA_DAYS"],
        "link_days": READABLE_AFTER_END.days,
    }
    return with_form("delete_account", form, refusal, **shown)
