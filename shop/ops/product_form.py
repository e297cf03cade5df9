"""The form of a product: labels of its fields, and what it shows when a colleague has changed the product meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shop.catalogue import product_fields
from shop.catalogue.products import FieldChange
from shop.core.languages import ENGLISH, OFFERED, tag
from shop.core.money import CURRENCIES
from shop.core.tax_classes import TaxClass

TEXTS = {"name": "Name", "summary": "Summary", "description": "Description"}
LABELS = {"sku": "SKU", "slug": "Address", "category": "Category", "position": "Position", "state": "State"}
LABELS |= {"images": "Pictures", "tax_class": "Tax class", "opening_units": "Units in stock"}
TAX_CLASSES = {TaxClass.STANDARD: "Standard rate", TaxClass.REDUCED: "Reduced rate", TaxClass.ZERO: "Zero rate"}


@dataclass(frozen=True)
class Language:
    """The texts of a language in the form: (field, label, longest text) of each."""

    locale: str
    tag: str
    name: str
    fields: Sequence[tuple[str, str, int]]

    def filled(self, typed: Mapping[str, str]) -> int:
        """The number of its texts that are not empty."""
        return sum(bool(typed.get(field)) for field, _, _ in self.fields)


def languages() -> list[Language]:
    """The languages of the form, English first."""
    found = []
    for locale, name in OFFERED.items():
        after = "" if locale == ENGLISH else f".{tag(locale)}"
        fields = [(f"{field}{after}", label, product_fields.LONGEST[field]) for field, label in TEXTS.items()]
        found.append(Language(locale, tag(locale), name, fields))
    return found


def label(field: str) -> str:
    """Label of a field, such as `Name (zh-Hant)` or `Price in TWD`."""
    first, _, of = field.partition(".")
    if first == "price":
        return f"Price in {of}"
    words = TEXTS.get(first) or LABELS.get(first, first)
    return f"{words} ({of})" if of else words


def currencies() -> list[tuple[str, str]]:
    """(field, currency) of each price."""
    return [(f"price.{currency}", currency) for currency in CURRENCIES]


def merged(
    typed: Mapping[str, str], stored: Mapping[str, str], changes: Sequence[FieldChange]
) -> tuple[dict[str, str], list[str]]:
    """The values to show after a colleague's changes: what was typed, and the colleague's value where the person has
    left a field as it was. Second, the fields that both have changed.
    """
    shown, both = dict(stored) | dict(typed), []
    for change in changes:
        if change.field in typed:
            if typed[change.field] == change.before:
                shown[change.field] = stored.get(change.field, "")
            elif typed[change.field] != stored.get(change.field, ""):
                both.append(change.field)
    return shown, both
