"""Reasons of acts of staff, as the audit log keeps them."""

from __future__ import annotations

from shop.core import text
from shop.core.errors import BadInput

LONGEST = 500
"""Characters."""


def needed(reason: str) -> str:
    """The reason as it is stored. Raises BadInput `reason_needed`, and `bad_reason` for one that cannot be stored."""
    tidy = text.tidy(reason)
    if not tidy:
        raise BadInput("reason_needed", "Enter a reason.", field="reason")
    if text.is_unusable(tidy) or len(tidy) > LONGEST:
        message = f"Enter a reason of at most {LONGEST} characters, without control characters."
        raise BadInput("bad_reason", message, field="reason")
    return tidy
