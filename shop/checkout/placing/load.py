"""Load the snapshot for order placing: lock the cart under its checkout key, then one SELECT."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, select, true, update

from shop.checkout import cart as carts
from shop.checkout import unpaid_orders
from shop.checkout.models import Cart
from shop.checkout.placing.request import Request
from shop.checkout.placing.snapshot import Earlier, Snapshot
from shop.checkout.unpaid_limits import Amount, CountedBy
from shop.checkout.unpaid_orders import Client
from shop.core import clock, ids
from shop.core.db import db, table
from shop.ledger import store_credit
from shop.orders import origins
from shop.orders.models import Order
from shop.pricing import load as pricing

_CARTS, _ORDERS = table(Cart), table(Order)
_CLAIM = (
    update(_CARTS)
    .where(_CARTS.c.id == bindparam("cart"), _CARTS.c.checkout_key == bindparam("key"))
    .values(checkout_key=bindparam("next_key"), changed_at=bindparam("at"), last_form_id=None)
    .returning(_CARTS.c.currency)
)
_EARLIER = select(_ORDERS.c.id, _ORDERS.c.form_digest).where(
    _ORDERS.c.checkout_key == bindparam("key"), _ORDERS.c.id.in_(origins.placed_by(bindparam("visitor")))
)


def load(request: Request, client: Client) -> Snapshot:
    """Return the snapshot for the current transaction.

    The conditional UPDATE on the checkout key locks the cart and gives it the key of its next order: of two forms with
    one key, the second finds the order of the first. It is rolled back with the transaction when the form is refused.
    """
    cart_id, key = client.visitor, request.shown.key
    currency = _claim(key, client)
    if currency is None:
        cart = carts.load(cart_id, request.customer.locale)
        return Snapshot(replace(cart, checkout_key=""), _earlier(cart_id, key))
    rows = db.session.execute(
        _lines_and_reserved(client.counted_by, client.user_id is not None),
        {
            "cart": cart_id,
            "visitor": client.visitor,
            "user": client.user_id,
            "email": client.email,
            "network": client.network,
            "currency": currency,
        },
    ).all()
    cart = carts.view(cart_id, currency, key, rows, request.customer.locale)
    reserved = {
        name: Amount(*(int(getattr(rows[0], f"{name}_{what}")) for what in ("orders", "units", "value")))
        for name in client.counted_by
        if rows
    }
    free = store_credit.available(client.user_id, currency).amount if request.credit else 0
    return Snapshot(cart, None, reserved, free, pricing.rules(request.choices, currency))


def _claim(key: str, client: Client) -> str | None:
    """Lock the cart and return its currency, None when no cart has this key. Also locks the names by which the client's
    orders are counted.
    """
    values = {"cart": client.visitor, "key": key, "next_key": ids.token(), "at": clock.now()}
    found = db.session.execute(_CLAIM.returning(*unpaid_orders.lock_columns(client)), values).first()
    return None if found is None else str(found[0])


def _earlier(cart_id: str, key: str) -> Earlier | None:
    """The order that this browser has placed with this checkout key. Orders of other browsers are not found."""
    row = db.session.execute(_EARLIER, {"key": key, "visitor": cart_id}).one_or_none() if cart_id else None
    return None if row is None else Earlier(row.id, row.form_digest)


@cache
def _lines_and_reserved(counted_by: tuple[CountedBy, ...], signed_in: bool) -> Select[Any]:
    """SELECT of the cart's lines with products, stock, and the client's reserved totals."""
    statement = carts.select_lines()
    for name in counted_by:
        counted = unpaid_orders.reserved(name, signed_in=signed_in)
        columns = [column.label(f"{name}_{column.key}") for column in counted.c]
        statement = statement.add_columns(*columns).join(counted, true())
    return statement
