"""Whole minor units and the supported currencies."""

from __future__ import annotations

EXPONENTS = {"TWD": 2, "JPY": 0, "USD": 2}
LARGEST = 99_999_999_999
SMALLEST = 1


def show(amount: int, currency: str) -> str:
    """`TWD 1,200.00`: always with the ISO code, because $ and ¥ are ambiguous."""
    exponent = EXPONENTS.get(currency, 2)
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 10**exponent)
    return f"{currency} {sign}{whole:,}" + (f".{rest:0{exponent}d}" if exponent else "")


def other_than(currency: str) -> str:
    """A currency other than this one."""
    return "USD" if currency != "USD" else "JPY"
