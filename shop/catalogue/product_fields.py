"""Fields of a product as people type them, in forms and in CSV files: read, check, and write as text. Pure.

A field has the same name everywhere: `name`, `name.zh-Hant` (a translation), `price.TWD`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from babel.numbers import get_currency_precision

from shop.catalogue.models import Texts
from shop.core import text
from shop.core.errors import BadInput
from shop.core.languages import ENGLISH, OFFERED, tag
from shop.core.money import CURRENCIES, Money, smallest
from shop.core.tax_classes import TaxClass

LONGEST = {"name": 120, "summary": 200, "description": 2000}
"""Characters of each text."""
LARGEST_PRICE = 10**10
"""Minor units; a price is less."""
LARGEST_POSITION = 1_000_000
LONGEST_SLUG = 80
PRICES = tuple(f"price.{currency}" for currency in CURRENCIES)
_SKU = re.compile(r"[A-Z0-9-]{1,64}")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PRICE = re.compile(r"([0-9]{1,15}|[0-9]{1,3}(,[0-9]{3}){1,4})(\.[0-9]{1,9})?")


class InvalidFields(BadInput):
    """Fields of a product cannot be used; `errors` has a sentence for each."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("bad_product", " ".join(f"{name}: {why}" for name, why in errors.items()), errors=dict(errors))
        self.errors = dict(errors)


@dataclass(frozen=True)
class Fields:
    """The values of a product that staff write. `prices` are minor units by currency, `texts` translations."""

    slug: str
    category: str
    position: int
    name: str
    summary: str
    description: str
    prices: Mapping[str, int] = field(default_factory=dict, hash=False)
    texts: Texts = field(default_factory=dict, hash=False)
    tax_class: TaxClass = TaxClass.STANDARD


