"""CSV files that open in spreadsheets: UTF-8 with a byte order mark, and no cell that is run as a formula. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: object) -> str:
    """The value as text. An apostrophe comes before a text that a spreadsheet would run; numbers stay numbers."""
    shown = "" if value is None else str(value)
    if isinstance(value, int | float) or not shown.lstrip(" ").startswith(_FORMULA):
        return shown
    return f"'{shown}"


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as lines of a file, without the byte order mark."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()
