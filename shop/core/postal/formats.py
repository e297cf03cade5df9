"""Fields of an address by country: which exist, which are required, their names and their order; forms of postcodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shop.core import text
from shop.core.postal import regions
from shop.core.sentences import Sentence, sentence

FIELDS = ("line1", "line2", "city", "region", "postcode")
"""The parts of an address that depend on its country."""
LONGEST: Mapping[str, int] = {"line1": 120, "line2": 120, "city": 80, "region": 80, "postcode": 16}
LONGEST_PHONE = 40


@dataclass(frozen=True)
class Words:
    """The name of a field, and the sentence for a field that was left empty."""

    label: Sentence
    missing: Sentence


CITY = Words(sentence("City"), sentence("Enter the city."))
TOWN = Words(sentence("Town or city"), sentence("Enter the town or city."))
SUBURB = Words(sentence("Suburb"), sentence("Enter the suburb."))
DISTRICT = Words(sentence("City and district"), sentence("Enter the city and the district."))
WARD = Words(sentence("City, ward or town"), sentence("Enter the city, ward or town."))
STATE = Words(sentence("State"), sentence("Choose the state."))
PROVINCE = Words(sentence("Province"), sentence("Enter the province."))
LISTED_PROVINCE = Words(sentence("Province"), sentence("Choose the province."))
PREFECTURE = Words(sentence("Prefecture"), sentence("Choose the prefecture."))
COUNTY = Words(sentence("County"), sentence("Enter the county."))
POSTCODE = Words(sentence("Postcode"), sentence("Enter the postcode."))
ZIP = Words(sentence("ZIP code"), sentence("Enter the ZIP code."))
STREET = Words(sentence("Street and number"), sentence("Enter the street and number."))
FLAT = Words(sentence("Flat, floor, building"), sentence("Enter the flat, floor or building."))


@dataclass(frozen=True)
class Format:
    """The fields of a country in the order of its forms; a name that ends in "!" is a required field.

    `postcodes` are its forms: `#` is a digit, `@` a letter, `*` either. `example` is a postcode of the country.
    `place` is how the line of the city is written abroad.
    """

    written: str
    postcodes: tuple[str, ...] = ()
    example: str = ""
    city: Words = CITY
    region: Words = PROVINCE
    postcode: Words = POSTCODE
    place: str = "postcode city, region"

    @property
    def fields(self) -> list[str]:
        return [name.rstrip("!") for name in self.written.split()]

    @property
    def required(self) -> frozenset[str]:
        return frozenset(name[:-1] for name in self.written.split() if name.endswith("!"))

    def words(self, name: str) -> Words:
        """The words of one of its fields."""
        return {"line1": STREET, "line2": FLAT, "city": self.city, "region": self.region}.get(name, self.postcode)


_EUROPE = "line1! line2 postcode! city!"
_WITH_REGION = "line1! line2 city! region! postcode!"
_CITY_FIRST = "city, region postcode"
_ANY = Format("line1! line2 city! region postcode")
_FORMATS: Mapping[str, Format] = {
    "TW": Format("city! postcode line1! line2", ("###", "#####", "######"), "106", DISTRICT, place=_CITY_FIRST),
    "JP": Format(
        "postcode! region! city! line1! line2",
        ("###-####",),
        "150-0001",
        WARD,
        PREFECTURE,
        place=_CITY_FIRST,
    ),
    "KR": Format("postcode! city! line1! line2", ("#####",), "04524", DISTRICT, place=_CITY_FIRST),
    "CN": Format(
        "region! city! line1! line2 postcode!",
        ("######",),
        "200040",
        DISTRICT,
        LISTED_PROVINCE,
        place=_CITY_FIRST,
    ),
    "HK": Format("line1! line2"),
    "MO": Format("line1! line2"),
    "SG": Format("line1! line2 postcode!", ("######",), "018956"),
    "MY": Format("line1! line2 postcode! city! region!", ("#####",), "50480", region=STATE),
    "TH": Format(_WITH_REGION, ("#####",), "10330", DISTRICT, place=_CITY_FIRST),
    "VN": Format("line1! line2 city! region postcode", ("#####", "######"), "10000", place=_CITY_FIRST),
    "PH": Format("line1! line2 city! region postcode!", ("####",), "1000"),
    "ID": Format(_WITH_REGION, ("#####",), "10110", place=_CITY_FIRST),
    "IN": Format(_WITH_REGION, ("######",), "110001", region=STATE, place=_CITY_FIRST),
    "AU": Format(_WITH_REGION, ("####",), "2000", SUBURB, STATE, place="city region postcode"),
    "NZ": Format("line1! line2 city! postcode!", ("####",), "6011", TOWN, place=_CITY_FIRST),
    "US": Format(_WITH_REGION, ("#####", "#####-####"), "94107", CITY, STATE, ZIP, _CITY_FIRST),
    "CA": Format(_WITH_REGION, ("@#@ #@#",), "K1A 0B1", region=LISTED_PROVINCE, place="city region postcode"),
    "MX": Format("line1! line2 postcode! city! region!", ("#####",), "06000", region=STATE),
    "BR": Format(_WITH_REGION, ("#####-###",), "01310-100", region=STATE, place="city - region, postcode"),
    "GB": Format(
        "line1! line2 city! postcode!",
        ("@# #@@", "@## #@@", "@#@ #@@", "@@# #@@", "@@## #@@", "@@#@ #@@"),
        "SW1A 1AA",
        TOWN,
        place="city\nregion\npostcode",
    ),
    "IE": Format(
        "line1! line2 city! region postcode!", ("@#* ****",), "D02 AF30", TOWN, COUNTY, place="city\nregion\npostcode"
    ),
    **{country: Format(_EUROPE, ("#####",), "10115") for country in ("DE", "FR", "FI")},
    **{country: Format(_EUROPE, ("####",), "1010") for country in ("AT", "CH", "BE", "LU", "DK", "NO")},
    **{country: Format(_EUROPE, ("### ##",), "111 22") for country in ("SE", "CZ", "GR")},
    "NL": Format(_EUROPE, ("#### @@",), "1012 JS"),
    "IS": Format(_EUROPE, ("###",), "101"),
    "ES": Format(f"{_EUROPE} region", ("#####",), "28013"),
    "IT": Format(f"{_EUROPE} region", ("#####",), "00184", place="postcode city region"),
    "PT": Format(_EUROPE, ("####-###",), "1100-148"),
    "PL": Format(_EUROPE, ("##-###",), "00-001"),
}


def of(country: str) -> Format:
    """The format of a country; for an unknown one, all fields."""
    return _FORMATS.get(country, _ANY)


def postcode(country: str, typed: str) -> str | None:
    """The postcode as the country writes it; None if it is none. Spaces, hyphens, 〒 and the code of the country before
    it do not matter.
    """
    compact = re.sub(r"[\s〒-]+", "", text.plain(typed)).upper()
    if any(character not in _CHARACTERS["*"] for character in compact):
        return None
    for one in dict.fromkeys((compact, compact.removeprefix(country), compact.removeprefix(country[:1]))):
        for shape in of(country).postcodes:
            if (found := _shaped(one, shape)) is not None:
                return found
    return None


_CHARACTERS = {"#": "0123456789", "@": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "*": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _shaped(compact: str, shape: str) -> str | None:
    """The characters in this form, None if they do not fit."""
    rest, found = iter(compact), ""
    for mark in shape:
        if mark not in _CHARACTERS:
            found += mark
        elif (character := next(rest, None)) is not None and character in _CHARACTERS[mark]:
            found += character
        else:
            return None
    return found if next(rest, None) is None else None


def checked(country: str, typed: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Sentence]]:
    """The address as it is stored, and the problems of its fields; fields that the country lacks are empty."""
    wanted, found, wrong = of(country), dict.fromkeys(FIELDS, ""), {}
    for name in wanted.fields:
        value = typed.get(name, "")
        found[name] = value
        if not value:
            if name in wanted.required:
                wrong[name] = wanted.words(name).missing
        elif name == "postcode":
            found[name] = postcode(country, value) or value
            if postcode(country, value) is None:
                wrong[name] = _not_a_postcode(wanted)
        elif name == "region" and regions.listed(country, "en"):
            found[name] = regions.key(country, value) or value
            if regions.key(country, value) is None:
                wrong[name] = wanted.region.missing
    return found, wrong


def _not_a_postcode(wanted: Format) -> Sentence:
    if wanted.postcode is ZIP:
        return sentence("Enter a ZIP code such as %(example)s.", example=wanted.example)
    return sentence("Enter a postcode such as %(example)s.", example=wanted.example)


def is_phone(typed: str) -> bool:
    """True for a phone number in any usual notation: at least five digits and no other letters than an extension."""
    plain = text.plain(typed)
    digits = sum(character.isdigit() for character in plain)
    return 5 <= digits <= 20 and re.fullmatch(r"\+?[0-9 ()./#*-]+(?:(?:x|ext\.?) ?[0-9]{1,6})?", plain) is not None
