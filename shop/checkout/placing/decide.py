"""Decide whether a checkout form becomes an order. Pure: no database, no Flask, no clock.

The database decides races afterwards: the conditional UPDATEs of the cart, the stock rows and the store credit may
still refuse the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shop.checkout import agreement, unpaid_limits
from shop.checkout.cart_view import CartView, Line
from shop.checkout.placing.request import Request
from shop.checkout.placing.snapshot import Rules, Snapshot
from shop.checkout.saga_states import PAY_LATER, SagaStep
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.core.sentences import joined, sentence, sentences
from shop.inventory.refusals import OutOfStock
from shop.ledger.refusals import NotEnoughCredit
from shop.payments.providers import charging
from shop.pricing.decide import Quote, quote, without_order


class AlreadyPlaced(Refusal):
    """This browser has placed the order `order_id` with this form and now sends the form with different values."""

    def __init__(self, order_id: int) -> None:
        super().__init__("already_placed", sentence("Your order has already been placed. It was not changed."))
        self.order_id = order_id


@dataclass(frozen=True)
class Repeated:
    """The same form has placed this order before."""

    order_id: int


@dataclass(frozen=True)
class NewOrder:
    """The order to create, in state PENDING. `to_pay` is the amount to capture; zero when store credit or a discount
    covers everything.
    """

    lines: tuple[Line, ...]
    quote: Quote
    credit: Money
    placed_at: datetime
    pay_by: datetime

    @property
    def total(self) -> Money:
        return self.quote.total

    @property
    def to_pay(self) -> Money:
        return self.total + self.credit * -1

    @property
    def quantities(self) -> dict[str, int]:
        """Units to reserve, in the order in which stock rows are locked."""
        return {line.sku: line.quantity for line in sorted(self.lines, key=lambda line: line.sku)}

    @property
    def steps(self) -> tuple[SagaStep, ...]:
        """Steps that are done once the order exists."""
        code = (SagaStep.USE_CODE,) if self.quote.code else ()
        credit = (SagaStep.HOLD_CREDIT,) if self.credit.amount else ()
        return (SagaStep.RESERVE_STOCK, *code, *credit)


Decision = NewOrder | Repeated | Refusal


def decide(seen: Snapshot, request: Request, rules: Rules, now: datetime) -> Decision:
    """Return the order to create, the order that the same form has created before, or the reason for refusing.

    Refusals, in the order of the checks: `already_placed`, `cart_empty`, `not_sold_in_currency`, `cart_changed`,
    `other_customer`, those of `pricing.decide.quote`, `cart_changed` for other terms, `unknown_method`, `prices_moved`,
    `cannot_charge`, `too_many_unpaid`, `out_of_stock`, `not_signed_in`, `not_enough_credit`.
    """
    if seen.earlier is not None:
        if seen.earlier.form_digest == request.digest:
            return Repeated(seen.earlier.order_id)
        return AlreadyPlaced(seen.earlier.order_id)
    cart = seen.cart
    order = _order(seen, request, rules, now)
    return (
        _not_agreed(cart, order, request, rules)
        or _cannot_charge(order, request, rules)
        or _over_limit(seen, order, rules)
        or _out_of_stock(cart)
        or _without_credit(seen, order, request)
        or order
    )


def out_of_stock(lines: tuple[Line, ...], available: dict[str, int]) -> OutOfStock:
    """Refusal that names the lines with fewer units available than ordered; `available` has an entry for each
    such SKU.
    """
    short: list[dict[str, int | str]] = [
        {"sku": line.sku, "available": available[line.sku], "name": line.name}
        for line in sorted(lines, key=lambda line: line.sku)
        if line.sku in available
    ]
    reasons = [
        sentences(
            "Only %(num)d %(name)s left.", "Only %(num)d %(name)s left.", int(item["available"]), name=item["name"]
        )
        if item["available"]
        else sentence("%(name)s is sold out.", name=item["name"])
        for item in short
    ]
    refusal = OutOfStock(short)
    refusal.message = sentence("%(reasons)s No order was placed, and your cart is unchanged.", reasons=joined(reasons))
    return refusal


def _order(seen: Snapshot, request: Request, rules: Rules, now: datetime) -> NewOrder:
    cart = seen.cart
    quoted = quote(cart.total, request.choices, seen.pricing, now, cart.tax_classes)
    credit = Money(max(0, min(request.credit, quoted.total.amount)), cart.currency)
    return NewOrder(cart.lines, quoted, credit, now, now + rules.pay_within)


def _not_agreed(cart: CartView, order: NewOrder, request: Request, rules: Rules) -> Refusal | None:
    """Refusal of a form that was not shown to this customer for the current cart."""
    shown, quoted = request.shown, order.quote
    if cart.is_empty:
        return BadInput("cart_empty", sentence("Your cart is empty. No order was placed."))
    if cart.unpriced:
        return cart.unpriced[0].refusal
    if cart.checkout_key != shown.key or not shown.customer:
        return Refusal("cart_changed", sentence("This page was out of date. No order was placed."))
    if shown.customer != agreement.customer_mark(shown.key, request.customer.user_id):
        return Refusal(
            "other_customer", sentence("You have signed in or out since you opened this page. No order was placed.")
        )
    if quoted.refusal:
        return without_order(quoted.refusal)
    if shown.terms != cart.terms_with(quoted.terms).digest:
        return Refusal(
            "cart_changed", sentence("Your cart has changed since you opened this page. No order was placed.")
        )
    if order.to_pay.amount and request.provider not in (*rules.methods, PAY_LATER):
        return BadInput("unknown_method", sentence("Choose one of the listed payment methods."))
    if any(line.price_was for line in cart.lines):
        return Refusal(
            "prices_moved",
            sentence("Some prices have changed since you added the items to your cart. No order was placed."),
        )
    return None


def _cannot_charge(order: NewOrder, request: Request, rules: Rules) -> Refusal | None:
    """Refusal by the limits of the payment method; nothing to pay needs no method, and neither does a later choice."""
    if not order.to_pay.amount or request.provider == PAY_LATER:
        return None
    return charging.refusal(rules.methods[request.provider], order.to_pay, order.credit)


def _over_limit(seen: Snapshot, order: NewOrder, rules: Rules) -> Refusal | None:
    """Refusal by the limits on unpaid orders; an order that store credit covers is not counted. One that a discount
    covers is, because its units cost nothing.
    """
    if order.credit.amount and not order.to_pay.amount:
        return None
    more = unpaid_limits.Amount(1, seen.cart.count, order.total.amount)
    return unpaid_limits.refusal(seen.reserved, more, rules.limits, order.total.currency)


def _out_of_stock(cart: CartView) -> Refusal | None:
    short = {line.sku: line.available for line in cart.lines if line.available < line.quantity}
    return out_of_stock(cart.lines, short) if short else None


def _without_credit(seen: Snapshot, order: NewOrder, request: Request) -> Refusal | None:
    if not order.credit.amount:
        return None
    if request.customer.user_id is None:
        return BadInput("not_signed_in", sentence("Sign in to use your store credit."))
    if seen.free_credit < order.credit.amount:
        return NotEnoughCredit(Money(seen.free_credit, order.credit.currency))
    return None
