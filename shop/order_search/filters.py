"""Filters of the list of orders, and their text form as parameters of an address. Pure.

Values of one filter are alternatives, and all filters have to hold. Unknown names and values are refused, so that a
mistyped filter never shows a longer list than was asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar

from shop.core import days
from shop.core.errors import BadInput
from shop.core.money import CURRENCIES, Money
from shop.orders.states import OrderState
from shop.payments.providers.types import PaymentState

E = TypeVar("E", bound=StrEnum)
NAMES = ("state", "payment", "provider", "flag", "currency", "least", "most", "from", "to")
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


@dataclass(frozen=True)
class Filters:
    """Conditions on orders; an empty one does not count.

    `payment_states` and `providers` hold for the same payment of the order. `least` and `most` bound the total and have
    the only currency of `currencies`. `placed_from` and `placed_to` are days in the shop's zone, both included.
    """

    states: tuple[OrderState, ...] = ()
    payment_states: tuple[PaymentState, ...] = ()
    providers: tuple[str, ...] = ()
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
    if unknown := [name for name in given if name not in NAMES]:
        raise BadInput("unknown_filter", f"There is no filter {unknown[0][:40]!r}. Filters are {', '.join(NAMES)}.")
    values = {name: tuple(dict.fromkeys(value for value in given.get(name, ()) if value)) for name in NAMES}
    currencies = _known("currency", values["currency"], CURRENCIES)
    filters = Filters(
        states=_members("state", values["state"], OrderState),
        payment_states=_members("payment", values["payment"], PaymentState),
        providers=_known("provider", values["provider"], sorted(providers)),
        flags=_members("flag", values["flag"], Flag),
        currencies=currencies,
        least=_amount("least", values["least"], currencies),
        most=_amount("most", values["most"], currencies),
        placed_from=_day("from", values["from"]),
        placed_to=_day("to", values["to"]),
    )
    if filters.placed_from and filters.placed_to and filters.placed_from > filters.placed_to:
        raise BadInput("bad_filter", "The first day (from) is after the last one (to).")
    return filters


def pairs(filters: Filters) -> list[tuple[str, str]]:
    """The parameters of an address with these filters, in the order of NAMES."""
    several = {
        "state": filters.states,
        "payment": filters.payment_states,
        "provider": filters.providers,
        "flag": filters.flags,
        "currency": filters.currencies,
    }
    amounts = {"least": filters.least, "most": filters.most}
    placed = {"from": filters.placed_from, "to": filters.placed_to}
    found = [(name, str(value)) for name, values in several.items() for value in values]
    found += [(name, money.decimal()) for name, money in amounts.items() if money]
    return found + [(name, day.isoformat()) for name, day in placed.items() if day]


def _members(name: str, values: Sequence[str], kind: type[E]) -> tuple[E, ...]:
    return tuple(kind(value) for value in _known(name, values, tuple(kind)))


def _known(name: str, values: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    if unknown := [value for value in values if value not in known]:
        message = f"The filter {name} has no value {unknown[0][:40]!r}. Values are {', '.join(known)}."
        raise BadInput("bad_filter", message)
    return tuple(values)


def _amount(name: str, values: Sequence[str], currencies: Sequence[str]) -> Money | None:
    typed = _single(name, values)
    if typed is None:
        return None
    if len(currencies) != 1:
        raise BadInput("bad_filter", f"The filter {name} needs exactly one currency, such as currency=TWD.")
    try:
        return Money.parse(typed, currencies[0])
    except ValueError as error:
        raise BadInput("bad_filter", f"The filter {name} needs an amount, such as 1200 or 12.50.") from error


def _day(name: str, values: Sequence[str]) -> date | None:
    typed = _single(name, values)
    return days.parse(typed, name) if typed else None


def _single(name: str, values: Sequence[str]) -> str | None:
    if len(values) > 1:
        raise BadInput("bad_filter", f"The filter {name} takes one value.")
    return values[0] if values else None
