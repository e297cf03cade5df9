"""Lists of the console: addresses with filters, links to the neighbouring pages, and the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, request, url_for

from shop.core import key_pages, keyset

Pairs = list[tuple[str, str]]
"""Filters as parameters of an address."""


def init_app(app: Flask) -> None:
    """Give the templates of the console `addresses`."""
    app.jinja_env.globals["addresses"] = addresses


def given() -> Mapping[str, list[str]]:
    """The filters in the address, without the parameters that choose a page."""
    return {name: values for name, values in request.args.lists() if name not in keyset.PARAMETERS}


def address(endpoint: str, pairs: Pairs, **path: Any) -> str:
    """The address of a list with these parameters; `path` are values of its path."""
    base = url_for(endpoint, **path)
    return f"{base}?{urlencode(pairs)}" if pairs else base


def addresses(endpoint: str, name: str) -> Callable[[object], str]:
    """The addresses of pages that differ in the value `name` of their path, for the rows of a list: url_for for each of
    them takes a part of a list's time that is worth saving.
    """
    value_of: dict[str, Any] = {name: 0}
    base = url_for(endpoint, **value_of).removesuffix("0")
    return lambda value: base + quote(str(value), safe="")


def links(endpoint: str, pairs: Pairs, page: keyset.Page[Any] | key_pages.Page[Any], **path: Any) -> dict[str, str]:
    """Addresses of the neighbouring pages, for the macro `pager`; `path` as for `address`."""
    before, after = (page.newer, page.older) if isinstance(page, keyset.Page) else (page.previous, page.next)
    found: dict[str, str] = {}
    if before:
        found["first"] = address(endpoint, pairs, **path)
        found["previous"] = address(endpoint, [*pairs, ("before", str(before))], **path)
    if after:
        found["next"] = address(endpoint, [*pairs, ("after", str(after))], **path)
        found["last"] = address(endpoint, [*pairs, ("page", "last")], **path)
    return found


def total(number: int, counted: int, noun: str) -> str:
    """The number of rows in words; rows are counted up to `counted`."""
    if number > counted:
        return f"{counted:,}+ {noun}s"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
