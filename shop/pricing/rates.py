"""Tax rates as people write them: percent with at most three decimals. Pure."""

from __future__ import annotations

import re

from shop.core import text
from shop.pricing.decide import RATE


def parse(typed: str) -> int:
    """Thousandths of a percent, of 5, 8.875 or 5 %. Raises ValueError with a sentence."""
    plain = text.plain(typed[:40]).removesuffix("%").strip()
    found = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,3}))?", plain)
    if found is None:
        raise ValueError(f"{plain[:20]!r} is not a percentage with at most three decimals, such as 8.875.")
    rate = int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))
    if rate > RATE:
        raise ValueError("A tax rate must be from 0 to 100 percent.")
    return rate


def percent(rate: int) -> str:
    """A rate as people write it: 5, 8.875."""
    return f"{rate // 1000}.{rate % 1000:03}".rstrip("0").rstrip(".")
