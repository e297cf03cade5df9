"""Read and change carts. Carts are stored in the database, so a sign-out or an outage of Redis does not lose them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, bindparam, delete, exists, func, join, literal, select, update

from shop.catalogue import browse, pictures
from shop.catalogue.models import Product
from shop.checkout.cart_view import CartView, Line, Summary, UnpricedLine
from shop.checkout.models import Cart, CartLine
from shop.core import clock, ids
from shop.core.db import db, insert, table, transaction, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.languages import ENGLISH, text_in
from shop.core.money import CURRENCIES, Money
from shop.core.sentences import sentence
from shop.inventory import stock
from shop.inventory.models import Stock
from shop.orders import origins
from shop.pricing.models import DeliveryMethod

_CARTS, _LINES, _PRODUCTS, _STOCK = table(Cart), table(CartLine), table(Product), table(Stock)
_LINE = (
    _LINES.c.sku,
    _LINES.c.quantity,
    _LINES.c.seen_amount,
    _PRODUCTS.c.slug,
    _PRODUCTS.c.name,
    _PRODUCTS.c.image,
    _PRODUCTS.c.images,
    _PRODUCTS.c.prices,
    _PRODUCTS.c.texts,
    _PRODUCTS.c.tax_class,
    _PRODUCTS.c.archived_at,
    (_STOCK.c.on_hand - _STOCK.c.reserved).label("available"),
)
_HAS_METHODS = exists(select(DeliveryMethod.key)).label("has_methods")
_CART_WITH_LINES = (
    select(_CARTS.c.id, _CARTS.c.currency, _CARTS.c.checkout_key, _HAS_METHODS, *_LINE)
    .select_from(_CARTS)
    .outerjoin(join(_LINES, _PRODUCTS, _PRODUCTS.c.sku == _LINES.c.sku), _LINES.c.cart_id == _CARTS.c.id)
    .outerjoin(_STOCK, _STOCK.c.sku == _LINES.c.sku)
    .where(_CARTS.c.id == bindparam("cart"))
    .order_by(_LINES.c.added_at, _LINES.c.sku)
)
_SUMMARY = (
    select(_CARTS.c.currency, func.coalesce(func.sum(_LINES.c.quantity), 0).label("units"))
    .outerjoin_from(_CARTS, _LINES, _LINES.c.cart_id == _CARTS.c.id)
    .where(_CARTS.c.id == bindparam("cart"))
    .group_by(_CARTS.c.currency)
)
MOST = 99
"""Units of one product in a cart."""


class TooMany(BadInput):
    """More than `most` units of a product were requested. `there` units are in the cart."""

    def __init__(self, sku: str, there: int, most: int) -> None:
        super().__init__(
            "too_many",
            sentence("You can order at most %(most)d of this product.", most=most),
            sku=sku,
            there=there,
            most=most,
        )
        self.there, self.most = there, most


class QuantityChanged(Refusal):
    """The cart contains `there` units of the product, not the quantity that the page showed."""

    def __init__(self, sku: str, there: int) -> None:
        super().__init__(
            "cart_changed",
            sentence("Your cart has changed since you opened this page. Check it and try again."),
            sku=sku,
            there=there,
        )
        self.there = there


@dataclass(frozen=True)
class AddedAgain:
    """Lines of an earlier order that are not in the cart in full: no longer sold, without a price in the cart's
    currency, or limited. `limited` maps a SKU to the units in the cart and the most that the cart may contain: MOST, or
    the units that are available.
    """

    not_sold: frozenset[str]
    not_in_currency: frozenset[str]
    limited: Mapping[str, tuple[int, int]]


@transactional
def create(currency: str = CURRENCIES[0], browser: str = "") -> str:
    """Create a cart and return its id. `browser` is the seed in the browser's cookie; the same seed gives the same
    cart.
    """
    _check_currency(currency)
    cart_id = ids.named_by("cart", browser) if browser else ids.token()
    values = {"id": cart_id, "currency": currency, "checkout_key": ids.token(), "changed_at": clock.now()}
    db.session.execute(insert(Cart).values(**values).on_conflict_do_nothing(index_elements=["id"]))
    return cart_id


def load(cart_id: str | None, language: str = ENGLISH) -> CartView:
    """The current cart, with the names of its products in `language`; an empty one if the id is unknown."""
    rows = db.session.execute(_CART_WITH_LINES, {"cart": cart_id}).all() if cart_id else ()
    if not rows:
        return CartView("", CURRENCIES[0], "", ())
    cart = rows[0]
    found = view(cart.id, cart.currency, cart.checkout_key, [row for row in rows if row.sku], language)
    return replace(found, has_delivery_methods=cart.has_methods)


def select_lines() -> Select[Any]:
    """Lines of the cart `:cart` with their products and stock, for `view`."""
    return (
        select(*_LINE)
        .select_from(join(_LINES, _PRODUCTS, _PRODUCTS.c.sku == _LINES.c.sku))
        .outerjoin(_STOCK, _STOCK.c.sku == _LINES.c.sku)
        .where(_LINES.c.cart_id == bindparam("cart"))
        .order_by(_LINES.c.added_at, _LINES.c.sku)
    )


def view(cart_id: str, currency: str, checkout_key: str, rows: Sequence[Any], language: str = ENGLISH) -> CartView:
    """The cart with the lines of `select_lines`, at current prices, with names in `language`."""
    return CartView(
        cart_id,
        currency,
        checkout_key,
        tuple(_line(row, currency, language) for row in rows if _is_sold(row, currency)),
        tuple(_unpriced(row, currency, language) for row in rows if not _is_sold(row, currency)),
    )


def summary(cart_id: str | None) -> Summary | None:
    """Currency and number of units of the cart, for the page header; None if the id is unknown."""
    row = db.session.execute(_SUMMARY, {"cart": cart_id}).one_or_none() if cart_id else None
    return Summary(row.currency, row.units) if row else None


def add(cart_id: str, sku: str, quantity: int, *, most: int = MOST) -> int:
    """Add `quantity` units and return the new quantity. Raises BadInput: `unknown_sku`, `bad_quantity`, `too_many` for
    more than `most` in all, `unknown_cart`; and NotSoldIn.
    """
    _check_quantity(quantity, least=1)
    with _changing(cart_id) as (currency, there):
        total = there.get(sku, 0) + quantity
        if total > MOST:
            raise TooMany(sku, there.get(sku, 0), MOST)
        _put(cart_id, currency, {sku: total})
        if total > most:  # after `_put`, which refuses an unknown SKU
            raise TooMany(sku, there.get(sku, 0), most)
    return total


def change(cart_id: str, sku: str, quantity: int, *, seen: int | None = None, most: int = MOST) -> int:
    """Set the quantity of a product, 0 removes it, and return the previous quantity. Safe to repeat.

    Raises BadInput as `add` does, and QuantityChanged when the cart contains neither `quantity` nor `seen` units.
    """
    _check_quantity(quantity, least=0)
    with _changing(cart_id) as (currency, there):
        before = there.get(sku, 0)
        if seen is not None and before not in (seen, quantity):
            raise QuantityChanged(sku, before)
        if quantity:
            _put(cart_id, currency, {sku: quantity})
        else:
            _delete_line(cart_id, sku)
        if quantity > most:
            raise TooMany(sku, before, most)
    return before


@transactional
def remove(cart_id: str, sku: str) -> int:
    """Remove a product and return its previous quantity. No effect when the cart does not contain it."""
    _touch(cart_id)
    before = _quantities(cart_id).get(sku, 0)
    _delete_line(cart_id, sku)
    return before


def add_again(cart_id: str, wanted: Iterable[tuple[str, int]], form_id: str = "") -> AddedAgain:
    """Add the lines of an earlier order, as far as the shop sells the products in the cart's currency, up to MOST units
    of each and not more than are available. Never reduces a quantity of the cart.

    `form_id` is the id of the submitted form: a form that is submitted twice in a row adds once. Raises BadInput
    `unknown_cart`.
    """
    lines = dict(wanted)
    sold = browse.by_skus(lines)
    with transaction():
        _lock(cart_id)
        is_repeated = bool(form_id) and form_id == db.session.scalar(
            select(Cart.last_form_id).where(Cart.id == cart_id)
        )
        with _changing(cart_id, form_id) as (currency, there):
            not_in_currency = frozenset(sku for sku, product in sold.items() if not product.has_price(currency))
            limits = {sku: most_of(left) for sku, left in stock.available(sold.keys() - not_in_currency).items()}
            before = {sku: there.get(sku, 0) for sku in limits}
            requested = {sku: units + (1 if is_repeated else lines[sku]) for sku, units in before.items()}
            allowed = {sku: max(before[sku], min(requested[sku], limits[sku])) for sku in before}
            after = before if is_repeated else allowed
            _put(cart_id, currency, {sku: units for sku, units in after.items() if units})
    return AddedAgain(
        not_sold=frozenset(lines.keys() - sold.keys()),
        not_in_currency=not_in_currency,
        limited={sku: (after[sku], most) for sku, most in limits.items() if requested[sku] > most},
    )


def most_of(available: int) -> int:
    """Units of a product that a cart may contain when `available` units are in stock."""
    return max(0, min(available, MOST))


@transactional
def set_currency(cart_id: str, currency: str) -> None:
    """Set the cart's currency. Raises NotSoldIn when a product of the cart has no price in it."""
    _check_currency(currency)
    _lock(cart_id)
    for product in browse.by_skus(_quantities(cart_id)).values():
        product.price(currency)
    db.session.execute(update(Cart).where(Cart.id == cart_id).values(currency=currency))
    _see_prices(cart_id)


