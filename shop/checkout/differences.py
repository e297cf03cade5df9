"""Differences between a cart and the page that showed it, with product names and money."""

from __future__ import annotations

from dataclasses import dataclass

from shop.catalogue import browse
from shop.checkout import agreement
from shop.checkout.cart_view import CartView
from shop.core.money import Money

CHARGES = frozenset({"delivery", "method", "discount", "tax"})
"""Kinds of changes that are not about a line of the cart."""


@dataclass(frozen=True)
class Difference:
    """A change for display: the kind of the `agreement.Change`, the product's name, and the values before and now."""

    kind: str
    name: str
    before: Money | int | str
    now: Money | int | str


def differences(cart: CartView, shown: agreement.Terms | None, now: agreement.Terms) -> list[Difference]:
    """Differences of the terms from those that a page showed, and prices that changed since the product was added to
    the cart.
    """
    found = agreement.changes(shown, now) if shown else []
    reported = {change.sku for change in found if change.kind == "price"}
    names = {sku: product.name for sku, product in browse.by_skus({c.sku for c in found if c.sku}).items()}
    repriced = [
        Difference("price", line.name, line.price_was, line.unit_price)
        for line in cart.lines
        if line.price_was and line.sku not in reported
    ]
    return [_named(change, cart, shown, names) for change in found if not change.sku or change.sku in names] + repriced


def _named(
    change: agreement.Change, cart: CartView, shown: agreement.Terms | None, names: dict[str, str]
) -> Difference:
    if change.kind == "currency":
        return Difference("currency", "", shown.currency if shown else "", cart.currency)
    if not change.sku:
        return Difference(change.kind, "", Money(change.before, cart.currency), Money(change.now, cart.currency))
    name = names[change.sku]
    if change.kind == "price":
        return Difference("price", name, Money(change.before, cart.currency), Money(change.now, cart.currency))
    return Difference(change.kind, name, change.before, change.now)
