"""Stored values as names and texts for staff: money with its currency, times in UTC, words for names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from shop.core.money import Money
from shop.payments.providers import registry

_CAPITAL = re.compile("(?<=[a-z])(?=[A-Z])")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")
_AMOUNTS = frozenset({"amount", "ours", "theirs", "fee", "total"})
"""Names of values in minor units of the currency that is beside them."""
_OTHER_NAMES = {"heard at": "received at"}
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def readable(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Name and text of each value that is not empty. An amount with its currency becomes money."""
    return tuple((_name(name), _text(name, value)) for name, value in _with_money(values) if value not in _EMPTY)


def text(name: str, value: Any) -> str:
    """The text of one value; empty if it has none."""
    return "" if value in _EMPTY else _text(name, value)


def _with_money(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values, with money in place of amounts; the currency is left out if they need it."""
    currency = values.get("currency")
    amounts = [name for name in values if name in _AMOUNTS and type(values[name]) is int]
    is_money = isinstance(currency, str) and bool(amounts)
    for name, value in values.items():
        if is_money and name in amounts:
            yield name, Money(value, str(currency))
        elif not (is_money and name == "currency"):
            yield name, value


def _text(name: str, value: Any) -> str:
    if isinstance(value, Money):
        return value.with_code()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return _of_string(name, value)
    if isinstance(value, list):
        return "; ".join(_text(name, one) for one in value)
    if isinstance(value, Mapping):
        named = readable(value)
        return named[0][1] if set(value) == {"amount", "currency"} else ", ".join(f"{one}: {is_}" for one, is_ in named)
    return json.dumps(value, ensure_ascii=False, default=str)


def _of_string(name: str, value: str) -> str:
    if name == "provider":
        return registry.label(value)
    if _TIME.fullmatch(value):
        return f"{datetime.fromisoformat(value).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return value


def _name(name: str) -> str:
    words = _CAPITAL.sub(" ", name).replace("_", " ").replace(".", " ").lower()
    return _OTHER_NAMES.get(words, words)
