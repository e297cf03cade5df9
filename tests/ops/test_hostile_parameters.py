"""Hostile values of every parameter of every page of the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from flask import Flask

from shop.accounts.permissions import Role
from shop.core import keyset
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

VALUES = (
    "",
    "\x00",
    "a" * 5000,
    "-1",
    "9" * 30,
    "0x10",
    "1e999",
    "NaN",
    "2026-13-45",
    "９",
    "'\"<",
    "😀",
    "\ud7ff",
    "%",
    "=1",
)
NAMES = ("q", "source", "again", "to", "page", "day", "provider", "order", "state", "next", *keyset.PARAMETERS)
"""Names that are tried at pages that do not list theirs."""
EXPECTED = frozenset({200, 302, 303, 400, 404, 409, 413, 414, 422})


def pages(app: Flask) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/ops") and "GET" in (rule.methods or ()) and not rule.websocket:
            yield rule.rule


def names_of(visitor: Visitor, path: str) -> tuple[str, ...]:
    """The parameters that the refusal of an unknown one lists, with those that choose a page."""
    listed = re.search(r"(?:The only one is|They are|Known are|are:?) ([a-z_, ]+)\.", visitor.get(f"{path}?zz=1").text)
    return (*listed[1].split(", "), *keyset.PARAMETERS) if listed else NAMES


def test_no_value_of_a_parameter_and_no_unknown_one_fails_a_page(shop: Shop) -> None:
    number, visitor = shop.paid_order().number, visitor_as(shop, *Role)
    failed, turn = {}, 0
    for rule in pages(shop.app):
        for place in ("1", number, "0", "9" * 25, "%00", "a" * 300, "%F0%9F%98%80"):
            path = re.sub(r"<(?:\w+:)?(\w+)>", place, rule)
            if place != number and path != rule:
                failed[path] = visitor.get(path).status_code
        path = re.sub(r"<(?:\w+:)?(\w+)>", number if "number" in rule else "1", rule)
        for name in names_of(visitor, path):
            for _ in range(3):
                value, turn = quote(VALUES[turn % len(VALUES)], errors="surrogatepass"), turn + 1
                asked = f"{path}?{name}={value}"
                failed[asked] = visitor.get(asked).status_code
            twice = f"{path}?{name}=1&{name}=%00&{name}[]=%F0&zz=%FF"
            failed[twice] = visitor.get(twice).status_code
    unexpected = {asked[:120]: status for asked, status in failed.items() if status not in EXPECTED}
    assert len(failed) > 300 and unexpected == {}
