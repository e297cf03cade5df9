"""Normal form of discount codes. No database."""

from __future__ import annotations

import re

from shop.core import text

_CODE = re.compile("[A-Z0-9][A-Z0-9-]{1,39}")
LONGEST = 40
"""Characters of a code."""
NO_CODE = "-"
"""Stands for text that is no code; no code has this name."""


def normal(typed: str) -> str:
    """The code that a customer typed: in capitals and ASCII digits, without spaces. NO_CODE for text that cannot be a
    code, empty for no text.
    """
    if len(typed) > 10 * LONGEST:
        return NO_CODE
    code = text.plain(typed).upper().replace(" ", "")
    if not code:
        return ""
    return code if _CODE.fullmatch(code) else NO_CODE
