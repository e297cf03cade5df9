"""Whole minor units and the supported currencies."""

from __future__ import annotations

EXPONENTS = {"TWD": 2, "JPY": 0, "USD": 2}
LARGEST = 99_999_999_999
SMALLEST = 1
_SYMBOLS = {"TWD": "NT$", "JPY": "¥", "USD": "US$"}


def show(amount: int, currency: str) -> str:
    """`TWD 1,200.00`: always with the ISO code, because $ and ¥ are ambiguous."""
    exponent = EXPONENTS.get(currency, 2)
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 10**exponent)
    return f"{currency} {sign}{whole:,}" + (f".{rest:0{exponent}d}" if exponent else "")


def written(amount: int, currency: str) -> str:
    """`NT$1,200`, `¥1,200`, `US$12.50`: for the pages, as people write it."""
    exponent = EXPONENTS.get(currency, 2)
    whole, rest = divmod(abs(amount), 10**exponent)
    fraction = f".{rest:0{exponent}d}" if exponent and (rest or currency != "TWD") else ""
    return f"{'-' if amount < 0 else ''}{_SYMBOLS.get(currency, f'{currency} ')}{whole:,}{fraction}"


def other_than(currency: str) -> str:
    """A currency other than this one."""
    return "USD" if currency != "USD" else "JPY"
