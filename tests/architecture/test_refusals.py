"""HTTP status of refusals: one table by code, so that a code has one status wherever it is raised."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from shop.core.errors import STATUS, Away, BadInput, PassiveCopy, Refusal

CLASSES: dict[str, type[Refusal]] = {one.__name__: one for one in (Refusal, BadInput, Away, PassiveCopy)}
SHOP = Path(__file__).parents[2] / "shop"


def raised() -> dict[str, set[int]]:
    """Each code with the HTTP statuses of the classes that it is raised with."""
    found: dict[str, set[int]] = defaultdict(set)
    for path in sorted(SHOP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                note(node, node.func.id if isinstance(node.func, ast.Name) else "", found)
            elif isinstance(node, ast.ClassDef):
                base = next((one.id for one in node.bases if isinstance(one, ast.Name) and one.id in CLASSES), "")
                for call in (one for one in ast.walk(node) if isinstance(one, ast.Call)):
                    if isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
                        note(call, base, found)
    return found


def note(call: ast.Call, name: str, found: dict[str, set[int]]) -> None:
    code = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    if name in CLASSES and isinstance(code, str):
        found[code].add(STATUS.get(code, CLASSES[name].usual_status))


def test_every_code_has_one_status() -> None:
    found = raised()
    assert len(found) > 60
    assert {code: statuses for code, statuses in found.items() if len(statuses) > 1} == {}


def test_the_table_has_no_code_that_nothing_raises() -> None:
    assert set(STATUS) - set(raised()) <= {"too_many_unpaid"}, "its class chooses between two codes"
