"""Sentences for customers that are written where no language is known, and translated where they are shown.

The domain states English text with named placeholders. Pages translate it with `shop.http_kit.translation.translated`;
commands and logs use it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

from shop.core.money import Money


class Sentence(str):
    """English text with its source, which is the key of its translations, and the values of its placeholders.

    With a `plural`, `number` is the placeholder `num`. Values may be amounts and sentences.
    """

    source: str
    plural: str
    number: int
    values: Mapping[str, object]

    def __new__(cls, source: str, values: Mapping[str, object], plural: str = "", number: int = 1) -> Sentence:
        english = source if number == 1 or not plural else plural
        made = super().__new__(cls, english % {name: _english(value) for name, value in values.items()})
        made.source, made.plural, made.number, made.values = source, plural, number, values
        return made


def sentence(source: str, /, **values: object) -> Sentence:
    """A sentence that can be translated. `source` is a literal: the translations are extracted from the code."""
    return Sentence(source, values)


def sentences(singular: str, plural: str, num: int, /, **values: object) -> Sentence:
    """A sentence with a number, which is the placeholder `num`."""
    return Sentence(singular, {"num": num, **values}, plural, num)


def joined(parts: Iterable[Sentence]) -> Sentence:
    """Join sentences, of which each is translated separately. There is at least one."""
    return reduce(lambda first, second: sentence("%(first)s %(second)s", first=first, second=second), parts)


def _english(value: object) -> object:
    return value.format() if isinstance(value, Money) else value
