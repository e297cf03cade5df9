"""Who may call a view. Every view declares it; an architecture test walks all routes and finds the ones that do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal

from flask import Response, abort, make_response, redirect, request, url_for
from flask_login import current_user

from shop.accounts import sessions
from shop.orders import find

Who = Literal["public", "order_token", "signed_in", "staff", "bearer", "signature"]
View = Callable[..., Any]


def access(who: Who) -> Callable[[View], View]:
    """Declare and enforce who may call a view.

    `public`: anyone. `order_token`: the token in the path is the right; the view gets the order in its place, a token
    that opens nothing is 404, and what it answers is never stored. `signed_in`: guests are sent to sign in first.
    `staff` is declared by `shop.ops.access`, for views of that room alone.
    `bearer` and `signature`: the view itself proves the caller from the request, before anything else.
    """

    def declare(view: View) -> View:
        guarded = _GUARDS[who](view)
        guarded.access = who  # type: ignore[attr-defined]
        return guarded

    return declare


def _anyone(view: View) -> View:
    return view


def _holder_of_token(view: View) -> View:
    @wraps(view)
    def guarded(token: str, **values: Any) -> Response:
        order = find.by_token(token)
        if order is None:
            abort(404)
        return _not_stored(make_response(view(order, **values)))

    return guarded


def _signed_in(view: View) -> View:
    @wraps(view)
    def guarded(**values: Any) -> Any:
        if not current_user.is_authenticated and not sessions.resting():
            here = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(url_for("accounts.sign_in", next=here), 303)
        sessions.require_user()  # 503 while nobody can tell
        return _not_stored(make_response(view(**values)))

    return guarded


def _not_stored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


_GUARDS: dict[Who, Callable[[View], View]] = {
    "public": _anyone,
    "order_token": _holder_of_token,
    "signed_in": _signed_in,
    "bearer": _anyone,
    "signature": _anyone,
}
