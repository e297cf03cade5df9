"""Parameters of the catalogue's address: search, filters, order and page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask_babel import gettext

from shop.core import text
from shop.core.money import Money
from shop.http_kit.translation import locale_name
from shop.product_search import query
from shop.product_search.find import MOST, PAGE, Sort, Wanted

NAMES = ("q", "category", "price_from", "price_to", "stock", "sort")
IN_STOCK = "in"
LAST = MOST // PAGE
"""The last page; a narrower search shows other products."""
_PAGE = re.compile("[1-9][0-9]{0,3}")
_LARGEST = 10**12


class NoSuchPage(ValueError):
    """The number of the page is none."""


@dataclass(frozen=True)
class Filters:
    """Filters in an address: `given` are its parameters as typed, `errors` a sentence by parameter."""

    wanted: Wanted
    page: int
    given: Mapping[str, str] = field(hash=False)
    errors: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_narrowed(self) -> bool:
        """True if the list is not the plain one of the catalogue or of a category."""
        return any(self.given[name] for name in NAMES if name != "category")

    @property
    def has_filters(self) -> bool:
        """True for filters besides the words and the category, and for another order."""
        return any(self.given[name] for name in ("price_from", "price_to", "stock", "sort"))

    def address(self, **changed: object) -> dict[str, object]:
        """Parameters of the address of this list with some changed; the page is the first one."""
        return {name: value for name, value in {**self.given, **changed}.items() if value}


def read(parameters: Mapping[str, str], currency: str) -> Filters:
    """Read an address. Parameters with other names are left alone: links from elsewhere carry some.

    Raises NoSuchPage.
    """
    given = {name: text.tidy(parameters.get(name, "")[:1000])[: query.LONGEST] for name in NAMES}
    errors: dict[str, str] = {}

    def price(name: str) -> int | None:
        try:
            return _price(given[name], currency)
        except ValueError:
            errors[name] = gettext("Enter a price such as %(example)s.", example="500")
            return None

    least, most = price("price_from"), price("price_to")
    if least is not None and most is not None and least > most:
        errors["price_to"] = gettext("The highest price is lower than the lowest one.")
    if given["sort"] not in ("", *Sort):
        errors["sort"] = gettext("Choose a way to sort from the list.")
    if given["stock"] not in ("", IN_STOCK):
        errors["stock"] = gettext("Products can be filtered by “In stock” only.")
    page = _page(parameters.get("page", ""))
    wanted = Wanted(
        q=given["q"],
        category=given["category"],
        currency=currency,
        least=least,
        most=most,
        in_stock=given["stock"] == IN_STOCK,
        sort=Sort(given["sort"]) if given["sort"] in set(Sort) else Sort.RELEVANCE,
        offset=(page - 1) * PAGE,
        language=locale_name(),
    )
    return Filters(wanted, page, given, errors)


def _price(typed: str, currency: str) -> int | None:
    """Minor units; None for an empty text. Raises ValueError."""
    plain = text.plain(typed).replace(",", "")
    if not plain:
        return None
    amount = Money.parse(plain, currency).amount
    if not 0 <= amount <= _LARGEST:
        raise ValueError("out of range")
    return amount


def _page(typed: str) -> int:
    if not typed:
        return 1
    if not _PAGE.fullmatch(typed) or int(typed) > LAST:
        raise NoSuchPage(typed[:20])
    return int(typed)
