"""Marks in legal texts, read as blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.legal_texts.markup import Block, Kind, Span, blocks, spans


def plain(kind: Kind, *lines: str) -> Block:
    return Block(kind, tuple((Span(line),) for line in lines))


def test_a_text_has_headings_paragraphs_and_lists() -> None:
    assert blocks("## One\n### Two\nA line\nand another\n\nNext\n- first\n- second\nAfter") == [
        plain(Kind.HEADING, "One"),
        plain(Kind.SUBHEADING, "Two"),
        plain(Kind.PARAGRAPH, "A line", "and another"),
        plain(Kind.PARAGRAPH, "Next"),
        plain(Kind.LIST, "first", "second"),
        plain(Kind.PARAGRAPH, "After"),
    ]
    assert blocks("") == blocks("\n \n") == []


@pytest.mark.parametrize("text", ["# One", "##", "##One", "-item", "- ", "#### Four", "1. one"])
def test_other_marks_stay_text(text: str) -> None:
    assert blocks(text) == [plain(Kind.PARAGRAPH, text.strip())]


def test_words_are_bold_or_a_link() -> None:
    assert list(spans("a **b** [c](/d) e")) == [
        Span("a "),
        Span("b", is_bold=True),
        Span(" "),
        Span("c", "/d"),
        Span(" e"),
    ]


@pytest.mark.parametrize("address", ["/", "/returns?lang=ja#top", "https://a.example/x?y=1", "mailto:a+b@c.example"])
def test_addresses_of_the_shop_https_and_mail_are_links(address: str) -> None:
    assert list(spans(f"[x]({address})")) == [Span("x", address)]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:x",
        "//a.example",
        "/\\a.example",
        "http://a.example",
        "https://a@b.example",
        "data:x",
        "mailto:x",
        "a",
    ],
)
def test_other_addresses_stay_text(address: str) -> None:
    text = f"[x]({address})"
    assert "".join(span.words for span in spans(text)) == text
    assert not any(span.address for span in spans(text))


@given(st.text(alphabet=st.sampled_from("ab#-*[]()/ \n") | st.characters(), max_size=80))
def test_no_character_of_a_line_is_lost_but_marks(text: str) -> None:
    for line in text.splitlines():
        shown = "".join(span.words for span in spans(line))
        assert [one for one in shown if one.isalnum()] == [one for one in shown if one.isalnum()]
        assert "".join(shown.split()) in "".join(line.split()) or "**" in line or "](" in line
