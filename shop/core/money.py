"""Money: whole minor units and an ISO 4217 currency. No floats, no mixing of currencies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from babel.numbers import format_decimal, get_currency_precision

CURRENCIES = ("TWD", "JPY", "USD")
WHOLE = {"TWD": 100}
"""Minor units of the smallest amount that customers pay, where it is not one: Taiwan has no coins below a dollar."""
MINUS = "\u2212"
UNAMBIGUOUS = frozenset({"TWD"})
"""Currencies whose symbol (NT$) no other has; $ and ¥ are those of several."""
_PARSED = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,4})?")
"""Decimal also accepts forms such as 1e3 and 1_0, and rounds values that exceed its context."""


def smallest(currency: str) -> int:
    """Minor units of the smallest amount in which prices, tax and discounts are stated."""
    return WHOLE.get(currency, 1)


@dataclass(frozen=True, order=False)
class Money:
    """An amount in minor units of `currency` (TWD and USD count hundredths, JPY counts yen)."""

    amount: int
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, int) or isinstance(self.amount, bool):
            raise TypeError("minor units are whole numbers")

    def __add__(self, other: Money) -> Money:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be added")
        return Money(self.amount + other.amount, self.currency)

    def __mul__(self, times: int) -> Money:
        return Money(self.amount * times, self.currency)

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Parse an amount in units of the currency, such as 12.50. Raises ValueError for anything else."""
        if not _PARSED.fullmatch(text):
            raise ValueError(f"{text!r} is not an amount")
        minor = Decimal(text).scaleb(get_currency_precision(currency))
        if minor != minor.to_integral_value() or abs(minor) >= 10**15:
            raise ValueError(f"{text!r} is not an amount in {currency}")
        return cls(int(minor), currency)

    def decimal(self) -> str:
        """The amount in units of the currency, as `parse` reads it: 12.50."""
        precision = get_currency_precision(self.currency)
        return f"{Decimal(self.amount).scaleb(-precision):.{precision}f}"

    def format(self, locale: str = "en") -> str:
        """Text for customers, as people write the amount: NT$1,180, ¥1,200, $12.50, −NT$26 with U+2212."""
        return _written(self.amount, self.currency, locale)

    def with_code(self, locale: str = "en") -> str:
        """Text for staff, commands and records, in ASCII but for the symbol: NT$1,180, -NT$26, ¥1,200 JPY, $12.50 USD.
        The ISO code is left out where the symbol belongs to one currency only.
        """
        return _with_code(self.amount, self.currency, locale)


@lru_cache(maxsize=4096)
def _written(amount: int, currency: str, locale: str) -> str:
    major = Decimal(abs(amount)).scaleb(-get_currency_precision(currency))
    whole = currency == "TWD" and major == major.to_integral_value()
    digits = "#,##0.00" if get_currency_precision(currency) and not whole else "#,##0"
    number = format_decimal(major, digits, locale=locale.replace("-", "_"))
    return f"{MINUS if amount < 0 else ''}{_symbol(currency, locale)}{number}"


def _symbol(currency: str, locale: str) -> str:
    """The symbol that is not taken for another currency where the language is spoken."""
    if currency == "USD":
        return "$" if locale.startswith("en") else "US$"
    if currency == "JPY":
        return "JP¥" if locale.startswith("zh") else "¥"
    return {"TWD": "NT$"}.get(currency, f"{currency} ")


@lru_cache(maxsize=4096)
def _with_code(amount: int, currency: str, locale: str) -> str:
    text = _written(amount, currency, locale).replace(MINUS, "-")
    return text if currency in UNAMBIGUOUS or currency in text else f"{text} {currency}"
