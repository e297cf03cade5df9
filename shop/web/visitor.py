"""What the cookie says about whoever looks: which cart is theirs, and in which currency they think."""

from __future__ import annotations

from flask import session
from flask_babel import get_locale

from shop.checkout import cart
from shop.checkout.cart import CartView

_CURRENCY_OF = {"ja": "JPY"}
HOME_CURRENCY = "TWD"


def my_cart() -> CartView:
    """The visitor's cart; an empty one when there is none yet."""
    return cart.load(_known())


def cart_id(new_in: str = "") -> str:
    """The visitor's cart id. A cart is made when there is none yet, in `new_in` or the visitor's currency, so this is
    only for requests that change it."""
    known = my_cart().id
    if not known:
        known = session["cart"] = cart.create(new_in or currency())
    return known


def cart_count() -> int:
    """How many units are in the visitor's cart."""
    return cart.count(_known())


def currency() -> str:
    """ISO code in which prices are shown: that of the cart, else the one of the visitor's language."""
    view = my_cart()
    if view.id:
        return view.currency
    return _CURRENCY_OF.get(getattr(get_locale(), "language", ""), HOME_CURRENCY)


def _known() -> str | None:
    known = session.get("cart")
    return known if isinstance(known, str) else None
