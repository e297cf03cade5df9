"""Visitor: the cart and currency of the browser's cookie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flask import Response, after_this_request, current_app, flash, g, request, session
from flask_babel import get_locale, gettext
from flask_login import current_user
from limits import RateLimitItemPerMinute

from shop.accounts import sessions
from shop.accounts.models import User
from shop.checkout import account_cart, cart
from shop.checkout.cart_view import CartView, Summary
from shop.core import rate_limit
from shop.core.client_address import client_network
from shop.http_kit.request_guard import TooMany
from shop.http_kit.translation import locale_name
from shop.orders import origins
from shop.orders.models import Order

T = TypeVar("T")
_CURRENCY_OF = {"ja": "JPY"}
HOME_CURRENCY = "TWD"
NEW_CARTS = RateLimitItemPerMinute(60)
"""New carts per minute from one client network, which may be a whole office."""


def my_cart() -> CartView:
    """The visitor's cart; an empty one if there is none yet."""
    return _once("cart", lambda: cart.load(known_cart(), locale_name()))


def cart_id(new_in: str = "") -> str:
    """The visitor's cart id. Creates a cart in the currency `new_in` or the visitor's if there is none, so call it only
    in requests that change the cart.
    """
    known = known_cart()
    if known is None or _summary() is None:
        known = session["cart"] = _new_cart(new_in or currency())
        if current_user.is_authenticated:
            account_cart.remember(current_user.id, known)
    return known


def _new_cart(currency: str) -> str:
    """Create a cart for this browser; the same cookie gives the same cart. Raises TooMany when the client network
    exceeds NEW_CARTS.
    """
    if current_app.config.get("RATE_LIMITS", True):
        network = client_network(request.remote_addr)
        if not rate_limit.allowed(NEW_CARTS, "new cart", network):
            raise TooMany
    return cart.create(currency, session.get("csrf_token") or "")


def cart_count() -> int:
    """The number of units in the visitor's cart."""
    summary = _summary()
    return summary.units if summary else 0


def currency() -> str:
    """ISO code of the displayed prices: the cart's currency, else the one of the visitor's language."""
    summary = _summary()
    if summary:
        return summary.currency
    return _CURRENCY_OF.get(getattr(get_locale(), "language", ""), HOME_CURRENCY)


def sign_in(user: User) -> None:
    """Sign `user` in on this browser. Its cart is merged with that of the account; everything else in the cookie is
    replaced, so that a browser with the old cookie shares neither cart nor forms. Raises Away when Redis is
    unavailable.
    """
    sessions.start(user)
    _remove_seed()
    guest = session.pop("cart", None)
    joined = account_cart.join(user.id, guest if isinstance(guest, str) else None)
    if joined is None:
        return
    session["cart"] = joined.cart_id
    if joined.has_more:
        flash(gettext("Your cart now also contains the items from your earlier visit."))
    if joined.is_limited:
        flash(gettext("Some items are no longer available in the quantity that you had chosen."))


def renew_cart(user_id: int) -> None:
    """Give the cart of the account a new id, which devices that are signed out from here do not know."""
    if joined := account_cart.join(user_id, None):
        session["cart"] = joined.cart_id


def sign_out() -> None:
    """Sign out this browser. Its cart and its open forms are no longer usable."""
    sessions.end()
    session.pop("cart", None)
    session.pop("_flashes", None)  # messages for the signed-out user
    session.pop("draft", None)  # the values entered in the checkout
    _remove_seed()


def _remove_seed() -> None:
    """Remove the CSRF seed; the next form gets a new one."""
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)


def user_id() -> int | None:
    """The account of a visitor who is signed in."""
    return current_user.id if current_user.is_authenticated else None


def own_unpaid() -> Sequence[Order]:
    """The visitor's own orders that wait for a payment, newest first. A page that shows them is not cached."""
    found = origins.own_unpaid(known_cart(), user_id())
    if found:
        after_this_request(_not_stored)
    return found


def _not_stored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _summary() -> Summary | None:
    """Summary of the visitor's cart, taken from the loaded cart if the request has one; None without a cart."""
    if (view := _read().get(("cart", known_cart()))) is not None:
        return Summary(view.currency, view.units) if view.id else None
    return _once("summary", lambda: cart.summary(known_cart()))


def _once(name: str, read: Callable[[], T]) -> T:
    """Result of `read` for the visitor's cart, cached for the duration of a GET or HEAD request."""
    if request.method not in ("GET", "HEAD"):
        return read()
    there, key = _read(), (name, known_cart())
    if key not in there:
        there[key] = read()
    found: T = there[key]
    return found


def _read() -> dict[tuple[str, str | None], Any]:
    """Cache of this request's carts, by kind and cart id. Stored in the request, because `g` may outlive it."""
    found: dict[tuple[str, str | None], Any] = request.environ.setdefault("settled.carts", {})
    return found


def known_cart() -> str | None:
    """The id of the account's cart, for a guest that in the cookie."""
    known = current_user.cart_id if current_user.is_authenticated else None
    known = known or session.get("cart")
    return known if isinstance(known, str) else None
