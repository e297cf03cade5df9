"""The accounts, by name."""

from __future__ import annotations

SALES = "sales"
"""What buyers paid for orders."""
REFUNDS = "refunds"
"""What went back to buyers of what they had paid for orders."""
ASIDE = "aside"
"""Money that came and pays nothing: late, double, wrong. It belongs to whoever sent it."""


def receivable(provider: str) -> str:
    """What an acquirer has taken for us and not handed over yet."""
    return f"receivable:{provider}"
