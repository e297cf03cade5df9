"""Fields of a form as people type them: read each, and collect all that cannot be used. Pure.

A translation has the name of its field and a language, `name.zh-Hant`; an amount has a currency, `price.TWD`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision

from shop.core import text
from shop.core.errors import BadInput
from shop.core.languages import ENGLISH, OFFERED, tag
from shop.core.money import CURRENCIES, Money, smallest

LARGEST_AMOUNT = 10**10
"""Minor units; an amount is less."""
LONGEST = 100
"""Characters of a number, a time or a code; longer ones are not looked at."""
YEARS = range(2000, 2101)
T = TypeVar("T")
_AMOUNT = re.compile(r"([0-9]{1,15}|[0-9]{1,3}(,[0-9]{3}){1,4})(\.[0-9]{1,9})?")
_WHOLE = re.compile("[0-9]{1,15}|[0-9]{1,3}(,[0-9]{3}){1,4}")


class InvalidFields(BadInput):
    """Fields of a form cannot be used; `errors` has a sentence for each."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("bad_fields", " ".join(f"{name}: {why}" for name, why in errors.items()), errors=dict(errors))
        self.errors = dict(errors)


class Typed:
    """A form whose fields are read one by one; a missing one counts as empty. `checked` ends the reading."""

    def __init__(
        self, fields: Mapping[str, Collection[str]], names: Iterable[str], several: Collection[str] = ()
    ) -> None:
        """`several` are the fields that may have several values. Raises BadInput `unknown_field` for a name that is
        not among the fields of the form, and for a second value of another field.
        """
        known = {*names, *several}
        for name, values in fields.items():
            if name not in known or (len(values) > 1 and name not in several):
                raise BadInput("unknown_field", f"The form has no field {name[:40]!r}. Nothing was saved.")
        self._fields = {name: list(values) for name, values in fields.items()}
        self.errors: dict[str, str] = {}

    def raw(self, name: str) -> str:
        """A field as it was typed."""
        return next(iter(self._fields.get(name, ())), "")

    def each(self, name: str, choices: Collection[str], what: str) -> list[str]:
        """The values of a field with several of them."""
        values = [value[:LONGEST] for value in self._fields.get(name, ())]
        if unknown := [value for value in values if value not in choices]:
            self.errors[name] = f"{unknown[0]!r} is not {what}."
        return sorted(set(values))

    def flag(self, name: str) -> bool:
        """True if a checkbox is ticked."""
        return self.raw(name) != ""

    def line(self, name: str, longest: int, *, needed: str = "") -> str:
        """One line of text. `needed` is the sentence for an empty one."""
        return self._read(name, lambda typed: _line(typed, longest, needed), "")

    def lines(self, name: str, longest: int) -> str:
        """Text of several lines, with single line breaks as people typed them."""
        return self._read(name, lambda typed: _lines(typed, longest), "")

    def translations(self, name: str, longest: int, *, needed: str) -> tuple[str, dict[str, str]]:
        """The English text, and all others by locale; an empty one is kept, as a translation that is taken away."""
        english = self.line(name, longest, needed=needed)
        others = {locale: self.line(translated(name, locale), longest) for locale in OFFERED if locale != ENGLISH}
        return english, others

    def amounts(self, name: str, *, least: int) -> dict[str, Money]:
        """Amounts by currency, of at least this many of the smallest amount that customers pay."""
        found = {code: self._read(f"{name}.{code}", _amount_in(code, least), None) for code in CURRENCIES}
        return {currency: amount for currency, amount in found.items() if amount is not None}

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number within limits; None for an empty field."""
        return self._read(name, lambda typed: _whole(typed, least, most), None)

    def moment(self, name: str, zone: ZoneInfo) -> datetime | None:
        """A time such as 2026-12-24T09:30 in a zone, in UTC; None for an empty field."""
        return self._read(name, lambda typed: _moment(typed, zone), None)

    def value(self, name: str, convert: Callable[[str], T], otherwise: T) -> T:
        """A field that `convert` reads, which raises ValueError with a sentence."""
        return self._read(name, convert, otherwise)

    def checked(self) -> None:
        """Raise InvalidFields if a field cannot be used."""
        if self.errors:
            raise InvalidFields(self.errors)

    def _read(self, name: str, convert: Callable[[str], T], otherwise: T) -> T:
        try:
            return convert(self.raw(name))
        except ValueError as error:
            self.errors[name] = str(error)
            return otherwise


def translated(name: str, locale: str) -> str:
    """Name of the field with a text in a language."""
    return name if locale == ENGLISH else f"{name}.{tag(locale)}"


def of_languages(name: str) -> list[str]:
    """Names of the fields with a text in each language."""
    return [translated(name, locale) for locale in OFFERED]


def of_currencies(name: str) -> list[str]:
    """Names of the fields with an amount in each currency."""
    return [f"{name}.{currency}" for currency in CURRENCIES]


def amount_text(amount: int | None, currency: str) -> str:
    """An amount as people type it, 1180 or 12.50; empty for None."""
    if amount is None:
        return ""
    shown = Money(amount, currency).decimal()
    return shown.removesuffix(".00") if smallest(currency) > 1 else shown


def moment_text(at: datetime | None, zone: ZoneInfo) -> str:
    """A time as `moment` reads it; empty for None."""
    return "" if at is None else f"{at.astimezone(zone):%Y-%m-%dT%H:%M}"


def _line(typed: str, longest: int, needed: str) -> str:
    tidy = text.tidy(typed)
    if text.is_unusable(tidy):
        raise ValueError("The text contains control characters.")
    if len(tidy) > longest:
        raise ValueError(f"Enter at most {longest:,} characters; these are {len(tidy):,}.")
    if needed and not tidy:
        raise ValueError(needed)
    return tidy


def _lines(typed: str, longest: int) -> str:
    plain = typed.replace("\r\n", "\n")
    if len(plain) > longest:
        raise ValueError(f"Enter at most {longest:,} characters; these are {len(plain):,}.")
    return "\n".join(_line(line, longest, "") for line in plain.splitlines()).strip()


def _amount_in(currency: str, least: int) -> Callable[[str], Money | None]:
    return lambda typed: _amount(typed, currency, least)


def _amount(typed: str, currency: str, least: int) -> Money | None:
    plain = text.plain(typed[:LONGEST])
    if not plain:
        return None
    places = get_currency_precision(currency)
    example = "12.50" if smallest(currency) == 1 and places else "1,180"
    if not _AMOUNT.fullmatch(plain):
        raise ValueError(f"Enter an amount such as {example}.")
    try:
        found = Money.parse(plain.replace(",", ""), currency)
    except ValueError as error:
        count = f"at most {places} decimals" if places else "no decimals"
        raise ValueError(f"An amount in {currency} has {count}, such as {example}.") from error
    step = smallest(currency)
    if found.amount % step:
        raise ValueError(f"Amounts in {currency} are multiples of {Money(step, currency).with_code()}.")
    if found.amount < least * step:
        raise ValueError(f"Enter at least {Money(least * step, currency).with_code()}.")
    if found.amount >= LARGEST_AMOUNT:
        raise ValueError(f"Enter less than {Money(LARGEST_AMOUNT, currency).with_code()}.")
    return found


def _whole(typed: str, least: int, most: int) -> int | None:
    plain = text.plain(typed[:LONGEST])
    if not plain:
        return None
    if not _WHOLE.fullmatch(plain) or not least <= int(plain.replace(",", "")) <= most:
        raise ValueError(f"Enter a whole number from {least:,} to {most:,}.")
    return int(plain.replace(",", ""))


def _moment(typed: str, zone: ZoneInfo) -> datetime | None:
    plain = text.plain(typed[:LONGEST])
    if not plain:
        return None
    try:
        found = datetime.fromisoformat(plain)
    except ValueError:
        found = None
    if found is None or found.year not in YEARS or found.tzinfo is not None:
        raise ValueError("Enter a date and a time, such as 2026-12-24T09:30.")
    return found.replace(tzinfo=zone).astimezone(UTC)
