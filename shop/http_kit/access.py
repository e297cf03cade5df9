"""Access rules of views: declared on every view and enforced here; a test finds a route that declares none.

`access` is for pages of the shop and for programs, `requires` for pages of staff.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal
from urllib.parse import urlsplit

from flask import Response, abort, current_app, flash, make_response, redirect, request, url_for
from flask_login import current_user

from shop.accounts import rights, second_factor, sessions
from shop.accounts.permissions import Permission, permissions_of
from shop.core.errors import Refusal
from shop.http_kit import bearer, confirmation
from shop.orders import find
from shop.orders.models import Order

Who = Literal["public", "order_token", "return_token", "signed_in", "bearer", "signature"]
View = Callable[..., Any]
_FOR_STAFF = "This page is for staff of the shop."


def access(who: Who, *, setting: str = "", open_in_development: bool = False) -> Callable[[View], View]:
    """Declare and enforce who may call a view.

    `public`: anyone. `order_token`: the token in the path grants access; the view gets the order in its place, an
    invalid token is 404, and the response is not cached; the customer who placed an order keeps access without a time
    limit. `return_token`: the token of the acquirer's return address; the view gets the order and must not show its
    data. `signed_in`: guests are redirected to sign in. `staff`: accounts with a role; guests are redirected to sign
    in, customers get 403, and no response is cached. `bearer`: the request carries the token in `setting`, one of
    `bearer.TOKENS`; else 401. With `open_in_development` a development shop requires none. `signature`: the view
    verifies the signature of the request before anything else.

    Raises ValueError, when the program starts, for `bearer` without a known token and for a token without `bearer`.
    """
    if (who == "bearer") != (setting in bearer.TOKENS):
        raise ValueError(f"access({who!r}, setting={setting!r}): a bearer token is one of {', '.join(bearer.TOKENS)}")

    def declare(view: View) -> View:
        guarded = _with_token(view, setting, open_in_development) if who == "bearer" else _GUARDS[who](view)
        guarded.access = who  # type: ignore[attr-defined]
        return guarded

    return declare


def requires(
    permission: Permission, *, fresh: bool = False, before_second_factor: bool = False
) -> Callable[[View], View]:
    """Declare and enforce that a view is for staff with this permission.

    Guests are redirected to sign in, all others without the permission get 403 with the reason, and no response is
    cached. With `fresh` the person confirms the password first, unless that was done within STAFF_CONFIRM_MINUTES; the
    fields of a form are kept meanwhile. While STAFF_SECOND_FACTOR requires a second factor that the person has not set
    up, only views with `before_second_factor` open.
    """

    def declare(view: View) -> View:
        @wraps(view)
        def guarded(**values: Any) -> Any:
            if _is_guest():
                return _to_sign_in()
            user = sessions.require_user()  # 503 while the user cannot be determined
            if permission not in permissions_of(user.roles):
                abort(403, rights.explanation(permission) if user.roles else _FOR_STAFF)
            if not before_second_factor and second_factor.is_required() and not second_factor.is_set_up(user):
                return _not_stored(make_response(redirect(url_for("ops.second_factor.show"), 303)))
            prompt = confirmation.before(user) if fresh else None
            return _not_stored(make_response(prompt or view(**values)))

        guarded.access = permission  # type: ignore[attr-defined]
        return guarded

    return declare


def _anyone(view: View) -> View:
    return view


def _holder_of_token(view: View) -> View:
    @wraps(view)
    def guarded(token: str, **values: Any) -> Response:
        order = find.by_token(token) or _own_order(token)
        if order is None:
            abort(404)
        return _not_stored(make_response(view(order, **values)))

    return guarded


def _own_order(token: str) -> Order | None:
    """The order of an expired token, for the customer who placed it."""
    if sessions.unavailable():
        sessions.require_user()  # 503: the user cannot be determined
    return find.by_token_of_owner(token, current_user.id) if current_user.is_authenticated else None


def _sent_by_acquirer(view: View) -> View:
    @wraps(view)
    def guarded(return_token: str, **values: Any) -> Response:
        order = find.by_return_token(return_token)
        if order is None:
            abort(404)
        return _not_stored(make_response(view(order, **values)))

    return guarded


def _signed_in(view: View) -> View:
    @wraps(view)
    def guarded(**values: Any) -> Any:
        if _is_guest():
            return _to_sign_in()
        sessions.require_user()  # 503 while the user cannot be determined
        return _not_stored(make_response(view(**values)))

    return guarded


def _is_guest() -> bool:
    return not current_user.is_authenticated and not sessions.unavailable()


def _to_sign_in() -> Response:
    if ended := sessions.ended_because():
        flash(ended)
    here = request.full_path.rstrip("?") if request.method == "GET" else _left_page()
    return _not_stored(make_response(redirect(url_for("accounts.sign_in", next=here), 303)))


def _left_page() -> str | None:
    """The page of this shop from which a form was sent, whose fields are lost; None if the browser does not name it."""
    page = urlsplit(request.referrer or "")
    if page.netloc != request.host:
        return None
    return f"{page.path}?{page.query}" if page.query else page.path


def _with_token(view: View, setting: str, open_in_development: bool) -> View:
    @wraps(view)
    def guarded(**values: Any) -> Any:
        is_open = open_in_development and current_app.config["SETTLED_ENV"] == "development"
        if not is_open and not bearer.proves(setting):
            raise Refusal("not_authorized", f"This needs {bearer.TOKENS[setting]}.")
        return view(**values)

    return guarded


def _not_stored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


_GUARDS: dict[Who, Callable[[View], View]] = {
    "public": _anyone,
    "order_token": _holder_of_token,
    "return_token": _sent_by_acquirer,
    "signed_in": _signed_in,
    "signature": _anyone,
}
