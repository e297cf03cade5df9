"""Normalisation of typed or pasted text: names and addresses in NFC, numbers in ASCII digits.

Kept: letters of all scripts (also those unknown to this Python), variation selectors, and joiners with meaning.
Removed: characters that are pasted along with text, such as bidirectional controls and zero-width spaces. Refused, by
`is_unusable`: control characters and surrogates.
"""

from __future__ import annotations

import unicodedata

ZWNJ, ZWJ = "\u200c", "\u200d"
_VIRAMA = 9  # canonical combining class of the sign that mutes a vowel
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0")
"""Invisible characters that are not in the category of format characters."""
_VISIBLE_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_JOINING = (
    # blocks of scripts whose letters join, or form conjuncts: Arabic to Sinhala, Tibetan, Myanmar, Khmer, Mongolian, …
    (0x0600, 0x0DFF),
    (0x0F00, 0x109F),
    (0x1700, 0x18AF),
    (0x1900, 0x1CFF),
    (0xA800, 0xAAFF),
    (0xABC0, 0xABFF),
    (0xFB50, 0xFDCF),
    (0xFDF0, 0xFDFF),
    (0xFE70, 0xFEFC),
    (0x10A00, 0x10FFF),
    (0x11000, 0x11FFF),
    (0x1E900, 0x1E95F),
)
_PICTURES = (0x1F000, 0x1FBFF)
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc\ufe58\ufe63\uff0d\uff70"
_ASCII = str.maketrans({chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | dict.fromkeys(_DASHES, "-"))


def tidy(text: str) -> str:
    """`text` in NFC, with single spaces, without invisible characters; empty if no character is visible."""
    if not text.isprintable() or not _FILLERS.isdisjoint(text):  # all other noise is not printable
        kept: list[str] = []
        for at, letter in enumerate(text):
            if not _is_noise(letter, kept[-1] if kept else "", text[at + 1 : at + 2]):
                kept.append(letter)
        text = "".join(kept)
    words = unicodedata.normalize("NFC", " ".join(text.split()))
    return words if any(_is_seen(letter) for letter in words) else ""


def is_unusable(text: str) -> bool:
    """True if the text contains control characters or surrogates."""
    return not text.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def plain(text: str) -> str:
    """Numbers and codes as ASCII: full-width letters and signs, the digits of every script, and all dashes."""
    if text.isascii():
        return tidy(text)
    narrow = text.translate(_ASCII)
    digits = (str(unicodedata.decimal(letter, letter)) if letter > "\x7f" else letter for letter in narrow)
    return tidy("".join(digits))


def _is_seen(letter: str) -> bool:
    """True if the character is visible; a control character counts, so that it is refused with a message."""
    return unicodedata.category(letter)[0] not in "ZM" and letter not in (ZWNJ, ZWJ) and letter not in _FILLERS


def _is_noise(letter: str, before: str, after: str) -> bool:
    """True if the character has no meaning between these two (each empty at an end of the text)."""
    if letter in (ZWNJ, ZWJ):
        return not _joins(letter, before, after)
    if unicodedata.category(letter) == "Cf":
        return letter not in _VISIBLE_FORMATS and not _is_part_of_flag(letter, before) and not _is_hieroglyph(letter)
    return letter in _FILLERS - {"\u115f", "\u1160"} or _is_noncharacter(letter)


def _is_noncharacter(letter: str) -> bool:
    return ord(letter) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(letter) <= 0xFDEF


def _is_hieroglyph(letter: str) -> bool:
    return 0x13430 <= ord(letter) <= 0x1345F


def _is_tag(letter: str) -> bool:
    return "\U000e0020" <= letter <= "\U000e007f"


def _is_part_of_flag(letter: str, before: str) -> bool:
    """A tag that continues the black flag, as in the flags of England and Wales."""
    return _is_tag(letter) and (before == "\U0001f3f4" or (before != "" and _is_tag(before)))


def _joins(joiner: str, before: str, after: str) -> bool:
    """True if the joiner carries meaning: between letters that join, after a virama, or in an emoji."""
    if _is_joining(before):
        return unicodedata.combining(before) == _VIRAMA or _is_joining(after)
    return joiner == ZWJ and _is_picture(before) and _is_picture(after)


def _is_joining(letter: str) -> bool:
    """A letter or mark of a script in which joiners are written."""
    known = letter != "" and unicodedata.category(letter)[0] in "LMC"
    return known and any(first <= ord(letter) <= last for first, last in _JOINING)


def _is_picture(letter: str) -> bool:
    """An emoji, a skin tone, or the selector that makes an emoji of a sign."""
    if not letter:
        return False
    return letter == "\ufe0f" or unicodedata.category(letter) == "So" or _PICTURES[0] <= ord(letter) <= _PICTURES[1]
