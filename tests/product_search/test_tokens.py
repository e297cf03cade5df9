"""Tokens of texts: words of Latin scripts, characters and pairs of Chinese and Japanese."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.product_search import highlight, query, tokens
from tests.parts.selection import sampled

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]) | st.sampled_from("éÉßﬁＴㄅ茶壺ﾃｨｰポっ々'’-ー·²½İ゙́"),
    max_size=40,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Teapot", {"teapot"}),
        ("CAFÉ crème", {"cafe", "creme", "cafecreme"}),
        ("Straße", {"strasse"}),
        ("lamps", {"lamps", "lamp"}),
        ("glasses", {"glasses", "glass"}),
        ("berries", {"berries", "berry"}),
        ("boxes dress", {"boxes", "box", "dress", "boxesdress"}),
        ("children's", {"childrens", "children"}),
        ("tea pot", {"tea", "pot", "teapot"}),
        ("tea-pot", {"tea", "pot", "teapot"}),
        ("ＴＥＡ", {"tea"}),
        ("750 ml", {"750", "ml", "750ml"}),
        ("茶壺", {"茶", "壺", "茶壺"}),
        ("青い茶", {"青", "い", "茶", "青い", "い茶"}),
        ("カーテン", {"か", "て", "ん", "かて", "てん"}),
        ("ｶｰﾃﾝ", {"か", "て", "ん", "かて", "てん"}),
        ("かーてん", {"か", "て", "ん", "かて", "てん"}),
        ("ガラス", {"が", "ら", "す", "がら", "らす"}),
        ("ｶﾞﾗｽ", {"が", "ら", "す", "がら", "らす"}),
        ("LEDランプ", {"led", "ら", "ん", "ぷ", "らん", "んぷ"}),
        ("чайник", {"чаиник"}),
        ("", set()),
        ("%_\\'\"*()^{}:&|!-", set()),
        ("🫖 ☕", set()),
        ("\x00tea\x00", {"tea"}),
    ],
)
def test_a_text_has_these_tokens(text: str, found: set[str]) -> None:
    assert tokens.indexed(text) == found


def test_a_long_word_counts_up_to_a_limit() -> None:
    assert tokens.indexed("x" * 10_000) == {"x" * tokens.LONGEST_WORD}


@settings(max_examples=sampled(50, 5000), deadline=None)
@given(WORDS)
def test_texts_that_look_the_same_have_the_same_tokens(text: str) -> None:
    found = tokens.indexed(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert tokens.indexed(unicodedata.normalize(form, text)) == found


@settings(max_examples=sampled(50, 5000), deadline=None)
@given(WORDS)
def test_a_token_has_letters_or_digits_only_and_is_a_token_of_itself(text: str) -> None:
    for token in tokens.indexed(text):
        assert token in tokens.indexed(token)
        assert not set(token) & set(" \x00'\"\\*()^{}:&|!%_" + query.IN_NAME + query.CATEGORY)


@settings(max_examples=sampled(50, 5000), deadline=None)
@given(WORDS)
def test_each_part_of_a_query_for_a_text_is_in_its_index(text: str) -> None:
    found = tokens.indexed(text)
    assert all(found & set(part.exact) for part in query.parse(text))


@settings(max_examples=sampled(50, 5000), deadline=None)
@given(WORDS, WORDS)
def test_a_marked_text_is_the_text(text: str, typed: str) -> None:
    pieces = highlight.marked(text, query.parse(typed))
    assert "".join(piece for piece, _ in pieces) == text
    assert not any(is_found and not piece for piece, is_found in pieces)


@pytest.mark.parametrize(
    ("typed", "text", "shown"),
    [
        ("lamp", "Lamps & a lamp", "[Lamps] & a [lamp]"),
        ("tea pot", "Celadon Teapot", "Celadon [Teapot]"),
        ("teapot", "A tea pot", "A [tea pot]"),
        ("cele", "Celery", "[Celery]"),
        ("茶壺", "青瓷茶壺", "青瓷[茶壺]"),
        ("てぃーぽっと", "青磁のティーポット", "青磁の[ティーポット]"),
        ("cafe", "Le Café", "Le [Café]"),
        ("x", "<b>", "<b>"),
    ],
)
def test_what_was_found_is_marked(typed: str, text: str, shown: str) -> None:
    pieces = highlight.marked(text, query.parse(typed))
    assert "".join(f"[{piece}]" if is_found else piece for piece, is_found in pieces) == shown
