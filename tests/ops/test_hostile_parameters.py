"""Hostile values of every parameter of every page of the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
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
_PLACE = r"<(?:\w+:)?\w+>"
EXPECTED = frozenset({200, 204, 302, 303, 400, 404, 409, 413, 414, 422})


def pages(app: Flask) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/ops") and "GET" in (rule.methods or ()) and not rule.websocket:
            yield rule.rule


def names_of(visitor: Visitor, path: str) -> tuple[str, ...]:
    """The parameters that the refusal of an unknown one lists, with those that choose a page."""
    refused = visitor.get(f"{path}?zz=1").text
    listed = re.search(r"(?:The only one is|(?:Filter|Parameter)s are) ([a-z_, ]+)\.", refused)
    return (*listed[1].split(", "), *keyset.PARAMETERS) if listed else NAMES


@pytest.mark.full
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_value_of_a_parameter_and_no_unknown_one_fails_a_page(shop: Shop) -> None:
    number, visitor = shop.paid_order().number, visitor_as(shop, *Role)
    answers, turn = dict[str, int](), 0
    for rule in pages(shop.app):
        hostile = {re.sub(_PLACE, place, rule) for place in ("9" * 25, "%00", "a" * 300, "%F0%9F%98%80")}
        answers |= {path: visitor.get(path).status_code for path in hostile - {rule}}
        path = re.sub(_PLACE, number if "number" in rule else "1", rule)
        for name in names_of(visitor, path):
            value, turn = quote(VALUES[turn % len(VALUES)]), turn + 1
            for query in (f"{name}={value}", f"{name}=1&{name}={value}&{name}[]=%F0&zz=%FF", f"{name}=%00"):
                answers[f"{path}?{query}"] = visitor.get(f"{path}?{query}").status_code
    unexpected = {path[:120]: status for path, status in answers.items() if status not in EXPECTED}
    assert len(answers) > 300 and unexpected == {}
