"""docs/proof.md is true: each number is there, each test that it names exists, and what is put off is not there yet."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from docs.make.code import ROOT, sources

PAGE = ROOT / "docs" / "proof.md"
TABLES = {"Cases": 33, "Faults": 44, "Attacks": 24, "Invariants": 12}
OF_THEIR_OWN = ("tests/faults", "tests/security")
"""Folders whose tests are there for this page: each is named on it."""
_ROW = re.compile(r"^\| (\d+)( ★)? \| (.+?) \| (.+) \|$", re.M)
_TEST = re.compile(r"\[([^\]]+)\]\(\.\./((?:tests|e2e)/[\w/]+\.py)\)")
_PUT_OFF = re.compile(r"not yet: ([a-z_.]+(?:, [a-z_.]+)*)")


@dataclass(frozen=True)
class Row:
    """One line of a table: what must hold, the tests that prove it as (file, name), rooms that are still to come."""

    table: str
    number: int
    in_a_browser: bool
    says: str
    tests: tuple[tuple[str, str], ...]
    put_off: tuple[str, ...]


def rows(text: str) -> list[Row]:
    found = []
    for title, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        for number, star, says, proof in _ROW.findall(body):
            tests = tuple((path, named(sentence)) for sentence, path in _TEST.findall(proof))
            put_off = tuple(room for rooms in _PUT_OFF.findall(proof) for room in rooms.split(", "))
            found.append(Row(title, int(number), bool(star), says, tests, put_off))
    return found


def named(sentence: str) -> str:
    """The name of the test that is this sentence."""
    return "test_" + re.sub(r"[^a-z0-9]+", "_", sentence.lower().replace("'", "")).strip("_")


@cache
def names_in(path: str) -> frozenset[str]:
    """The tests of a file, those of its classes included."""
    tree = ast.parse((ROOT / path).read_text())
    found = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in found if name.startswith("test_"))


def missing_numbers(found: list[Row]) -> list[str]:
    """Numbers that a table lacks, or has twice."""
    has = {title: [row.number for row in found if row.table == title] for title in TABLES}
    return [title for title, last in TABLES.items() if has[title] != list(range(1, last + 1))]


def lost_tests(found: list[Row]) -> list[str]:
    """Tests that are named and do not exist."""
    return [
        f"{row.table} {row.number}: {path}::{name}"
        for row in found
        for path, name in row.tests
        if not (ROOT / path).is_file() or name not in names_in(path)
    ]


def unproven(found: list[Row]) -> list[str]:
    """Rows without a test whose room is there, and starred ones that no browser plays."""
    bare = [row for row in found if not row.tests and not row.put_off]
    unplayed = [row for row in found if row.in_a_browser and not any(path.startswith("e2e/") for path, _ in row.tests)]
    return [f"{row.table} {row.number}" for row in (*bare, *unplayed)]


def rooms_that_came(found: list[Row], modules: frozenset[str]) -> list[str]:
    """Rooms that a row still waits for although they are there."""
    return [
        f"{row.table} {row.number}: {room}"
        for row in found
        for room in row.put_off
        if any(module == room or module.startswith(f"{room}.") for module in modules)
    ]


def unnamed(found: list[Row]) -> list[str]:
    """Tests in the folders of their own that prove nothing on the page."""
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
    """Modules of the shop with more in them than a docstring."""
    return frozenset(source.module for source in sources("shop") if len(source.tree.body) > 1)


def test_every_case_fault_attack_and_invariant_has_its_row() -> None:
    assert missing_numbers(list(page())) == []


def test_every_test_that_is_named_exists() -> None:
    assert lost_tests(list(page())) == []


def test_every_row_is_proven_and_every_star_by_a_browser() -> None:
    assert unproven(list(page())) == []


def test_what_waits_for_a_room_has_no_such_room_yet() -> None:
    assert rooms_that_came(list(page()), modules()) == []


def test_tests_of_faults_and_attacks_are_all_on_the_page() -> None:
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
        (unproven, ["Attacks 5", "Attacks 2"]),
        (lambda found: rooms_that_came(found, modules()), ["Attacks 3: shop.core.money"]),
    ],
)
def test_a_row_that_is_not_true_is_seen(check, seen: list[str]) -> None:  # type: ignore[no-untyped-def]
    assert check(rows(PLANTED)) == seen
