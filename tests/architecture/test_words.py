"""Docstrings and comments name their subject in the terms of the glossary."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

import pytest

from tools.docs.code import Source, sources

PLACES = ("shop", "mock_acquirer", "tools", "bench", "deploy", "migrations", "tests", "e2e")
QUESTIONS = re.compile(r"(What|Who|Whose|Whether|How|One|Where)\b")
BANNED = re.compile(
    r"\b(whoever|nobody|somebody|hears?|heard|doors?|rooms?|floors?|lying|writing units?|by itself|kept at)\b", re.I
)
"""Words that have a standard term, or hide who does something; see docs/glossary.md."""
EVERYWHERE = re.compile(
    r"\b(whoever|somebody|everybody|mischief|nemesis|came to grief|come to grief|fates|put right|asks? back|goes home"
    r"|gone home|said no|says no|writing unit|by itself)\b",
    re.I,
)
"""Words that no docstring or comment outside of `shop/` uses."""


def odd_first_lines(files: Iterable[Source]) -> list[str]:
    """Modules whose docstring does not begin by naming its subject in standard terms."""
    found = []
    for file in files:
        first = (ast.get_docstring(file.tree) or "").split("\n\n")[0]
        if QUESTIONS.match(first) or (BANNED.search(first) and not file.path.startswith(("tests/", "e2e/"))):
            found.append(f"{file.path}: {first}")
    return found


def prose(file: Source) -> Iterator[str]:
    """Docstrings and comments of a file."""
    for node in file.nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def banned_words(files: Iterable[Source]) -> list[str]:
    """Uses of words that have a standard term."""
    found = [(file.path, EVERYWHERE.search(text), text) for file in files for text in prose(file)]
    return [f"{path}: {match[0]!r} in {text[:80]!r}" for path, match, text in found if match]


def test_modules_begin_by_naming_their_subject() -> None:
    assert odd_first_lines(sources(*PLACES)) == []


def test_docstrings_and_comments_use_standard_terms() -> None:
    assert (
        banned_words(source for source in sources(*PLACES[1:]) if source.path != "tests/architecture/test_words.py")
        == []
    )


@pytest.mark.parametrize("text", ["What waits.", "Whether it is paid.", "Webhooks nobody signed.", "Doors of staff."])
def test_an_odd_first_line_is_seen(text: str) -> None:
    assert odd_first_lines([Source.example("shop.core.odd", f'"""{text}"""')])


@pytest.mark.parametrize("text", ['"""Look for whoever asked."""', "x = 1  # somebody else was first"])
def test_a_banned_word_is_seen(text: str) -> None:
    assert banned_words([Source.example("bench.odd", text)])
