"""Validation of texts, ids, times and amounts from acquirers: only values that every database accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from shop.core import ids
from shop.core.money import Money


class Malformed(Exception):
    """Content from the acquirer that cannot be read or stored."""


E = TypeVar("E", bound=StrEnum)
LONGEST = 500  # characters of a text from an acquirer that is stored as a name
_THEIR_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,254}")
_SHOWN = 64  # characters of a text from an acquirer that is only shown
_NO_CONTROL = dict.fromkeys((*range(32), 127), "?")
LARGEST = 2**53  # minor units: exact in every database, JSON and JavaScript


def keepable(text: object, what: str, *, or_empty: bool = False) -> str:
    """`text`, if every database accepts it as a name. Raises Malformed: a row that cannot be written would be retried
    forever.
    """
    if not isinstance(text, str) or len(text) > LONGEST or not (text or or_empty):
        raise Malformed(f"{what} is not a text of sensible length")
    if re.search("[\0\ud800-\udfff]", text):
        raise Malformed(f"{what} has characters that are none")
    return text


def their_id(value: object, what: str) -> str:
    """`value`, if it has the format of an id: it becomes part of URLs, and names rows. Raises Malformed."""
    if not isinstance(value, str) or not _THEIR_ID.fullmatch(value):
        raise Malformed(f"{what} is not an id")
    return value


def short_code(value: object) -> str:
    """An acquirer's error code if it has the format of one, else `unreadable`; it is stored and shown to staff."""
    return value if isinstance(value, str) and _THEIR_ID.fullmatch(value) else "unreadable"


def keepable_texts(texts: Mapping[str, Any], what: str) -> None:
    """Raises Malformed if a database does not accept one of these texts."""
    for value in texts.values():
        if isinstance(value, str):
            keepable(value, what, or_empty=True)


def keepable_time(at: datetime | None, what: str) -> None:
    """Raises Malformed for a time without a zone, or outside the range that databases and date arithmetic support."""
    if at is not None and (at.tzinfo is None or not 1970 <= at.year <= 9000):
        raise Malformed(f"{what} is no time")


def keepable_money(money: Money, *, signed: bool = False) -> None:
    """Raises Malformed for an amount that is not exact in every database and JSON, for an unknown currency and, unless
    the amount is `signed`, for an amount that is not greater than zero.
    """
    if abs(money.amount) > LARGEST or not re.fullmatch("[A-Z]{3}", money.currency):
        raise Malformed("an amount that is no money")
    if money.amount <= 0 and not signed:
        raise Malformed("an amount that is not greater than zero")


def printable(text: object) -> str:
    """The beginning of a text from an acquirer, in ASCII, for records only."""
    return str(text)[:_SHOWN].encode("ascii", "backslashreplace").decode().translate(_NO_CONTROL)[:_SHOWN]


def is_our_payment(reference: str) -> bool:
    """True if `reference` has the format of our payment ids."""
    return ids.is_payment_id(reference)


def is_our_refund(reference: str) -> bool:
    """True if `reference` has the format of our refund ids."""
    return ids.is_refund_id(reference)


def known(kind: type[E], value: str, otherwise: str) -> E:
    """The member of `kind` that has this value. Raises Malformed with the text `otherwise`."""
    try:
        return kind(value)
    except ValueError as error:
        raise Malformed(otherwise) from error
