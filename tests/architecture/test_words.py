"""Docstrings and comments name their subject in the terms of the glossary."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

import pytest

from tools.docs.code import ROOT, Source, sources

PLACES = ("shop", "mock_acquirer", "tools", "bench", "deploy", "migrations", "tests", "e2e")
QUESTIONS = re.compile(r"(What|Who|Whose|Whether|How|One|Where)\b")
BANNED = re.compile(
    r"\b(whoever|nobody|somebody|anybody|everybody|hears?|heard|told|doors?|rooms?|floors?|lying|writing units?"
    r"|by itself"
    r"|kept at|mischief|nemesis|came to grief|come to grief|fates|put right|asks? back|went back|goes home|gone home"
    r"|said no|says no|the books|at will|wish(es|ed)?|in our words|makes? us ask|speaks?)\b|(?<!`)\bbuyers?\b",
    re.I,
)
"""Words that have a standard term, or hide who does something; see docs/glossary.md."""
OLD_NAMES = frozenset(
    {"hear", "heard", "told", "town", "Town", "ear", "Ear", "doors", "Doors", "ask_taken", "wish_closed"}
)
"""Names that were replaced by standard terms."""
OLD_NAMES_OF_THE_SHOP = frozenset(
    {
        *("Buyer", "buyer", "buyers", "Move", "MOVES", "SettledLine", "Beat", "beat", "beats", "lookouts", "books"),
        *("tells", "tell_outcome", "_tell", "said", "_said", "says", "_says", "ask", "_ask", "asked", "asker"),
        *(
            "asked_by",
            "asked_at",
            "last_press",
            "gone_back",
            "strange",
            "came",
            "nobody",
            "somebody",
            "someone",
            "wish",
        ),
        *("_take", "_taken", "_told", "_heard", "_gone"),
    }
)
"""The same, which the mock acquirer still uses."""
OLD_WORDS_OF_TESTS = re.compile(
    r"_(hears?|heard|told|tells?|says?|said|asks?|asked|buyers?|nobody|somebody|everybody|whoever|speaks?|gone|went)(_|$)"
)


def odd_first_lines(files: Iterable[Source]) -> list[str]:
    """Modules whose docstring does not begin by naming its subject in standard terms."""
    found = []
    for file in files:
        first = (ast.get_docstring(file.tree) or "").split("\n\n")[0]
        if QUESTIONS.match(first):
            found.append(f"{file.path}: {first}")
    return found


def prose(file: Source) -> Iterator[str]:
    """Docstrings and comments of a file that could have a banned word."""
    if not BANNED.search(file.text):  # reading the parts of a file is slow
        return
    for node in file.nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(file.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def banned_words(files: Iterable[Source]) -> list[str]:
    """Uses of words that have a standard term."""
    found = [(file.path, BANNED.search(text), text) for file in files for text in prose(file)]
    return [f"{path}: {match[0]!r} in {text[:80]!r}" for path, match, text in found if match]


def old_names(files: Iterable[Source], names: frozenset[str] = OLD_NAMES) -> list[str]:
    """Uses of names that were replaced."""
    anywhere = re.compile(rf"\b({'|'.join(sorted(names))})\b")
    return [
        f"{file.path}:{token.start[0]}: {token.string}"
        for file in files
        if anywhere.search(file.text)  # cutting a file into tokens is slow
        for token in tokenize.generate_tokens(io.StringIO(file.text).readline)
        if token.type == tokenize.NAME and token.string in names
    ]


def odd_test_names(files: Iterable[Source]) -> list[str]:
    """Names of tests with a word that has a standard term."""
    names = ((file.path, node.name) for file in files for node in file.nodes if isinstance(node, ast.FunctionDef))
    return [f"{path}: {name}" for path, name in names if name.startswith("test_") and OLD_WORDS_OF_TESTS.search(name)]


def ours(*places: str) -> list[Source]:
    """Files that are not about the mock acquirer."""
    return [file for file in sources(*places) if not file.path.startswith("tests/acquirer/")]


def test_modules_begin_by_naming_their_subject() -> None:
    assert odd_first_lines(sources(*PLACES)) == []


def test_docstrings_and_comments_use_standard_terms() -> None:
    assert banned_words(file for file in sources(*PLACES) if file.path != "tests/architecture/test_words.py") == []


def test_pages_of_the_console_use_standard_terms() -> None:
    pages = sorted((ROOT / "templates" / "ops").glob("*.html"))
    found = [(page.name, BANNED.search(page.read_text())) for page in pages]
    assert pages and [f"{name}: {match[0]!r}" for name, match in found if match] == []


def test_replaced_names_do_not_come_back() -> None:
    assert old_names(sources(*PLACES)) == []
    assert old_names(ours("shop", "bench", "deploy", "tests", "e2e"), OLD_NAMES_OF_THE_SHOP) == []


def test_names_of_tests_use_standard_terms() -> None:
    assert odd_test_names(ours("tests", "e2e")) == []


@pytest.mark.parametrize("text", ["What waits.", "Whether it is paid."])
def test_an_odd_first_line_is_seen(text: str) -> None:
    assert odd_first_lines([Source.example("shop.core.odd", f'"""{text}"""')])


@pytest.mark.parametrize(
    "text", ['"""Look for whoever asked."""', "x = 1  # somebody else was first", '"""Webhooks nobody signed."""']
)
def test_a_banned_word_is_seen(text: str) -> None:
    assert banned_words([Source.example("shop.core.odd", text)])


def test_an_old_name_is_seen() -> None:
    assert old_names([Source.example("shop.core.odd", "def hear(): ...")])


def test_an_odd_test_name_is_seen() -> None:
    assert odd_test_names([Source.example("tests.core.odd", "def test_a_payment_nobody_heard_of(): ...")])
