"""Filters of the list of orders, and their text form as parameters of an address. Pure.

Values of one filter are alternatives, and all filters have to hold. Unknown names and values are refused, so that a
mistyped filter never shows a longer list than was asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from typing import Any

from shop.core import filter_values
from shop.core.errors import BadInput
from shop.core.money import CURRENCIES, Money
from shop.orders.states import OrderState
from shop.payments.providers.types import PaymentState

_FIELDS = {
    "state": "states",
    "payment": "payment_states",
    "provider": "providers",
    "method": "methods",
    "flag": "flags",
    "currency": "currencies",
    "least": "least",
    "most": "most",
    "from": "placed_from",
    "to": "placed_to",
}
"""Fields of Filters by the name of their parameter."""
NAMES = tuple(_FIELDS)
"""Names of the parameters."""


class Flag(StrEnum):
    """Property of an order that staff may have to look at."""

    LATE = "late"
    """Captured after the order had ended."""
    DUPLICATE = "duplicate"
    """Captured after the order had been paid."""
    WRONG_AMOUNT = "wrong_amount"
    """Captured with another amount or currency."""
    IN_REVIEW = "in_review"
    """Captured money waits for a decision of staff."""
    DISPUTED = "disputed"
    """The customer's bank has disputed a capture."""
    OPEN_REFUND = "open_refund"
    """A refund has been requested and its result is not known yet."""
    UNPAID = "unpaid"
    """Not paid two minutes after it was placed, and may still be paid."""


class Method(StrEnum):
    """Payment method that the customer has used."""

    CARD = "card"
    STORE = "store"
    """Cash in a convenience store."""
    OTHER = "other"


@dataclass(frozen=True)
class Filters:
    """Conditions on orders; an empty one does not count.

    `payment_states`, `providers` and `methods` hold for the same payment of the order. `least` and `most` bound the
    total and have the only currency of `currencies`. `placed_from` and `placed_to` are days in the shop's zone, both
    included.
    """

    states: tuple[OrderState, ...] = ()
    payment_states: tuple[PaymentState, ...] = ()
    providers: tuple[str, ...] = ()
    methods: tuple[Method, ...] = ()
    flags: tuple[Flag, ...] = ()
    currencies: tuple[str, ...] = ()
    least: Money | None = None
    most: Money | None = None
    placed_from: date | None = None
    placed_to: date | None = None


def parse(given: Mapping[str, Sequence[str]], providers: Collection[str]) -> Filters:
    """Filters from the parameters of an address; empty values do not count. `providers` are the known ones.

    Raises BadInput `unknown_filter` and `bad_filter`; the message lists what is known.
    """
    values = filter_values.given(given, NAMES)
    currencies = filter_values.known("currency", values["currency"], CURRENCIES)
    placed_from, placed_to = filter_values.days(values)
    return Filters(
        states=filter_values.members("state", values["state"], OrderState),
        payment_states=filter_values.members("payment", values["payment"], PaymentState),
        providers=filter_values.known("provider", values["provider"], sorted(providers)),
        methods=filter_values.members("method", values["method"], Method),
        flags=filter_values.members("flag", values["flag"], Flag),
        currencies=currencies,
        least=_amount("least", values["least"], currencies),
        most=_amount("most", values["most"], currencies),
        placed_from=placed_from,
        placed_to=placed_to,
    )


def pairs(filters: Filters) -> list[tuple[str, str]]:
    """The parameters of an address with these filters, in the order of NAMES."""
    values = {
        "state": filters.states,
        "payment": filters.payment_states,
        "provider": filters.providers,
        "method": filters.methods,
        "flag": filters.flags,
        "currency": filters.currencies,
        "least": filters.least and filters.least.decimal(),
        "most": filters.most and filters.most.decimal(),
        "from": filters.placed_from,
        "to": filters.placed_to,
    }
    return filter_values.pairs(values)


def without(filters: Filters, name: str) -> Filters:
    """The filters without one of them. Amounts need their currency and are dropped with it."""
    dropped = {_FIELDS[name], *(("least", "most") if name == "currency" else ())}
    unset: dict[str, Any] = {one.name: one.default for one in fields(Filters) if one.name in dropped}
    return replace(filters, **unset)


def _amount(name: str, values: Sequence[str], currencies: Sequence[str]) -> Money | None:
    typed = filter_values.single(name, values)
    if typed is None:
        return None
    if len(currencies) != 1:
        raise BadInput("bad_filter", f"The filter {name} needs exactly one currency, such as currency=TWD.")
    try:
        return Money.parse(typed, currencies[0])
    except ValueError as error:
        raise BadInput("bad_filter", f"The filter {name} needs an amount, such as 1200 or 12.50.") from error
