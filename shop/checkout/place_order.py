"""Place an order: load, decide and write in one transaction, then start the payment at its provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from flask import current_app
from sqlalchemy import select

from shop.checkout import agreement, saga, unpaid_orders
from shop.checkout import cart as carts
from shop.checkout.placing.decide import Repeated, decide
from shop.checkout.placing.load import load
from shop.checkout.placing.request import Customer, Request
from shop.checkout.placing.snapshot import Rules
from shop.checkout.placing.write import Written, write
from shop.checkout.saga_states import PAY_LATER
from shop.checkout.unpaid_limits import TooManyUnpaid
from shop.checkout.unpaid_orders import Client
from shop.core import clock, email_address
from shop.core.client_address import UNKNOWN
from shop.core.db import db, transactional
from shop.core.errors import Refusal
from shop.orders import origins
from shop.orders.models import Order
from shop.payments.calls import request as requests
from shop.payments.providers import registry
from shop.pricing import codes
from shop.pricing import load as pricing
from shop.pricing.decide import Choices, quote

T = TypeVar("T")


@dataclass(frozen=True)
class Placed:
    """The order that a form has placed, now or before. `token` gives access to it."""

    id: int
    token: str


def place_order(
    cart_id: str,
    customer: Customer,
    provider: str,
    shown: agreement.Shown,
    *,
    credit: int = 0,
    delivery: str = "",
    code: str = "",
    network: str = UNKNOWN,
) -> Placed:
    """Turn the cart into an order, reserve its stock and start its payment; repeating the form returns the same order.

    `shown` are the values of the page that the form sends back: only those terms are ordered. `credit` is the store
    credit to use, in minor units of the cart's currency; at most the total is used, and no payment is started if it
    covers the total. `delivery` is the key of a delivery method, empty for the first one; `code` is a discount code as
    typed. Raises the Refusal of `placing.decide`; the cart is then unchanged. If the provider fails, the order still
    exists and its page shows the state of the payment. `network` is the client's network as `client_network` returns
    it.
    """
    request = Request(customer, provider, shown, credit, delivery, codes.normal(code))
    result = _noting_refusals(network, lambda: _place(cart_id, request, network))
    if isinstance(result, Repeated):
        token = db.session.execute(select(Order.token).where(Order.id == result.order_id)).scalar_one()
        return Placed(result.order_id, token)
    saga.start(result.order_id, provider, result.payment, requests.return_url(result.number, result.token))
    return Placed(result.order_id, result.token)


def place_items(
    items: Mapping[str, int],
    currency: str,
    customer: Customer,
    *,
    delivery: str = "",
    code: str = "",
    network: str = UNKNOWN,
    created: Callable[[int], None] = lambda _order_id: None,
) -> Placed:
    """Place an order for these units by SKU, at the present prices, and start no payment: the customer chooses later.

    `created` is called with the order's id in the transaction that writes it. Raises what `place_order` and `cart.add`
    raise; then nothing is written.
    """
    choices = Choices(customer.country, delivery, codes.normal(code), customer.locale)
    written = _noting_refusals(network, lambda: _place_items(items, currency, customer, choices, network, created))
    saga.start(written.order_id, PAY_LATER, None, "")
    return Placed(written.order_id, written.token)


@transactional
def _place_items(
    items: Mapping[str, int],
    currency: str,
    customer: Customer,
    choices: Choices,
    network: str,
    created: Callable[[int], None],
) -> Written:
    """Fill a cart and place its order in one transaction."""
    cart_id = carts.create(currency)
    for sku, quantity in items.items():
        carts.add(cart_id, sku, quantity)
    cart = carts.load(cart_id, customer.locale)
    quoted = quote(cart.total, choices, pricing.rules(choices, currency), clock.now(), cart.tax_classes)
    mark = agreement.customer_mark(cart.checkout_key, customer.user_id)
    shown = agreement.Shown(cart.checkout_key, cart.terms_with(quoted.terms).digest, mark)
    result = _place(cart_id, Request(customer, PAY_LATER, shown, 0, choices.delivery, choices.code), network)
    if isinstance(result, Repeated):
        raise RuntimeError("a new cart has placed no order before")
    created(result.order_id)
    return result


def _noting_refusals(network: str, place: Callable[[], T]) -> T:
    """The result of `place`; a refusal by the limits on unpaid orders is counted after its transaction."""
    try:
        return place()
    except TooManyUnpaid as refusal:
        unpaid_orders.note_refusal(network, refusal.details["counted_by"])
        raise


def placed_from(cart_id: str, key: str) -> Order | None:
    """The order that this browser has placed with a form of this checkout key. Orders of other browsers are not
    found.
    """
    if not cart_id:
        return None
    own = Order.id.in_(origins.placed_by(cart_id))
    return db.session.scalars(select(Order).where(Order.checkout_key == key, own)).one_or_none()


@transactional
def _place(cart_id: str, request: Request, network: str) -> Written | Repeated:
    """Create the order and its reservations in one transaction."""
    customer = request.customer
    client = Client(cart_id, customer.user_id, email_address.for_lookup(customer.email), network)
    seen = load(request, client)
    decision = decide(seen, request, _rules(seen.cart.currency), clock.now())
    if isinstance(decision, Refusal):
        raise decision
    return decision if isinstance(decision, Repeated) else write(decision, request, client)


def _rules(currency: str) -> Rules:
    pay_within = timedelta(seconds=current_app.config["PAY_WITHIN"])
    return Rules(registry.charging(currency), unpaid_orders.most(currency), pay_within)
