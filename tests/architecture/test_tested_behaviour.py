"""docs/tested-behaviour.md: every number has a row, every test exists, and modules that rows wait for do not."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tools.docs.code import ROOT, sources

PAGE = ROOT / "docs" / "tested-behaviour.md"
TABLES = {"Cases": 33, "Faults": 44, "Attacks": 24, "Invariants": 12}
OF_THEIR_OWN = ("tests/faults", "tests/security")
"""Folders of which the page names every test."""
_ROW = re.compile(r"^\| (\d+)( ★)? \| (.+?) \| (.+) \|$", re.M)
_TEST = re.compile(r"\[([^\]]+)\]\(\.\./((?:tests|e2e)/[\w/]+\.py)\)")
_PUT_OFF = re.compile(r"not yet: ([a-z_.]+(?:, [a-z_.]+)*)")


@dataclass(frozen=True)
class Row:
    """One line of a table: what must hold, its tests as (file, name), and modules that do not exist yet."""

    table: str
    number: int
    in_a_browser: bool
    statement: str
    tests: tuple[tuple[str, str], ...]
    put_off: tuple[str, ...]


def rows(text: str) -> list[Row]:
    found = []
    for title, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        for number, star, statement, tests_column in _ROW.findall(body):
            tests = tuple((path, named(sentence)) for sentence, path in _TEST.findall(tests_column))
            put_off = tuple(name for names in _PUT_OFF.findall(tests_column) for name in names.split(", "))
            found.append(Row(title, int(number), bool(star), statement, tests, put_off))
    return found


def named(sentence: str) -> str:
    """Return the name of the test for this sentence."""
    return "test_" + re.sub(r"[^a-z0-9]+", "_", sentence.lower().replace("'", "")).strip("_")


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the tests of a file, those of its classes included."""
    tree = ast.parse((ROOT / path).read_text())
    found = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in found if name.startswith("test_"))


def missing_numbers(found: list[Row]) -> list[str]:
    """Tables in which a number is missing or doubled."""
    has = {title: [row.number for row in found if row.table == title] for title in TABLES}
    return [title for title, last in TABLES.items() if has[title] != list(range(1, last + 1))]


def lost_tests(found: list[Row]) -> list[str]:
    """Named tests that do not exist."""
    return [
        f"{row.table} {row.number}: {path}::{name}"
        for row in found
        for path, name in row.tests
        if not (ROOT / path).is_file() or name not in names_in(path)
    ]


def untested(found: list[Row]) -> list[str]:
    """Rows without a test, and starred rows without a browser test."""
    bare = [row for row in found if not row.tests and not row.put_off]
    unplayed = [row for row in found if row.in_a_browser and not any(path.startswith("e2e/") for path, _ in row.tests)]
    return [f"{row.table} {row.number}" for row in (*bare, *unplayed)]


def modules_that_exist(found: list[Row], modules: frozenset[str]) -> list[str]:
    """Modules that a row waits for although they exist."""
    return [
        f"{row.table} {row.number}: {name}"
        for row in found
        for name in row.put_off
        if any(module == name or module.startswith(f"{name}.") for module in modules)
    ]


def unnamed(found: list[Row]) -> list[str]:
    """Tests in these folders that the page does not name."""
    on_it = {test for row in found for test in row.tests}
    files = [path for folder in OF_THEIR_OWN for path in sorted((ROOT / folder).rglob("test_*.py"))]
    there = {(file.relative_to(ROOT).as_posix(), name) for file in files for name in _own_tests(file)}
    return [f"{path}::{name}" for path, name in sorted(there - on_it)]


def _own_tests(file: Path) -> frozenset[str]:
    return names_in(file.relative_to(ROOT).as_posix())


@cache
def page() -> tuple[Row, ...]:
    return tuple(rows(PAGE.read_text()))


def modules() -> frozenset[str]:
    """Modules of the shop that contain more than a docstring."""
    return frozenset(source.module for source in sources("shop") if len(source.tree.body) > 1)


def test_every_case_fault_attack_and_invariant_has_its_row() -> None:
    assert missing_numbers(list(page())) == []


def test_every_named_test_exists() -> None:
    assert lost_tests(list(page())) == []


def test_every_row_has_a_test_and_every_star_a_browser_test() -> None:
    assert untested(list(page())) == []


def test_modules_that_rows_wait_for_do_not_exist_yet() -> None:
    assert modules_that_exist(list(page()), modules()) == []


def test_the_page_names_every_test_of_faults_and_attacks() -> None:
    assert unnamed(list(page())) == []


PLANTED = """
## Attacks
| # | What must hold | Proof |
| --- | --- | --- |
| 1 | nothing | [The sky is green](../tests/security/test_forms.py) |
| 2 ★ | nothing | [Templates keep to the policy](../tests/architecture/test_templates.py) |
| 3 | nothing | not yet: shop.core.money, shop.moon |
| 5 | nothing | somebody will look at it |
"""


@pytest.mark.parametrize(
    ("check", "seen"),
    [
        (missing_numbers, list(TABLES)),
        (lost_tests, ["Attacks 1: tests/security/test_forms.py::test_the_sky_is_green"]),
        (untested, ["Attacks 5", "Attacks 2"]),
        (lambda found: modules_that_exist(found, modules()), ["Attacks 3: shop.core.money"]),
    ],
)
def test_a_wrong_row_is_seen(check, seen: list[str]) -> None:  # type: ignore[no-untyped-def]
    assert check(rows(PLANTED)) == seen
