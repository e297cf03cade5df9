"""Redirect targets for browsers: plain addresses at a known origin."""

from __future__ import annotations

import pytest

from shop.core import web_address

OURS = ("https://pay.example", "http://localhost:9000/acquirer")
GOOD = [
    "https://pay.example",
    "https://pay.example/pay/cs_test_a1?x=1&y=%20#fid-2",
    "https://pay.example:443/pay",
    "https://PAY.example/pay",
    "http://localhost:9000/pay/1",
]
BAD = [
    "",
    None,
    7,
    ["https://pay.example"],
    "/pay",
    "pay.example/pay",
    "//pay.example/pay",
    "//evil.example",
    "///evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)//https://pay.example",
    "data:text/html,hi",
    "file:///etc/passwd",
    "ftp://pay.example/",
    "http://pay.example/pay",  # it is known with https only
    "https://localhost:9000/pay",
    "https://pay.example:8443/pay",
    "https://pay.example.evil.example/",
    "https://evil.example/https://pay.example",
    "https://pay.example@evil.example/",
    "https://user:word@pay.example/",
    "https://@pay.example/",
    "https:/pay.example/pay",
    "https:pay.example",
    "https:///pay.example/pay",
    "https://pay.example\\@evil.example/",
    "https:\\\\pay.example/",
    "https://pay.example/\r\nSet-Cookie: a=b",
    "https://pay.example/pay\n",
    "\thttps://pay.example/",
    " https://pay.example/",
    "https://pay.example/a b",
    'https://pay.example/"><script>',
    "https://pay.example/<script>",
    "https://pay.example/\x00",
    "https://pay.example/\ud800",
    "https://pay.exаmple/pay",  # a Cyrillic letter
    "https://pay.example:99999/",
    "https://pay.example:x/",
    "https://[::1/",
    "https://pay.example/" + "a" * 2048,
]


@pytest.mark.parametrize("address", GOOD)
def test_a_plain_address_at_a_known_origin_passes_as_it_is(address: str) -> None:
    assert web_address.checked(address, OURS) == address


@pytest.mark.parametrize("address", BAD, ids=ascii)
def test_any_other_address_is_refused(address: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its promise
        web_address.checked(address, OURS)
