"""Typed and pasted names, addresses and numbers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.core import email_address, text

KEPT = [
    "علی‌رضا",  # Persian, with the non-joiner
    "می‌خواهم",
    "ශ්‍රී ලංකා",  # Sinhala, with the joiner after a virama
    "ක්‍ෂ",
    "র‍্যাব",  # Bengali, the joiner before a virama
    "ന്‍",  # Malayalam, a chillu at the end of a word
    "क्‍ष",
    "\U00031350田",  # a Han letter that Python 3.11 does not know
    "\U00030edd\U00030ede麺",
    "葛\U000e0100城",  # a Han letter with its variant chosen
    "👩‍🍳 Ada",
    "👩🏽‍💻",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "O’Brien-Åström",
    "Nguyễn Thị Minh Khai",
    "\ue000",  # private use: rare letters of Hong Kong
]


@pytest.mark.parametrize("name", KEPT)
def test_what_carries_meaning_stays_and_is_no_reason_to_refuse(name: str) -> None:
    assert text.tidy(name) == unicodedata.normalize("NFC", name)
    assert not text.is_unusable(name)


@pytest.mark.parametrize(
    ("pasted", "kept"),
    [
        ("\u202aAda Lin\u202c", "Ada Lin"),
        ("\u2068Ada\u2069 \u200eLin\u200f", "Ada Lin"),
        ("Ada\u200bLin\ufeff", "AdaLin"),
        ("\u200dAda\u200c Lin\u200d", "Ada Lin"),
        ("A\u200dda", "Ada"),
        ("soft\u00adhyphen", "softhyphen"),
        ("علی\u200c", "علی"),
        ("Ada\u00a0\u3000 Lin\r\n", "Ada Lin"),
        ("Jose\u0301", "José"),
        ("Ada\ufffe", "Ada"),
        ("x\U000e0067", "x"),
    ],
)
def test_invisible_characters_of_a_paste_are_removed(pasted: str, kept: str) -> None:
    assert text.tidy(pasted) == kept


@pytest.mark.parametrize(
    "nothing", ["", " ", "\u200b", "\u3164", "\u115f\u1160", "\u2800", "\u200d\u200c", "\ufe0f", "\u0301"]
)
def test_a_name_of_which_nothing_is_seen_is_empty(nothing: str) -> None:
    assert text.tidy(nothing) == ""


@pytest.mark.parametrize("bad", ["Ada\x00", "\x07", "a\x1bb", "\ud800", "x\x7f", "\x9b"])
def test_control_characters_and_surrogates_alone_are_refused(bad: str) -> None:
    assert text.is_unusable(text.tidy(bad))


@given(st.text())
def test_tidying_twice_changes_nothing_more(written: str) -> None:
    once = text.tidy(written)
    assert text.tidy(once) == once
    assert not any(unicodedata.category(letter) in "ZlZp" and letter != " " for letter in once)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("１２．５０", "12.50"),
        ("１５０－０００１", "150-0001"),
        ("150ー0001", "150-0001"),
        ("٣٤", "34"),
        ("ＳＷ１Ａ　１ＡＡ", "SW1A 1AA"),
    ],
)
def test_numbers_are_read_in_the_digits_of_every_keyboard(typed: str, read: str) -> None:
    assert text.plain(typed) == read


ONE_PERSON = [
    "ada@bücher.example",
    "Ada@BÜCHER.example",
    "ada@xn--bcher-kva.example",
    "ada@XN--BCHER-KVA.EXAMPLE",
    "ada@bu\u0308cher.example",
    "ａｄａ＠ｂücher．ｅｘａｍｐｌｅ",
    " ada@bücher.example\u200b",
    "\u202aada@bücher.example\u202c",
    "ada@bücher。example",
]


@pytest.mark.parametrize("typed", ONE_PERSON)
def test_every_way_of_typing_an_address_is_one_address(typed: str) -> None:
    assert email_address.normal(typed) == email_address.for_lookup(typed) == "ada@bücher.example"


def test_dots_and_plus_signs_of_the_local_part_make_another_address() -> None:
    assert len({email_address.normal(one) for one in ("a.b@x.com", "ab@x.com", "ab+c@x.com")}) == 3
    assert email_address.normal("e\u0301@x.com") == email_address.normal("É@x.com")


@pytest.mark.parametrize(
    "no",
    [
        "",
        "ada",
        "@x.com",
        "ada@",
        "ada@x..com",
        "a da@x.com",
        "x" * 400 + "@x.com",
        "x" * 65 + "@e.com",
        "ada@\ud800.com",
        "\x00@x.com",
    ],
)
def test_what_is_no_address_is_none_and_is_looked_up_without_harm(no: str) -> None:
    with pytest.raises(email_address.NotAnAddress):
        email_address.normal(no)
    assert email_address.for_lookup(no) == no.lower()[:254]


@given(st.text())
def test_no_text_breaks_the_lookup_of_an_address(written: str) -> None:
    once = email_address.for_lookup(written)
    assert email_address.for_lookup(once) == once
