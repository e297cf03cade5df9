"""Normalisation of typed digits: full-width (Japanese keyboard) and other scripts' digits to ASCII."""

from __future__ import annotations

import unicodedata

DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u30fc", "-"))


def narrow(typed: str) -> str:
    """`typed` with ASCII digits, spaces, dashes and slashes; other characters are unchanged."""
    plain = unicodedata.normalize("NFKC", typed).translate(DASHES)
    return "".join(str(unicodedata.decimal(letter, letter)) for letter in plain)
