"""Addresses as each country writes them: fields, postcodes, regions, phone numbers and printed lines."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from babel import Locale

from shop.core.countries import SHIPS_TO
from shop.core.languages import OFFERED
from shop.core.postal import formats, lines, regions

TYPED = {"line1": "1 Main St", "line2": "", "city": "Somewhere", "region": "", "postcode": ""}


def wrong(country: str, **changed: str) -> set[str]:
    """Names of the fields of an address that have a problem."""
    return set(formats.checked(country, TYPED | changed)[1])


@pytest.mark.parametrize("country", sorted(SHIPS_TO))
def test_every_country_of_the_shop_has_a_format_whose_example_is_a_postcode_of_it(country: str) -> None:
    wanted = formats.of(country)
    assert wanted is not formats._ANY and "line1" in wanted.required
    if "postcode" in wanted.fields:
        assert formats.postcode(country, wanted.example) == wanted.example
    first = regions.listed(country, "en")[:1]
    whole = {"postcode": wanted.example, "region": first[0][0] if first else "Somewhere"}
    assert wrong(country, **whole) == set()


@pytest.mark.parametrize(
    ("country", "typed", "stored"),
    [
        ("US", "94107", "94107"),
        ("US", "941071234", "94107-1234"),
        ("US", "9410", None),
        ("JP", "1500001", "150-0001"),
        ("JP", "〒150-0001", "150-0001"),
        ("JP", "１５０ー０００１", "150-0001"),
        ("JP", "150-001", None),
        ("TW", "106", "106"),
        ("TW", "10650", "10650"),
        ("TW", "106-101", "106101"),
        ("TW", "1065", None),
        ("GB", "sw1a1aa", "SW1A 1AA"),
        ("GB", "M1 1AE", "M1 1AE"),
        ("GB", "12345", None),
        ("DE", "D-10115", "10115"),
        ("DE", "DE-10115", "10115"),
        ("CA", "k1a0b1", "K1A 0B1"),
        ("NL", "1012js", "1012 JS"),
        ("IE", "d6wxy00", "D6W XY00"),
        ("SG", "18956", None),
        ("HK", "999077", None),
    ],
)
def test_a_postcode_is_stored_as_its_country_writes_it_or_is_refused(
    country: str, typed: str, stored: str | None
) -> None:
    assert formats.postcode(country, typed) == stored


def test_what_is_required_depends_on_the_country() -> None:
    assert wrong("US") == {"region", "postcode"}
    assert wrong("US", region="ca", postcode="94107") == set()
    assert wrong("US", region="Ontario", postcode="94107") == {"region"}
    assert wrong("JP", region="東京都", postcode="150") == {"postcode"}
    assert wrong("TW") == wrong("HK") == set()
    assert wrong("SG", city="") == {"postcode"}
    assert wrong("GB", city="", postcode="SW1A 1AA") == {"city"}


def test_fields_that_a_country_lacks_are_stored_empty() -> None:
    stored, problems = formats.checked("HK", TYPED | {"region": "CA", "postcode": "94107"})
    assert not problems and (stored["city"], stored["region"], stored["postcode"]) == ("", "", "")


def test_a_region_is_found_by_its_abbreviation_and_by_its_name_in_each_language() -> None:
    for typed in ("Tokyo", "東京都", "东京都", " tokyo "):
        assert regions.key("JP", typed) == "Tokyo"
    assert regions.key("US", "california") == regions.key("US", "CA") == "CA"
    assert regions.key("US", "Bavaria") is None and regions.key("DE", "Bavaria") is None
    numbers = {"JP": 47, "US": 59, "CA": 13, "AU": 8, "CN": 31, "BR": 27, "MX": 32, "IN": 36, "MY": 16}
    for country, number in numbers.items():
        for locale in OFFERED:
            names = [name for _key, name in regions.listed(country, locale)]
            assert len(set(names)) == number, (country, locale)


@pytest.mark.parametrize(
    ("phone", "is_one"),
    [
        ("+886 2 2345 6789", True),
        ("03-1234-5678", True),
        ("(415) 555-0100 x12", True),
        ("０９１２３４５６７８", True),
        ("1234", False),
        ("call me", False),
        ("12345; DROP TABLE", False),
        ("1" * 30, False),
    ],
)
def test_phone_numbers_are_accepted_in_any_usual_notation(phone: str, is_one: bool) -> None:
    assert formats.is_phone(phone) is is_one


ADDRESSES = {
    "TW": ("王小明", "永康街 12 號", "3 樓", "臺北市大安區", "", "106"),
    "JP": ("山田太郎", "神宮前1-2-3", "", "渋谷区", "Tokyo", "150-0001"),
    "US": ("Ada Lin", "1 Main St", "Apt 2", "San Francisco", "CA", "94107"),
    "GB": ("Ada Lin", "1 Main St", "", "London", "", "SW1A 1AA"),
    "SG": ("Ada Lin", "1 Main St", "", "", "", "018956"),
    "DE": ("Ada Lin", "Hauptstr. 1", "", "Berlin", "", "10115"),
}


@pytest.mark.parametrize(
    ("country", "locale", "printed"),
    [
        ("TW", "zh_Hant", "台灣|106 臺北市大安區|永康街 12 號|3 樓|王小明"),
        ("TW", "en", "王小明|永康街 12 號|3 樓|臺北市大安區 106|Taiwan"),
        ("JP", "ja", "日本|〒150-0001|東京都渋谷区|神宮前1-2-3|山田太郎"),
        ("JP", "en", "山田太郎|神宮前1-2-3|渋谷区, Tokyo 150-0001|Japan"),
        ("US", "ja", "Ada Lin|1 Main St|Apt 2|San Francisco, CA 94107|アメリカ合衆国"),
        ("GB", "en", "Ada Lin|1 Main St|London|SW1A 1AA|United Kingdom"),
        ("SG", "en", "Ada Lin|1 Main St|018956|Singapore"),
        ("DE", "en", "Ada Lin|Hauptstr. 1|10115 Berlin|Germany"),
    ],
)
def test_an_address_is_printed_in_the_order_of_its_country_and_of_the_language(
    country: str, locale: str, printed: str
) -> None:
    names = ("name", "line1", "line2", "city", "region", "postcode")
    address = SimpleNamespace(**dict(zip(names, ADDRESSES[country], strict=True)), country=country)
    assert "|".join(lines.of(address, Locale.parse(locale))) == printed
