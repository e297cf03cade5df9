"""The cart of an account: the same on all devices that are signed in, merged with the guest's cart at sign-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, select, update

from shop.accounts.models import User
from shop.catalogue import browse
from shop.catalogue.browse import ProductView
from shop.checkout import cart as carts
from shop.checkout.models import Cart, CartLine
from shop.core.db import db, insert, transactional
from shop.inventory import stock
from shop.orders import origins


@dataclass(frozen=True)
class Joined:
    """The cart after a sign-in. `has_more` says that it has got products that the browser's own cart did not have, and
    `is_limited` that not all units of a product could be kept.
    """

    cart_id: str
    has_more: bool = False
    is_limited: bool = False


@transactional
def join(user_id: int, guest: str | None) -> Joined | None:
    """Merge the browser's cart with that of the account, under a new id; None if there is neither.

    The new cart has the currency of the browser's cart, unless that is empty. Units of a product are added up to what
    is available. A browser that knows only the old ids (a shared browser, a planted cookie) loses access to the cart.
    """
    account = db.session.scalar(select(User.cart_id).where(User.id == user_id).with_for_update(key_share=True))
    if guest and guest != account and db.session.scalar(select(exists().where(User.cart_id == guest))):
        guest = None  # the cart of the account that was signed in on this browser before
    known = {one for one in (guest, account) if one}
    locked = select(Cart.id, Cart.currency).where(Cart.id.in_(known)).order_by(Cart.id).with_for_update()
    there = {cart.id: cart for cart in db.session.execute(locked)}
    kept, other = there.get(guest or ""), there.get(account or "")
    if kept is None or (other is not None and not _lines(kept.id)):
        kept, other = other, kept
    if kept is None:
        return None
    has_more = is_limited = False
    if other is not None and other is not kept:
        has_more, is_limited = _merge(kept, other)
        origins.carry_over(other.id, kept.id)
    new = carts.renew(kept.id)
    db.session.execute(update(User).where(User.id == user_id).values(cart_id=new))
    return Joined(new, has_more and kept.id == guest, is_limited) if new else None


@transactional
def remember(user_id: int, cart_id: str) -> None:
    """Make a new cart that of the account."""
    db.session.execute(update(User).where(User.id == user_id).values(cart_id=cart_id))


@transactional
def remove(user_id: int) -> None:
    """Delete the cart of the account."""
    cart_id = db.session.scalar(select(User.cart_id).where(User.id == user_id))
    db.session.execute(update(User).where(User.id == user_id).values(cart_id=None))
    db.session.execute(delete(CartLine).where(CartLine.cart_id == cart_id))
    db.session.execute(delete(Cart).where(Cart.id == cart_id))


def _merge(kept: Any, other: Any) -> tuple[bool, bool]:
    """Move the lines of `other` to `kept` and delete it; True if there were any, and if not all units were kept."""
    before = {line.sku: line.quantity for line in _lines(kept.id)}
    lines = _lines(other.id)
    skus = [line.sku for line in lines]
    sold, available = browse.by_skus(skus), stock.available(skus)
    is_limited = False
    for line in lines:
        wanted = min(before.get(line.sku, 0) + line.quantity, carts.MOST)
        units = max(before.get(line.sku, 0), min(wanted, carts.most_of(available.get(line.sku, 0))))
        is_limited |= units < wanted
        if units and line.sku in sold:
            _put(kept, line, units, sold[line.sku], is_same_currency=other.currency == kept.currency)
    db.session.execute(delete(CartLine).where(CartLine.cart_id == other.id))
    db.session.execute(delete(Cart).where(Cart.id == other.id))
    return bool(lines), is_limited


def _put(kept: Any, line: Any, units: int, product: ProductView, *, is_same_currency: bool) -> None:
    """Set the units of a product. A product without a price in the cart's currency is in the cart and in no total."""
    price = product.price(kept.currency).amount if product.has_price(kept.currency) else 0
    seen = line.seen_amount if is_same_currency else price
    values = {"cart_id": kept.id, "sku": line.sku, "quantity": units, "seen_amount": seen, "added_at": line.added_at}
    new = insert(CartLine).values(**values)
    db.session.execute(new.on_conflict_do_update(index_elements=["cart_id", "sku"], set_={"quantity": units}))


def _lines(cart_id: str) -> Sequence[Any]:
    lines = select(CartLine.sku, CartLine.quantity, CartLine.seen_amount, CartLine.added_at)
    return db.session.execute(lines.where(CartLine.cart_id == cart_id)).all()
