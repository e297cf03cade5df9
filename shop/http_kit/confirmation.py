"""Confirmation by password or passkey before sensitive acts of staff.

A form that was sent too long after the last confirmation is answered with a page that asks for the password, or a
passkey, and sends the form again with it, so nothing that was typed is lost, except for chosen files. A form is at most
as large as a request (`request_guard.LARGEST_BODY`).
"""

from __future__ import annotations

from flask import Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from shop.accounts import credentials, passkeys, sessions
from shop.accounts.models import User
from shop.core.errors import Refusal
from shop.http_kit import device

FIELD = "confirm_password"
"""Field of the password in a form that is sent again."""
PASSKEY = "confirm_passkey"
"""Field of a passkey's answer in its place."""
_OWN_FIELDS = (FIELD, PASSKEY, "csrf_token")


def before(user: User) -> BaseResponse | None:
    """The page to show before a sensitive act; None when the person has confirmed lately, or with this request."""
    if sessions.is_confirmed():
        return None
    if request.method == "GET":
        return redirect(url_for("ops.confirm.show", next=request.full_path.rstrip("?")), 303)
    if FIELD not in request.form and PASSKEY not in request.form:
        return page(user, 401)
    refusal = checked(user)
    return page(user, refusal.status, refusal) if refusal else None


def checked(user: User) -> Refusal | None:
    """Confirm this sign-in by the passkey or the password in the form; the refusal if it is wrong."""
    ip = request.remote_addr or ""
    try:
        if request.form.get(PASSKEY):
            passkeys.confirm(user.id, request.form[PASSKEY], ip)
        else:
            password = request.form.get(FIELD, "")
            credentials.confirm_password(user.id, password, credentials.Origin(ip, device.here()))
    except Refusal as refusal:
        return refusal
    return None


def page(user: User, status: int, refusal: Refusal | None = None) -> Response:
    """Page with forms for the password and a passkey that send the fields of this request again."""
    kept = [(name, value) for name, value in request.form.items(multi=True) if name not in _OWN_FIELDS]
    has_files = any(file.filename for file in request.files.values())
    values = {"email": user.email, "kept": kept, "has_files": has_files, "field": FIELD, "passkey_field": PASSKEY}
    values |= {"has_passkey": bool(passkeys.of_user(user.id)), "by_passkey": bool(request.form.get(PASSKEY))}
    response = make_response(render_template("ops/confirm.html", refusal=refusal, **values), status)
    if retry_after := getattr(refusal, "retry_after", None):
        response.headers["Retry-After"] = str(retry_after)
    return response
