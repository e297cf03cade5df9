"""Readers find pages and files: the index of docs/ is complete, and the table of questions names files that exist."""

from __future__ import annotations

import re

from tests.architecture.test_docs import pages
from tools.docs.code import ROOT

INDEXES = ("docs/README.md", "docs/decisions/README.md")


def files_for_questions(text: str) -> dict[str, list[str]]:
    """Questions of the table "Find the file", and the paths that answer them."""
    table = text.partition("## Find the file\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+\?) \| (.+) \|$", table, re.M)
    return {question: re.findall(r"`([^`]+/[^`]*)`", answer) for question, answer in rows}


def missing_answers(text: str) -> list[str]:
    """Questions without a file, or with a file that does not exist."""
    return [
        question
        for question, paths in files_for_questions(text).items()
        if not paths or not all((ROOT / path).exists() for path in paths)
    ]


def test_every_question_about_the_code_names_a_file_that_exists() -> None:
    text = pages()["docs/architecture.md"]
    assert len(files_for_questions(text)) >= 20
    assert missing_answers(text) == []


def test_a_question_without_its_file_is_seen() -> None:
    table = "## Find the file\n\n| Where? | `shop/gone.py` |\n| Who? | somewhere |\n| Why? | `shop/explain/why.py` |\n"
    assert missing_answers(table) == ["Where?", "Who?"]


def test_every_page_is_in_the_index() -> None:
    linked = {
        (ROOT / index).parent.joinpath(target).resolve()
        for index in INDEXES
        for target in re.findall(r"\]\(([^)#\s]+\.md)", pages()[index])
    }
    assert [page for page in pages() if (ROOT / page).resolve() not in linked and page not in INDEXES] == []
