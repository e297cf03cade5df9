"""Confirmation of the password before sensitive acts of staff.

A form that was sent too long after the last confirmation is answered with a page that asks for the password and sends
the form again with it, so nothing that was typed is lost, except for chosen files.
"""

from __future__ import annotations

from flask import Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from shop.accounts import credentials, sessions
from shop.accounts.models import User
from shop.core.errors import Refusal
from shop.http_kit import device

FIELD = "confirm_password"
"""Field of the password in a form that is sent again."""
_OWN_FIELDS = (FIELD, "csrf_token")


def before(user: User) -> BaseResponse | None:
    """The page to show before a sensitive act; None when the password was confirmed lately, or with this request."""
    if sessions.is_confirmed():
        return None
    if request.method == "GET":
        return redirect(url_for("ops.confirm.show", next=request.full_path.rstrip("?")), 303)
    if FIELD not in request.form:
        return page(user, 401)
    refusal = checked(user, request.form[FIELD])
    return page(user, refusal.status, refusal) if refusal else None


def checked(user: User, password: str) -> Refusal | None:
    """Confirm the password of this sign-in; the refusal if it is wrong."""
    origin = credentials.Origin(request.remote_addr or "", device.here())
    try:
        credentials.confirm_password(user.id, password, origin)
    except Refusal as refusal:
        return refusal
    return None


def page(user: User, status: int, refusal: Refusal | None = None) -> Response:
    """Page with a form for the password that sends the fields of this request again."""
    kept = [(name, value) for name, value in request.form.items(multi=True) if name not in _OWN_FIELDS]
    has_files = any(file.filename for file in request.files.values())
    values = {"email": user.email, "kept": kept, "has_files": has_files, "field": FIELD}
    response = make_response(render_template("ops/confirm.html", refusal=refusal, **values), status)
    if retry_after := getattr(refusal, "retry_after", None):
        response.headers["Retry-After"] = str(retry_after)
    return response
