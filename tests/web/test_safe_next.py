"""Allowed targets of `next`."""

from __future__ import annotations

import pytest

from shop.http_kit.safe_next import safe_next

FINE = ["/", "/account", "/orders?x=1", "/products/blue-kettle#more", "/a//b", "/?next=//x"]
NOT_FINE = [None, "", "account", "http://evil.example", "https:evil.example", "//evil.example", "///evil.example"]
NOT_FINE += [
    "/\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " /account",
    "\x00/",
    "/a\\b",
]
NOT_FINE += ["javascript:alert(1)", "data:text/html,x", "http:///evil.example", "//[::1", "/\r\nX: y", "/" + "x" * 3000]


@pytest.mark.parametrize("target", FINE)
def test_a_path_on_this_site_is_followed(target: str) -> None:
    assert safe_next(target, "/home") == target


@pytest.mark.parametrize("target", NOT_FINE)
def test_anything_else_leads_to_the_home_page(target: str | None) -> None:
    assert safe_next(target, "/home") == "/home"
