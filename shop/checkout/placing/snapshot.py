"""Snapshot and settings for the decision on order placing. No database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from shop.checkout.cart_view import CartView
from shop.checkout.unpaid_limits import Amount, CountedBy
from shop.payments.providers.charging import Charging
from shop.pricing.decide import Rules as Pricing


@dataclass(frozen=True)
class Earlier:
    """The order that this browser placed before with the same checkout key."""

    order_id: int
    form_digest: str | None


@dataclass(frozen=True)
class Snapshot:
    """Rows that were read in the placing transaction, after the cart was locked.

    `reserved` are the reserved totals of the client's unpaid orders by key of counting (`limits.VISITOR`, `EMAIL`,
    `ADDRESS`). `free_credit` is the customer's available store credit in minor units of the cart's currency. `pricing`
    are the rules for delivery, discount and tax.
    """

    cart: CartView
    earlier: Earlier | None = None
    reserved: Mapping[CountedBy, Amount] = field(default_factory=dict)
    free_credit: int = 0
    pricing: Pricing = field(default_factory=Pricing)


@dataclass(frozen=True)
class Rules:
    """Settings that apply to the order. `methods` maps each provider that takes the cart's currency to its limits on
    amounts; `limits` is the most that a client may reserve, by key of counting.
    """

    methods: Mapping[str, Charging]
    limits: Mapping[CountedBy, Amount]
    pay_within: timedelta