@transactional
def accept_prices(cart_id: str, terms: str = "") -> None:
    """Accept the current prices for the visitor. Raises Refusal `cart_changed` when `terms` is not the digest of the
    cart's current terms.
    """
    _touch(cart_id)
    if terms and load(cart_id).terms.digest != terms:
        raise Refusal(
            "cart_changed", sentence("Your cart has changed since you opened this page. Check it and try again.")
        )
    _see_prices(cart_id)


@transactional
def renew(cart_id: str) -> str | None:
    """Move the cart to a new id and a new checkout key, and return the id; None when there is no such cart.

    Other browsers that know the old id (a shared browser, a planted cookie) lose access to the cart.
    """
    renewed = {"id": literal(ids.token()), "checkout_key": literal(ids.token())}
    _lock(cart_id)
    columns = Cart.__table__.columns
    copied = select(*(renewed.get(column.name, column) for column in columns)).where(Cart.id == cart_id)
    new_id: str | None = db.session.scalar(
        insert(Cart).from_select([c.name for c in columns], copied).returning(Cart.id)
    )
    if new_id is None:
        return None
    db.session.execute(update(CartLine).where(CartLine.cart_id == cart_id).values(cart_id=new_id))
    db.session.execute(delete(Cart).where(Cart.id == cart_id))
    origins.carry_over(cart_id, new_id)
    return new_id


