"""Barcodes of store payment codes: Code 39, as a path for an SVG."""

from __future__ import annotations

from typing import NamedTuple

_LETTERS = {
    "1234567890": "_ ^ _ _",
    "ABCDEFGHIJ": "_ _ ^ _",
    "KLMNOPQRST": "_ _ _ ^",
    "UVWXYZ-. *": "^ _ _ _",
}
"""Ten characters to a row; the row gives the wide one of the four gaps within a character."""
_BARS = ["^___^", "_^__^", "^^___", "__^_^", "^_^__", "_^^__", "___^^", "^__^_", "_^_^_", "__^^_"]
"""The position within the row gives the two wide ones of the five bars."""
_WIDTHS = {"^": 3, "_": 1}
_MARGIN, _HEIGHT = 10, 56


class Barcode(NamedTuple):
    """`path` draws black bars into `width` times `height` units."""

    width: int
    height: int
    path: str


def _wide_and_narrow() -> dict[str, list[tuple[int, int]]]:
    """Every character as five pairs of a bar and the gap behind it."""
    letters = {}
    for row, gaps in _LETTERS.items():
        for letter, bars in zip(row, _BARS, strict=True):
            letters[letter] = [
                (_WIDTHS[bar], _WIDTHS[gap]) for bar, gap in zip(bars, [*gaps.split(), "_"], strict=True)
            ]
    return letters


_PAIRS = _wide_and_narrow()


def code39(text: str) -> Barcode:
    """The bars of `text`: capitals, digits, hyphen, full stop and space. Raises ValueError for other characters."""
    if not set(text) <= set(_PAIRS) - {"*"}:
        raise ValueError("Code 39 has no such letter")
    x, strokes = _MARGIN, []
    for bar, gap in (pair for letter in f"*{text}*" for pair in _PAIRS[letter]):
        strokes.append(f"M{x} 0h{bar}v{_HEIGHT}h-{bar}z")
        x += bar + gap
    return Barcode(x - 1 + _MARGIN, _HEIGHT, "".join(strokes))
