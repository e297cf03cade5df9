"""Queries, their limits and their forms, and typing errors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.product_search import query, spelling
from shop.product_search.query import Term
from tests.parts.selection import sampled

LETTERS = st.text("abcdeé", min_size=4, max_size=14)


def exact(typed: str) -> list[tuple[str, ...]]:
    return [part.exact for part in query.parse(typed)]


def test_words_are_found_alone_and_joined_with_their_neighbours() -> None:
    assert exact("tea pots") == [("tea", "teapots", "teapot"), ("pots", "pot", "teapots", "teapot")]
    assert [part.beginnings for part in query.parse("tea pots")] == [("tea", "teapots"), ("pots", "teapots")]


def test_pairs_of_characters_are_all_found_and_a_single_one_is_itself() -> None:
    assert exact("茶壺蓋") == [("茶壺",), ("壺蓋",)]
    assert exact("茶") == [("茶",)]


@pytest.mark.parametrize("typed", ["", "%", "' OR 1=1 --"[:1], "🫖", "\x00", "***"])
def test_a_query_without_words_has_no_parts(typed: str) -> None:
    assert query.parse(typed) == []


def test_a_long_query_is_cut() -> None:
    assert len(query.parse("a b c d e f g h i j k l m n o p q r")) == query.MOST_WORDS
    assert len(query.parse("".join(map(chr, range(0x4E00, 0x4E60))))) == query.MOST_PARTS
    assert len(query.parse("x" * 10_000)[0].exact[0]) == 40


def test_the_ranks_are_name_then_beginnings_then_category_then_anywhere() -> None:
    ranks = query.ranks(query.parse("tea"), {"drinks": frozenset({"tea"}), "desk": frozenset({"paper"})})
    assert ranks == [
        ((Term("§tea"),),),
        ((Term("§tea"), Term("§tea", True)),),
        ((Term("§tea"), Term("§tea", True), Term("¤drinks")),),
        ((Term("tea"), Term("tea", True), Term("¤drinks")),),
    ]


def test_terms_are_quoted_for_each_database() -> None:
    condition = ((Term("a'b\"\\"), Term("c", True)), (Term("d"),))
    assert query.for_fts5(condition) == '("a\'b""\\" OR "c" *) AND ("d")'
    assert query.for_tsquery(condition) == "('a''b\"\\\\' | 'c':*) & ('d')"
    assert query.for_fts5(((Term("a"),),), ((Term("b"),),)) == '(("a")) NOT (("b"))'


# --- typing errors ---


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [("teapot", "teapot", 0), ("teapto", "teapot", 1), ("tepot", "teapot", 1), ("teappot", "teapot", 1)]
    + [("taepto", "teapot", 2), ("lamp", "teapot", 3)],
)
def test_typing_errors_are_counted(one: str, other: str, far: int) -> None:
    assert spelling.distance(one, other, 2) == spelling.distance(other, one, 2) == far


@settings(max_examples=sampled(50, 5000), deadline=None)
@given(LETTERS, st.data())
def test_a_word_with_one_error_has_a_deletion_in_common(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 2))
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    for typed in (word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word[:at] + "x" + word[at + 1 :], swapped):
        if spelling.is_corrected(typed):
            assert spelling.deletions(typed) & spelling.deletions(word)
            assert spelling.nearest(typed, [word, "zzzzzz"]) == [word]


def test_the_nearest_words_come_first_and_are_few() -> None:
    assert spelling.nearest("teapto", ["teapot", "lamp"]) == ["teapot"]
    assert spelling.nearest("lanps", ["lamps", "lands", "lanes", "lans"]) == ["lamps", "lands", "lanes"]
    assert not spelling.is_corrected("pot") and not spelling.is_corrected("1234") and spelling.is_corrected("lamp")
