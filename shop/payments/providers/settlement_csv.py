"""Parsing of settlement files, most of them in CSV, for the providers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from shop.core.money import Money
from shop.payments.providers.interface import Malformed, SettlementLine

_WHOLE = re.compile(r"-?[0-9]{1,16}")
_DECIMAL = re.compile(r"-?[0-9]{1,14}(\.[0-9]{1,4})?")


def lines(
    raw: bytes, charset: str, columns: Sequence[str], read: Callable[[Mapping[str, str]], SettlementLine]
) -> list[SettlementLine]:
    """Results of `read` for each row of a CSV file whose heading has all `columns`. Raises Malformed with the row's
    number, also for a row that is too long or too short.
    """
    return read_each(_rows(raw, charset, columns), read)


def read_each(rows: Iterable[tuple[int, Any]], read: Callable[[Any], SettlementLine]) -> list[SettlementLine]:
    """Results of `read` for numbered rows. Raises Malformed with the row's number."""
    found = []
    for number, row in rows:
        try:
            found.append(read(row))
        except KeyError as error:
            raise Malformed(f"row {number} says {str(error)[:100]}, which we do not know") from error
        except (Malformed, TypeError, ValueError) as error:
            raise Malformed(f"row {number}: {str(error)[:200]}") from error
    return found


def _rows(raw: bytes, charset: str, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        text = raw.decode(charset)
    except UnicodeDecodeError as error:
        raise Malformed(f"the file is not in {charset}") from error
    table = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        if not set(columns) <= set(table.fieldnames or ()):
            raise Malformed("the file has other columns")
        for row in table:
            if None in row or None in row.values():
                raise Malformed(f"row {table.line_num} has another length than the heading")
            yield table.line_num, row
    except csv.Error as error:
        raise Malformed("the file is no CSV") from error


def whole(text: object) -> int:
    """A whole number from text or JSON. Raises Malformed."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if not isinstance(text, str) or not _WHOLE.fullmatch(text):
        raise Malformed("an amount that is not whole")
    return int(text)


def in_minor_units(text: str, per_unit: int) -> int:
    """Minor units of an amount written in units of the currency, `per_unit` of them in each. Raises Malformed when it
    does not convert exactly.
    """
    if not _DECIMAL.fullmatch(text):
        raise Malformed("an amount that is none")
    minor = Decimal(text) * per_unit
    if minor != int(minor):
        raise Malformed("an amount that is not whole minor units")
    return int(minor)


def adds_up(money: Money, fee: Money, net: int) -> None:
    """Raises Malformed unless what remains of `money` without the fee is `net`."""
    if money.amount - fee.amount != net:
        raise Malformed("a line that does not add up")
