"""Carriers and tracking: links of the table, numbers that are typed, and the links of other carriers."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from shop.core.errors import BadInput
from shop.fulfilment.carriers import CARRIERS, Carrier, local_name, tracking


def test_every_link_of_the_table_is_https() -> None:
    for carrier in CARRIERS.values():
        parts = urlsplit(carrier.link("AB123"))
        assert (parts.scheme, bool(parts.hostname), parts.username) == ("https", True, None)
        assert "{" not in carrier.link("AB123")


def test_a_number_is_escaped_and_a_package_without_one_has_no_link() -> None:
    assert Carrier("X", "https://x.example/{number}").link("a/b?c=1&d#e") == "https://x.example/a%2Fb%3Fc%3D1%26d%23e"
    assert CARRIERS["dhl"].link("") == ""


@pytest.mark.parametrize(
    ("typed", "stored"), [("1Z 999 AA1", "1Z999AA1"), ("１２３－４", "123-4"), (" 12 ", "12"), ("", "")]
)
def test_a_tracking_number_is_stored_as_plain_letters_and_digits(typed: str, stored: str) -> None:
    found = tracking("ups", typed)
    assert (found.carrier, found.number) == ("UPS", stored)
    assert found.url == (f"https://www.ups.com/track?tracknum={stored}" if stored else "")


@pytest.mark.parametrize("typed", ["a/b", "<b>", "1" * 41, "-1", "1-", "😀", "12\x0034", "ab\nc;d", "مرحبا"])
def test_anything_else_is_no_tracking_number(typed: str) -> None:
    with pytest.raises(BadInput) as refused:
        tracking("ups", typed)
    assert refused.value.code == "bad_tracking_number"


def test_customers_read_the_name_that_a_carrier_has_in_their_language() -> None:
    named = [local_name("Yamato Transport", language) for language in ("ja", "zh", "en")]
    assert named == ["ヤマト運輸", "Yamato Transport", "Yamato Transport"]
    assert local_name("Chunghwa Post", "zh") == "中華郵政"
    assert local_name("Bike courier", "ja") == "Bike courier"


def test_another_carrier_has_a_name_and_an_https_link_or_none() -> None:
    found = tracking("other", "7", name=" Pigeon  Post ", url="https://pigeons.example/t?n=7")
    assert (found.carrier, found.number, found.url) == ("Pigeon Post", "7", "https://pigeons.example/t?n=7")
    assert tracking("other", "7", name="Pigeon Post").url == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://x.example/",
        "javascript:alert(1)",
        "https://user@x.example/",
        "https://",
        "https://x.example/a b",
        'https://x.example/"><script>',
        f"https://x.example/{'a' * 2048}",
    ],
)
def test_a_link_that_is_not_a_plain_https_address_is_refused(url: str) -> None:
    with pytest.raises(BadInput) as refused:
        tracking("other", "7", name="Pigeon Post", url=url)
    assert refused.value.code == "bad_tracking_link"


@pytest.mark.parametrize(
    ("key", "name", "url"),
    [("", "", ""), ("pigeon", "", ""), ("other", "", ""), ("other", "x" * 61, ""), ("dhl", "Other name", "")],
)
def test_a_carrier_is_one_of_the_table_or_another_with_a_name(key: str, name: str, url: str) -> None:
    with pytest.raises(BadInput) as refused:
        tracking(key, "7", name=name, url=url)
    assert refused.value.code == "bad_carrier"
