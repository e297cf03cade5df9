"""Lines of a printed address, in the order of its country and of the reader's language."""

from __future__ import annotations

import re
from typing import Protocol

from babel import Locale

from shop.core import countries
from shop.core.postal import formats, regions

_LARGEST_FIRST = frozenset({"TW", "JP", "CN"})
"""Countries whose addresses begin with the largest part, for readers of Chinese and Japanese."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


PARTS = ("name", "line1", "line2", "city", "region", "postcode", "country")
"""The attributes of a printed address."""


class Printed(Protocol):
    """An address with the name of its recipient, such as that of an order."""

    name: str
    line1: str
    line2: str
    city: str
    region: str
    postcode: str
    country: str


def of(address: Printed, locale: Locale) -> list[str]:
    """The lines of an address with its recipient and its country, for a reader of this language."""
    country = countries.name(address.country, locale)
    region = regions.name(address.country, address.region, str(locale))
    if address.country in _LARGEST_FIRST and locale.language in ("zh", "ja"):
        lines = [country, *_largest_first(address, region), address.name]
    else:
        place = _place(formats.of(address.country).place, address, region)
        lines = [address.name, address.line1, address.line2, *place, country]
    return [line for line in lines if line]


def _largest_first(address: Printed, region: str) -> list[str]:
    if address.country == "JP":
        postcode = f"〒{address.postcode}" if re.match("[0-9]", address.postcode) else address.postcode
        return [postcode, _joined(region, address.city), address.line1, address.line2]
    place = _joined(region, address.city)
    return [f"{address.postcode} {place}".strip(), address.line1, address.line2]


def _joined(larger: str, smaller: str) -> str:
    """Two parts of an address; a space only beside a script that has spaces."""
    is_close = bool(_CJK.search(larger[-1:])) and bool(_CJK.match(smaller))
    return larger + smaller if is_close else f"{larger} {smaller}".strip()


def _place(template: str, address: Printed, region: str) -> list[str]:
    """The lines of city, region and postcode: an empty part leaves out the signs before it."""
    parts = {"city": address.city, "region": region, "postcode": address.postcode}
    written = ""
    pieces = re.split("(city|region|postcode)", template)
    for before, name in zip(pieces[::2], pieces[1::2], strict=False):
        if parts[name]:
            written += f"{before if written else ''}{parts[name]}"
    return written.split("\n")