class Described(Protocol):
    """A stored product, or the fields of a new one."""

    @property
    def slug(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def prices(self) -> Mapping[str, int]: ...
    @property
    def texts(self) -> Texts: ...
    @property
    def tax_class(self) -> TaxClass: ...


def translations(locales: Iterable[str] = OFFERED) -> tuple[str, ...]:
    """Names of the fields with translations, such as `name.zh-Hant`."""
    return tuple(f"{name}.{tag(locale)}" for locale in locales if locale != ENGLISH for name in LONGEST)


def names() -> tuple[str, ...]:
    """Names of all fields, in the order of a file's columns."""
    return ("slug", "category", "position", "tax_class", *LONGEST, *translations(), *PRICES)


def as_typed(product: Described) -> dict[str, str]:
    """All fields of a product as text, as `read` takes them. Translations into languages that are not offered any
    more are included.
    """
    locales = dict.fromkeys([*OFFERED, *product.texts])
    found = {"slug": product.slug, "category": product.category, "position": str(product.position)}
    found["tax_class"] = str(product.tax_class)
    found |= {"name": product.name, "summary": product.summary, "description": product.description}
    for locale in locales:
        if locale != ENGLISH:
            found |= {f"{name}.{tag(locale)}": product.texts.get(locale, {}).get(name, "") for name in LONGEST}
    return found | {f"price.{currency}": price_text(product.prices.get(currency), currency) for currency in CURRENCIES}


def price_text(amount: int | None, currency: str) -> str:
    """A price in units of the currency, without decimals where people write none: 1180 or 12.50; empty for None."""
    if amount is None:
        return ""
    shown = Money(amount, currency).decimal()
    return shown.removesuffix(".00") if smallest(currency) > 1 else shown


def read_sku(typed: str) -> str:
    """The SKU in capital letters. Raises InvalidFields."""
    sku = text.plain(typed).upper()
    if not _SKU.fullmatch(sku):
        raise InvalidFields({"sku": "An SKU has 1 to 64 letters from A to Z, digits and hyphens."})
    return sku


def read(typed: Mapping[str, str]) -> Fields:
    """Read typed fields; a missing one counts as empty. Raises InvalidFields with all that is wrong."""
    errors: dict[str, str] = {}

    def value(name: str, convert: Callable[[str], object]) -> object:
        try:
            return convert(typed.get(name, ""))
        except ValueError as error:
            errors[name] = str(error)
            return ""

    words = {name: value(name, partial(_text, longest=LONGEST[name])) for name in LONGEST}
    texts: Texts = {}
    for locale in OFFERED:
        for name in LONGEST if locale != ENGLISH else ():
            of = f"{name}.{tag(locale)}"
            if found := str(value(of, partial(_text, longest=LONGEST[name]))):
                texts.setdefault(locale, {})[name] = found
    prices = {code: value(f"price.{code}", partial(price, currency=code)) for code in CURRENCIES}
    slug, position, tax_class = value("slug", _slug), value("position", _position), value("tax_class", _tax_class)
    if not words["name"] and "name" not in errors:
        errors["name"] = "Enter a name in English. Other languages show it where they have none."
    category = text.tidy(typed.get("category", ""))[:LONGEST_SLUG]
    if errors:
        raise InvalidFields(errors)
    sold = {code: int(str(amount)) for code, amount in prices.items() if amount is not None}
    named = {k: str(v) for k, v in words.items()}
    at, taxed = int(str(position)), TaxClass(str(tax_class))
    return Fields(str(slug), category, at, **named, prices=sold, texts=texts, tax_class=taxed)


def price(typed: str, currency: str) -> int | None:
    """Minor units of a typed price such as 1,180 or 12.50; None for an empty one. Raises ValueError with a sentence."""
    plain = text.plain(typed)
    if not plain:
        return None
    example = "12.50" if smallest(currency) == 1 and get_currency_precision(currency) else "1,180"
    if not _PRICE.fullmatch(plain):
        raise ValueError(f"Enter a price such as {example}.")
    try:
        amount = Money.parse(plain.replace(",", ""), currency).amount
    except ValueError as error:
        places = get_currency_precision(currency)
        count = f"at most {places} decimals" if places else "no decimals"
        raise ValueError(f"A price in {currency} has {count}, such as {example}.") from error
    check_price(amount, currency)
    return amount


def check_price(amount: int, currency: str) -> None:
    """Raise ValueError, with a sentence, for minor units that are no price."""
    if amount <= 0:
        raise ValueError("A price must be greater than zero.")
    if amount >= LARGEST_PRICE:
        raise ValueError(f"A price must be less than {Money(LARGEST_PRICE, currency).with_code()}.")
    if amount % smallest(currency):
        raise ValueError(f"Prices in {currency} are multiples of {Money(smallest(currency), currency).with_code()}.")


def slug_of(name: str) -> str:
    """A slug made of an English name, such as blue-kettle; empty if the name has no letter or digit of ASCII."""
    return re.sub("[^a-z0-9]+", "-", text.plain(name).lower()).strip("-")[:LONGEST_SLUG].strip("-")


def _text(typed: str, longest: int) -> str:
    tidy = text.tidy(typed)
    if text.is_unusable(tidy):
        raise ValueError("The text contains control characters.")
    if len(tidy) > longest:
        raise ValueError(f"Enter at most {longest:,} characters; these are {len(tidy):,}.")
    return tidy


def _slug(typed: str) -> str:
    slug = text.plain(typed).lower()
    if len(slug) > LONGEST_SLUG or not _SLUG.fullmatch(slug):
        raise ValueError(f"Enter at most {LONGEST_SLUG} small letters, digits and single hyphens, such as blue-kettle.")
    return slug


def _tax_class(typed: str) -> TaxClass:
    plain = text.plain(typed).lower() or TaxClass.STANDARD
    if plain not in tuple(TaxClass):
        raise ValueError(f"Enter one of {', '.join(TaxClass)}.")
    return TaxClass(plain)


def _position(typed: str) -> int:
    plain = text.plain(typed) or "0"
    if not re.fullmatch("[0-9]{1,7}", plain) or int(plain) > LARGEST_POSITION:
        raise ValueError(f"Enter a whole number from 0 to {LARGEST_POSITION:,}.")
    return int(plain)
