"""Whole minor units and the currencies that the acquirer knows."""

from __future__ import annotations

EXPONENTS = {"TWD": 2, "JPY": 0, "USD": 2}
LARGEST = 99_999_999_999
SMALLEST = 1


def show(amount: int, currency: str) -> str:
    """`TWD 1,200.00`: always with the ISO code, because $ and ¥ say too little."""
    exponent = EXPONENTS.get(currency, 2)
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 10**exponent)
    return f"{currency} {sign}{whole:,}" + (f".{rest:0{exponent}d}" if exponent else "")


def other_than(currency: str) -> str:
    """Some currency that is not this one."""
    return "USD" if currency != "USD" else "JPY"
