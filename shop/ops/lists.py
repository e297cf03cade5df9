"""Lists of the console: addresses with filters, links to the neighbouring pages, and the number of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

from shop.core import keyset

Pairs = list[tuple[str, str]]
"""Filters as parameters of an address."""


def given() -> Mapping[str, list[str]]:
    """The filters in the address, without the parameters that choose a page."""
    return {name: values for name, values in request.args.lists() if name not in keyset.PARAMETERS}


def address(endpoint: str, pairs: Pairs) -> str:
    """The address of a list with these parameters."""
    base = url_for(endpoint)
    return f"{base}?{urlencode(pairs)}" if pairs else base


def links(endpoint: str, pairs: Pairs, page: keyset.Page[Any]) -> dict[str, str]:
    """Addresses of the neighbouring pages, for the macro `pager`."""
    found: dict[str, str] = {}
    if page.newer:
        found["first"] = address(endpoint, pairs)
        found["previous"] = address(endpoint, [*pairs, ("before", str(page.newer))])
    if page.older:
        found["next"] = address(endpoint, [*pairs, ("after", str(page.older))])
        found["last"] = address(endpoint, [*pairs, ("page", "last")])
    return found


def total(number: int, counted: int, noun: str) -> str:
    """The number of rows in words; rows are counted up to `counted`."""
    if number > counted:
        return f"{counted:,}+ {noun}s"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
