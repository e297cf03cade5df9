"""The cart. It lives in the database, so that neither a sign-out nor a Redis that is away loses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import case, delete, func, select, update

from shop.catalogue import browse
from shop.checkout.models import Cart, CartLine
from shop.core import clock, ids
from shop.core.db import db, insert, writing
from shop.core.errors import BadInput
from shop.core.money import CURRENCIES, Money
from shop.inventory import stock

MOST = 99


@dataclass(frozen=True)
class Line:
    """One product of a cart as it is now. `price_was` is what the visitor saw, when that has changed."""

    sku: str
    slug: str
    name: str
    image: str
    unit_price: Money
    quantity: int
    available: int
    price_was: Money | None

    @property
    def total(self) -> Money:
        return self.unit_price * self.quantity


@dataclass(frozen=True)
class CartView:
    """A cart, read."""

    id: str
    currency: str
    checkout_key: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Money:
        return sum((line.total for line in self.lines), Money(0, self.currency))

    @property
    def count(self) -> int:
        return sum(line.quantity for line in self.lines)

    @property
    def is_empty(self) -> bool:
        return not self.lines


def create(currency: str = CURRENCIES[0]) -> str:
    """A new cart's id."""
    _check_currency(currency)
    cart_id = ids.token()
    with writing():
        db.session.add(Cart(id=cart_id, currency=currency, checkout_key=ids.token(), changed_at=clock.now()))
    return cart_id


def load(cart_id: str | None) -> CartView:
    """The cart as it is now; an empty one when the id is not known."""
    cart = db.session.get(Cart, cart_id) if cart_id else None
    if cart is None:
        return CartView("", CURRENCIES[0], "", ())
    rows = db.session.scalars(
        select(CartLine).where(CartLine.cart_id == cart.id).order_by(CartLine.added_at, CartLine.sku)
    )
    lines = list(rows)
    products = browse.by_skus(line.sku for line in lines)
    left = stock.available(products)
    return CartView(
        cart.id,
        cart.currency,
        cart.checkout_key,
        tuple(_line(line, products[line.sku], cart.currency, left[line.sku]) for line in lines if line.sku in products),
    )


def count(cart_id: str | None) -> int:
    """How many units are in it, for the badge."""
    if not cart_id:
        return 0
    return (
        db.session.scalar(select(func.coalesce(func.sum(CartLine.quantity), 0)).where(CartLine.cart_id == cart_id)) or 0
    )


def add(cart_id: str, sku: str, quantity: int) -> None:
    """Put `quantity` more units in. Raises BadInput: `unknown_sku`, `bad_quantity`, `unknown_cart`."""
    _check_quantity(quantity, least=1)
    _put(cart_id, {sku: quantity}, add=True)


def change(cart_id: str, sku: str, quantity: int) -> None:
    """Have exactly `quantity` units in, none for 0. Raises BadInput as `add` does."""
    _check_quantity(quantity, least=0)
    if quantity == 0:
        remove(cart_id, sku)
    else:
        _put(cart_id, {sku: quantity})


def remove(cart_id: str, sku: str) -> None:
    """Take a product out. Harmless when it is not in."""
    with writing():
        _touch(cart_id)
        db.session.execute(delete(CartLine).where(CartLine.cart_id == cart_id, CartLine.sku == sku))


def put_back(cart_id: str, wanted: Iterable[tuple[str, int]]) -> None:
    """Put the lines of an earlier order in again, as far as the shop still has such products."""
    quantities = dict(wanted)
    known = browse.by_skus(quantities)
    _put(cart_id, {sku: quantities[sku] for sku in known})


def set_currency(cart_id: str, currency: str) -> None:
    """Show and pay the cart in another currency."""
    _check_currency(currency)
    with writing():
        db.session.execute(update(Cart).where(Cart.id == cart_id).values(currency=currency))
        _see_prices(cart_id)


def accept_prices(cart_id: str) -> None:
    """The visitor has seen what has become dearer or cheaper."""
    with writing():
        _touch(cart_id)
        _see_prices(cart_id)


def hold(cart_id: str) -> None:
    """Nobody else changes the cart until the caller's unit ends."""
    db.session.execute(select(Cart.id).where(Cart.id == cart_id).with_for_update())


def _line(line: CartLine, product: browse.Product, currency: str, left: int) -> Line:
    price = product.price(currency)
    was = Money(line.seen_amount, currency) if line.seen_amount != price.amount else None
    return Line(product.sku, product.slug, product.name, product.image, price, line.quantity, left, was)


def _put(cart_id: str, quantities: dict[str, int], *, add: bool = False) -> None:
    with writing():
        products = browse.by_skus(quantities)
        missing = set(quantities) - set(products)
        if missing:
            raise BadInput("unknown_sku", "We do not sell that.", sku=sorted(missing)[0])
        currency = _touch(cart_id)
        if currency is None:
            raise BadInput("unknown_cart", "This cart is no longer there.")
        for sku, quantity in quantities.items():
            seen = products[sku].price(currency).amount
            values = {
                "cart_id": cart_id,
                "sku": sku,
                "quantity": quantity,
                "seen_amount": seen,
                "added_at": clock.now(),
            }
            more = CartLine.quantity + quantity
            then = case((more > MOST, MOST), else_=more) if add else quantity
            db.session.execute(
                insert(CartLine)
                .values(**values)
                .on_conflict_do_update(index_elements=["cart_id", "sku"], set_={"quantity": then, "seen_amount": seen})
            )


def _touch(cart_id: str) -> str | None:
    """Note the change and return the cart's currency, None when there is no such cart.

    Comes before the lines are touched: whoever changes a cart or places it has its row first.
    """
    touched = update(Cart).where(Cart.id == cart_id).values(changed_at=clock.now())
    return db.session.scalar(touched.returning(Cart.currency))


def _see_prices(cart_id: str) -> None:
    cart = db.session.get(Cart, cart_id)
    if cart is None:
        return
    lines = list(db.session.scalars(select(CartLine).where(CartLine.cart_id == cart_id)))
    products = browse.by_skus(line.sku for line in lines)
    for line in lines:
        line.seen_amount = products[line.sku].price(cart.currency).amount


def _check_quantity(quantity: int, least: int) -> None:
    if not least <= quantity <= MOST:
        raise BadInput("bad_quantity", f"Please choose a quantity between {least} and {MOST}.")


def _check_currency(currency: str) -> None:
    if currency not in CURRENCIES:
        raise BadInput("unknown_currency", f"We sell in {', '.join(CURRENCIES)}.")