def _lock(cart_id: str) -> None:
    """Lock the cart row until the transaction ends."""
    db.session.execute(select(Cart.id).where(Cart.id == cart_id).with_for_update())


def _is_sold(row: Any, currency: str) -> bool:
    return row.archived_at is None and currency in row.prices


def _unpriced(row: Any, currency: str, language: str) -> UnpricedLine:
    return UnpricedLine(row.sku, row.slug, _name(row, language), _image(row), row.quantity, currency)


def _name(row: Any, language: str) -> str:
    return text_in(row.texts, language, "name", row.name)


def _image(row: Any) -> str:
    return pictures.main(row.image, row.images)


def _line(row: Any, currency: str, language: str) -> Line:
    price = Money(row.prices[currency], currency)
    was = Money(row.seen_amount, currency) if row.seen_amount != price.amount else None
    shown = (row.sku, row.slug, _name(row, language), _image(row), price)
    return Line(*shown, row.quantity, row.available or 0, was, row.tax_class)


@contextmanager
def _changing(cart_id: str, form_id: str | None = None) -> Iterator[tuple[str, dict[str, int]]]:
    """Lock the cart for the block; gives its currency and its quantities by SKU. Raises BadInput `unknown_cart`."""
    with transaction():
        currency = _touch(cart_id, form_id)
        if currency is None:
            raise BadInput("unknown_cart", sentence("This cart no longer exists."))
        yield currency, _quantities(cart_id)


def _quantities(cart_id: str) -> dict[str, int]:
    found = db.session.execute(select(CartLine.sku, CartLine.quantity).where(CartLine.cart_id == cart_id))
    return {row.sku: row.quantity for row in found}


def _put(cart_id: str, currency: str, quantities: dict[str, int]) -> None:
    products = browse.by_skus(quantities)
    missing = set(quantities) - set(products)
    if missing:
        raise BadInput("unknown_sku", sentence("We do not sell this product."), sku=sorted(missing)[0])
    for sku, quantity in quantities.items():
        then = {"quantity": quantity, "seen_amount": products[sku].price(currency).amount}
        db.session.execute(
            insert(CartLine)
            .values(cart_id=cart_id, sku=sku, added_at=clock.now(), **then)
            .on_conflict_do_update(index_elements=["cart_id", "sku"], set_=then)
        )


def _delete_line(cart_id: str, sku: str) -> None:
    db.session.execute(delete(CartLine).where(CartLine.cart_id == cart_id, CartLine.sku == sku))


def _touch(cart_id: str, form_id: str | None = None) -> str | None:
    """Record the change and return the cart's currency, None when there is no such cart.

    Call it before the lines are changed: every change of a cart, and order placing, locks the cart's row first.
    """
    touched = update(Cart).where(Cart.id == cart_id).values(changed_at=clock.now(), last_form_id=form_id or None)
    return db.session.scalar(touched.returning(Cart.currency))


def _see_prices(cart_id: str) -> None:
    cart = db.session.get(Cart, cart_id)
    if cart is None:
        return
    lines = list(db.session.scalars(select(CartLine).where(CartLine.cart_id == cart_id)))
    products = browse.by_skus(line.sku for line in lines)
    for line in lines:
        product = products.get(line.sku)
        if product is not None and product.has_price(cart.currency):
            line.seen_amount = product.price(cart.currency).amount


def _check_quantity(quantity: int, least: int) -> None:
    if not least <= quantity <= MOST:
        raise BadInput(
            "bad_quantity", sentence("Enter a whole number from %(least)d to %(most)d.", least=least, most=MOST)
        )


def _check_currency(currency: str) -> None:
    if currency not in CURRENCIES:
        raise BadInput("unknown_currency", sentence("Choose a currency from the list."))
