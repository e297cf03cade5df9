"""Keyset pages in addresses: the place that an address names, and the addresses of the neighbouring pages."""

from __future__ import annotations

from collections.abc import Callable

from flask import request

from shop.core.errors import BadInput
from shop.core.keyset import Place, Position

PARAMETERS = ("after", "before", "page")
"""Parameters of an address that name a page: a position, or `page=last`."""
Pairs = list[tuple[str, str]]


def place() -> Place:
    """The place of the page that the address of this request names. Raises BadInput."""
    given = {name: request.args[name] for name in PARAMETERS if name in request.args}
    if len(given) > 1 or given.get("page", "last") != "last":
        raise BadInput("bad_position", "An address has one of after, before and page=last.")
    positions = {name: Position.parse(value) for name, value in given.items() if name != "page"}
    return Place(positions.get("after"), positions.get("before"), from_end="page" in given)


def links(
    newer: Position | None, older: Position | None, pairs: Pairs, address: Callable[[Pairs], str]
) -> dict[str, str]:
    """Addresses of the neighbouring pages of a list with the filters `pairs`."""
    found: dict[str, str] = {}
    if newer:
        found |= {"first": address(pairs), "previous": address([*pairs, ("before", str(newer))])}
    if older:
        found |= {"next": address([*pairs, ("after", str(older))]), "last": address([*pairs, ("page", "last")])}
    return found
