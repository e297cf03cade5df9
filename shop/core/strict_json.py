"""Strict parser for untrusted JSON: the result is safe to traverse, store and calculate with."""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 32
"""Levels of nested lists and objects."""
_DIGITS = 19  # limit of a whole number: 64 bits


def loads(raw: bytes | str) -> Any:
    """Parse a JSON text in UTF-8.

    Lone surrogates, which can be escaped in JSON and which nothing can encode, become the replacement character.
    Raises ValueError, and nothing else: also for NaN and infinities, whole numbers longer than 64 bits, and more than
    DEEPEST levels.
    """
    text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    if text.count("[") + text.count("{") > DEEPEST:
        _refuse_deep(value)
    return encodable(value) if _SURROGATE_ESCAPE.search(text) else value


def encodable(value: Any) -> Any:
    """The value with replacement characters for lone surrogates, in names too. It is at most DEEPEST levels deep."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {encodable(name): encodable(inner) for name, inner in value.items()}
    return [encodable(inner) for inner in value] if isinstance(value, list) else value


def _refuse_deep(value: Any) -> None:
    """Raises ValueError. Walks level by level, because deep values break recursion."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise ValueError("JSON that is nested too deeply")


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _DIGITS:
        raise ValueError("JSON with a number that is too long")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("JSON with a number that is too large")
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\ud[89a-f]", re.I)
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=_refuse)
