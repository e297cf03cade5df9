"""CSV files that open in spreadsheets: UTF-8 with a byte order mark, and no cell that is run as a formula. Pure."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_INVISIBLE = frozenset({"Cf", "Zs", "Zl", "Zp"})
"""Categories of spaces and of characters that are not shown."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: object) -> str:
    """The value as text. An apostrophe comes before a text that a spreadsheet would run; numbers stay numbers."""
    shown = "" if value is None else str(value)
    return f"'{shown}" if not isinstance(value, int | float) and _is_formula(shown) else shown


def plain(shown: str) -> str:
    """The text that `cell` has written as `shown`."""
    return shown[1:] if shown.startswith("'") and _is_formula(shown[1:]) else shown


def _is_formula(shown: str) -> bool:
    """True if a spreadsheet may run it: full-width signs, and signs after spaces and invisible characters, too.

    Signs after an apostrophe count, so that `plain` reads back a text that begins with one.
    """
    narrow = unicodedata.normalize("NFKC", shown)
    skipped = (sign == "'" or unicodedata.category(sign) in _INVISIBLE for sign in narrow)
    visible = next((at for at, is_skipped in enumerate(skipped) if not is_skipped), len(narrow))
    return narrow.startswith(_FORMULA) or narrow[visible:].startswith(_FORMULA)


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as lines of a file, without the byte order mark."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()
