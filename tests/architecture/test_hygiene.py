"""Code rules, each with a wrong example that the check must find."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from tools.docs.code import Source, sources

LONGEST_FILE, LONGEST_FUNCTION = 400, 50
"""Limits of lines: of a file those that are not blank, of a function all."""
MAY_WAIT = frozenset({"tests/parts/waiting.py"})
"""Tests advance the clock or wait for an event; this one helper polls."""
MAY_MAKE_MARKUP = frozenset({"shop/http_kit/template_helpers.py", "shop/ops/formats.py"})
MAY_MARK_AS_SAFE = {
    ("shop/ops/formats.py", "Markup(_CELL.sub(with_label, str(escape(rows))))"): "rows that a template has escaped; "
    "with each piece between two cells as a Markup, a list takes several milliseconds longer",
}
"""The calls, word for word, that mark a text as safe which is no literal."""
MAY_COUNT_IN_FLOATS = {"mock_acquirer/times.py": "its amounts are lengths of time"}
_MONEY = re.compile(r"amount|money|price|total|minor|cents|paid|captured|refund", re.I)
_SLEEPS = ("sleep", "wait_for_timeout")
_NAIVE = {"utcnow", "utcfromtimestamp"}
PACKAGES = ("shop", "mock_acquirer")
TESTS = ("tests", "e2e")


def long_files(files: Iterable[Source]) -> list[str]:
    counted = ((file.path, sum(bool(line.strip()) for line in file.text.splitlines())) for file in files)
    return [f"{path}: {lines} lines" for path, lines in counted if lines > LONGEST_FILE]


def long_functions(files: Iterable[Source]) -> list[str]:
    return [
        f"{file.path}:{node.lineno} {node.name}: {length} lines"
        for file in files
        for node in file.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    ]


def bad_habits(files: Iterable[Source]) -> list[str]:
    """Calls that are forbidden in the packages."""
    return [f"{file.path}:{line} {what}" for file in files for line, what in _habits(file)]


def _habits(file: Source) -> Iterator[tuple[int, str]]:
    for node in file.nodes:
        if isinstance(node, ast.Attribute) and node.attr in _NAIVE:
            yield node.lineno, f"{node.attr} gives times without a zone"
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        if name == "print" and not file.module.endswith("__main__"):
            yield node.lineno, "prints; use the log"
        if name in ("render_template_string", "from_string"):
            yield node.lineno, "renders a template that is no file"
        if name == "Markup" and not _is_safe_markup(file, node):
            yield node.lineno, "marks text as safe"
        if name == "float" and file.path not in MAY_COUNT_IN_FLOATS and _MONEY.search(ast.unparse(node)):
            yield node.lineno, "makes a float of money"
        if name in ("Money", "round") and any(_is_fraction(argument) for argument in node.args[:1]):
            yield node.lineno, "counts money in fractions"
        if name == "now" and ast.unparse(node).endswith("datetime.now()"):
            yield node.lineno, "datetime.now() without a zone"


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_safe_markup(file: Source, call: ast.Call) -> bool:
    """A literal whose values are filled in and escaped by `format`, or the call of MAY_MARK_AS_SAFE."""
    literal = len(call.args) == 1 and isinstance(call.args[0], ast.Constant)
    return (file.path in MAY_MAKE_MARKUP and literal) or (file.path, ast.unparse(call)) in MAY_MARK_AS_SAFE


def _is_fraction(node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.BinOp)
        and isinstance(part.op, ast.Div)
        and _MONEY.search(ast.unparse(part))
        or isinstance(part, ast.Constant)
        and isinstance(part.value, float)
        for part in ast.walk(node)
    )


def sleepers(files: Iterable[Source]) -> list[str]:
    """Tests that sleep by the wall clock. Functions inside a test may, to simulate a slow client."""
    return [
        f"{file.path}:{node.lineno}"
        for file in files
        if file.path not in MAY_WAIT and any(name in file.text for name in _SLEEPS)
        for node in _outside_inner_functions(file.tree)
        if isinstance(node, ast.Call)
        and _name(node.func) in _SLEEPS
        and not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    ]


def _outside_inner_functions(node: ast.AST, *, inside: bool = False) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        if not (is_function and inside):
            yield child
            yield from _outside_inner_functions(child, inside=inside or is_function)


def test_no_file_is_too_long() -> None:
    assert long_files(sources(*PACKAGES, *TESTS)) == []


def test_a_file_that_is_too_long_is_seen() -> None:
    assert long_files([Source.example("shop.long", "x = 1\n\n" * LONGEST_FILE)]) == []
    assert long_files([Source.example("shop.long", "x = 1\n" * (LONGEST_FILE + 1))])


def test_no_function_is_too_long() -> None:
    assert long_functions(sources(*PACKAGES, *TESTS)) == []


def test_a_function_that_is_too_long_is_seen() -> None:
    assert long_functions([Source.example("shop.long", "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION)])


def test_no_bad_habits_in_the_packages() -> None:
    assert bad_habits(sources(*PACKAGES)) == []


@pytest.mark.parametrize(
    "text",
    [
        "print('x')",
        "datetime.utcnow()",
        "datetime.datetime.now()",
        "render_template_string(text)",
        "Markup(f'<b>{name}</b>')",
        "Markup('<b>' + name)",
        "float(order.total_amount)",
        "float(row['price'])",
        "Money(total / 2, 'TWD')",
        "Money(12.5, 'TWD')",
    ],
)
def test_a_bad_habit_is_seen(text: str) -> None:
    assert bad_habits([Source.example("shop.http_kit.template_helpers", text)])


@pytest.mark.parametrize("text", ["Markup(rows)", "Markup(str(rows))", "Markup(_CELL.sub(with_label, str(rows)))"])
def test_the_call_that_marks_rows_as_safe_allows_no_other(text: str) -> None:
    assert bad_habits([Source.example("shop.ops.formats", text)])


def test_each_call_that_marks_a_text_as_safe_exists_once() -> None:
    found = [
        (file.path, ast.unparse(node))
        for file in sources(*PACKAGES)
        for node in file.nodes
        if isinstance(node, ast.Call) and _name(node.func) == "Markup"
        if (file.path, ast.unparse(node)) in MAY_MARK_AS_SAFE
    ]
    assert sorted(found) == sorted(MAY_MARK_AS_SAFE)


def test_no_test_sleeps() -> None:
    assert sleepers(s for s in sources(*TESTS) if not s.path.startswith("tests/architecture/")) == []


@pytest.mark.parametrize("text", ["time.sleep(1)", "class T:\n    def f(self):\n        page.wait_for_timeout(500)"])
def test_a_test_that_sleeps_is_seen(text: str) -> None:
    assert sleepers([Source.example("tests.web.test_x", text)])


def test_a_slow_server_inside_a_test_is_no_sleeping_test() -> None:
    text = "def test_x():\n    def slow_server():\n        time.sleep(1)\n"
    assert sleepers([Source.example("tests.web.test_x", text)]) == []
