"""deploy/nginx.conf lets bodies pass that the shop takes, and few that it refuses: the shop's 413 explains more."""

from __future__ import annotations

import re

import pytest

from shop.http_kit.request_guard import LARGEST_BODY
from tests.parts.processes import ROOT
from tests.shop_fixtures import KETTLE, Shop

EXAMPLE = (ROOT / "deploy" / "nginx.conf").read_text()
UNITS = {"k": 2**10, "m": 2**20}
LOCATION = re.compile(r"^    location (=|~)? ?(\S+) \{\n(.*?)^    \}", re.MULTILINE | re.DOTALL)
SIZE = re.compile(r"client_max_body_size ([0-9]+)([km]);")


def limit(path: str) -> int:
    """Bytes that the example takes at a path: an equal location, else the first that matches, else `location /`."""
    locations = LOCATION.findall(EXAMPLE)
    equal = [body for kind, name, body in locations if kind == "=" and name == path]
    matching = [body for kind, name, body in locations if kind == "~" and re.search(name, path)]
    [*_, default] = SIZE.findall(LOCATION.sub("", EXAMPLE))
    number, unit = (SIZE.findall([*equal, *matching, ""][0]) or [default])[0]
    return int(number) * UNITS[unit]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_proxy_takes_what_each_route_takes_and_at_most_twice_as_much(shop: Shop) -> None:
    of_shop = {}
    for rule in shop.app.url_map.iter_rules():
        if rule.methods and rule.methods & {"POST", "PUT", "PATCH"}:
            path = re.sub("<(?:[a-z]+:)?[a-z_]+>", KETTLE, rule.rule)
            of_shop[path] = max(
                of_shop.get(path, 0), getattr(shop.app.view_functions[rule.endpoint], "largest_body", LARGEST_BODY)
            )
    wrong = {path: (most, limit(path)) for path, most in of_shop.items() if not most < limit(path) <= 2 * most}
    assert wrong == {}
    larger = {path for path, most in of_shop.items() if most > LARGEST_BODY}
    assert larger >= {"/ops/products/new", "/ops/products/imports", f"/ops/products/{KETTLE}/pictures"}
