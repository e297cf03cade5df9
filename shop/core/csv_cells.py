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
    return shown if isinstance(value, int | float) or not _is_run(shown) else f"'{shown}"


def plain(shown: str) -> str:
    """The text that `cell` has written as `shown`."""
    return shown[1:] if shown.startswith("'") and _is_run(shown[1:]) else shown


def _is_run(text: str) -> bool:
    """True for a text that a spreadsheet would run, also behind an apostrophe, so that this one is read back."""
    return text.lstrip(" '").startswith(_FORMULA)


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as lines of a file, without the byte order mark."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()
