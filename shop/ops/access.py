"""Who may use a view of staff."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import abort, make_response, redirect, request, url_for
from flask_login import current_user

from shop.accounts import sessions
from shop.accounts.models import ROLES

View = Callable[..., Any]


def staff(view: View) -> View:
    """Only for accounts with one of ROLES. Guests are sent to sign in, customers get 403, and no answer is stored."""

    @wraps(view)
    def guarded(**values: Any) -> Any:
        if not current_user.is_authenticated and not sessions.resting():
            here = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(url_for("accounts.sign_in", next=here), 303)
        user = sessions.require_user()  # 503 while nobody can tell
        if not set(user.roles) & set(ROLES):
            abort(403)
        response = make_response(view(**values))
        response.headers["Cache-Control"] = "no-store"
        return response

    guarded.access = "staff"  # type: ignore[attr-defined]
    return guarded
