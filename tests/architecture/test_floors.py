"""A room uses its own files and the floors below: never sideways, never up, not even inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import pytest

from docs.make.code import ROOT, Source, import_graph, imports, sources
from docs.make.house import FLOOR_OF, PROVIDERS, PROVIDERS_MAY_USE, room_of

SHOP, ACQUIRER = "shop", "mock_acquirer"
DOORS_OF_THE_ACQUIRER = ("pages", "dashboard", "workbench", "control", "lab")
KNOW_BOTH_WORLDS = {
    "wsgi": "serves the acquirer beside the shop when it is mounted",
    "deploy.release": "prepares both databases when it is mounted",
}
"""Files outside of the packages that import both, and why."""
READ_REQUESTS = {
    "shop.accounts.sessions": "a sign-in is what the cookie of a request says",
    "mock_acquirer.guards": "checks callers for the pages",
    "mock_acquirer.throttle": "counts callers",
    "mock_acquirer.web": "holds for every request",
}
"""Files besides the doors that look at the request, and why."""


def steps_off_the_floor(files: Iterable[Source]) -> list[str]:
    """Imports that go sideways or up, and rooms that the table does not know."""
    found = []
    known = {s.module for s in sources(SHOP)}
    for file in files:
        room = room_of(file.module)
        if room not in FLOOR_OF:
            found.append(f"{file.path}: the house has no room {room}")
            continue
        for used in imports(file, known):
            if used.split(".")[0] != SHOP or room_of(used) == room:
                continue
            if FLOOR_OF.get(room_of(used), 99) >= FLOOR_OF[room] and room != "roof":
                found.append(f"{file.path}: {room} must not use {used}")
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files that all need each other (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for used in sorted(graph[name]):
            if used not in order:
                visit(used)
            if used in stack:
                low[name] = min(low[name], low[used])
        if low[name] == order[name]:
            group = [stack.pop()]
            while group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1 or name in graph[name]:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return found


def between_worlds(files: Iterable[Source]) -> list[str]:
    """Imports from one world into the other."""
    other = {SHOP: ACQUIRER, ACQUIRER: SHOP}
    return [
        f"{file.path} imports {used}"
        for file in files
        for used in imports(file, ())
        if used.split(".")[0] == other[file.module.split(".")[0]]
    ]


def bridges(files: Iterable[Source]) -> list[str]:
    """Files outside of the packages that import both worlds and may not."""
    both = {SHOP, ACQUIRER}
    return [
        file.path
        for file in files
        if both <= {used.split(".")[0] for used in imports(file, ())} and file.module not in KNOW_BOTH_WORLDS
    ]


def providers_that_know_too_much(files: Iterable[Source]) -> list[str]:
    """What provider files import of the shop besides the interface and its words."""
    known = {s.module for s in sources(SHOP)}
    return [
        f"{file.path} imports {used}"
        for file in files
        if file.module.startswith(PROVIDERS)
        for used in imports(file, known)
        if used.split(".")[0] in (SHOP, "flask", "sqlalchemy", "jinja2") and used not in PROVIDERS_MAY_USE
        if not used.startswith(f"{PROVIDERS}_{file.module.removeprefix(PROVIDERS).lstrip('_').partition('_')[0]}_")
    ]


def doors_that_are_used(files: Iterable[Source]) -> list[str]:
    """Files behind the acquirer's doors that import one: a dialect, hosted pages, the dashboard, the control API."""
    doors = {f"{ACQUIRER}.{name}" for name in DOORS_OF_THE_ACQUIRER}
    known = {s.module for s in sources(ACQUIRER)}
    return [
        f"{file.path} imports {used}"
        for file in files
        if file.module != ACQUIRER and file.module not in doors
        for used in imports(file, known)
        if used in doors or (used in known and _dialect(used) and not _is_own_part(file.module, used))
    ]


def _dialect(module: str) -> str:
    """The dialect that a file belongs to: `dialects/_paypay_opa.py` is a part of paypay."""
    _, inside, name = module.partition(".dialects.")
    return name.lstrip("_").partition("_")[0] if inside else ""


def _is_own_part(module: str, used: str) -> bool:
    return _dialect(module) == _dialect(used) and used.rpartition(".")[2].startswith("_")


def readers_of_the_request(files: Iterable[Source]) -> list[str]:
    """Files that import Flask's `request` or `session` and are no door."""
    return [
        file.path
        for file in files
        if not _is_door(file.module) and file.module not in READ_REQUESTS
        for node in file.nodes
        if isinstance(node, ast.ImportFrom) and node.module == "flask"
        if {alias.name for alias in node.names} & {"request", "session"}
    ]


def _is_door(module: str) -> bool:
    world, _, rest = module.partition(".")
    if world == SHOP:
        return FLOOR_OF.get(room_of(module)) == 4
    return rest in DOORS_OF_THE_ACQUIRER or rest.startswith("dialects.")


def test_no_room_uses_a_room_beside_or_above_it() -> None:
    assert steps_off_the_floor(sources(SHOP)) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("shop.orders.find", "from shop.accounts.models import User"),
        ("shop.orders.find", "from shop.payments import start"),
        ("shop.payments.poll", "def later():\n    from shop.checkout import closing"),
        ("shop.web.orders", "import shop.live.hub"),
        ("shop.core.money", "from shop import settings"),
        ("shop.inventory.stock", "from ..orders import models"),
        ("shop.catalogue.goods", "import importlib\nimportlib.import_module('shop.web')"),
        ("shop.basement.secrets", "import os"),
    ],
)
def test_a_step_sideways_or_up_is_seen(module: str, text: str) -> None:
    assert steps_off_the_floor([Source.planted(module, text)])


def test_a_step_down_is_no_violation() -> None:
    assert steps_off_the_floor([Source.planted("shop.payments.poll", "from shop.orders.move import move")]) == []


@pytest.mark.parametrize("world", [SHOP, ACQUIRER])
def test_no_files_need_each_other(world: str) -> None:
    assert circles(import_graph(sources(world))) == []


def test_a_circle_is_seen() -> None:
    files = [
        Source.planted("shop.a", "from shop import b"),
        Source.planted("shop.b", "def f():\n    import shop.c"),
        Source.planted("shop.c", "from .a import x"),
        Source.planted("shop.d", "import shop.a"),
    ]
    assert circles(import_graph(files)) == [["shop.a", "shop.b", "shop.c"]]


def test_the_two_worlds_know_each_other_only_over_http() -> None:
    assert between_worlds(sources(SHOP, ACQUIRER)) == []


def test_a_bridge_between_the_worlds_is_seen() -> None:
    assert between_worlds([Source.planted("shop.core.money", "def f():\n    from mock_acquirer import money")])
    assert between_worlds([Source.planted("mock_acquirer.engine", "import shop.core.money")])


def test_few_files_know_both_worlds() -> None:
    wsgi = Source("wsgi", "wsgi.py", (ROOT / "wsgi.py").read_text())
    assert bridges([wsgi, *sources("deploy", "bin", "migrations")]) == []


def test_a_new_file_that_knows_both_worlds_is_seen() -> None:
    assert bridges([Source.planted("deploy.glue", "import shop\nfrom mock_acquirer import engine")]) == [
        "deploy/glue.py"
    ]


def test_providers_know_only_the_interface_and_its_words() -> None:
    assert providers_that_know_too_much(sources(SHOP)) == []


@pytest.mark.parametrize(
    "text", ["from shop.core.db import db", "from flask import request", "from shop.payments.settle import settle"]
)
def test_a_provider_that_knows_too_much_is_seen(text: str) -> None:
    assert providers_that_know_too_much([Source.planted("shop.payments.providers.greedy", text)])


def test_nobody_behind_the_doors_of_the_acquirer_uses_them() -> None:
    assert doors_that_are_used(sources(ACQUIRER)) == []


def test_an_engine_that_uses_a_door_is_seen() -> None:
    assert doors_that_are_used([Source.planted("mock_acquirer.engine", "from mock_acquirer import pages")])
    assert doors_that_are_used([Source.planted("mock_acquirer.dialects.b", "from mock_acquirer.dialects import kpay")])
    assert doors_that_are_used([Source.planted("mock_acquirer.dialects._kpay_x", "import mock_acquirer.dialects.kpay")])


def test_only_doors_read_the_request() -> None:
    assert readers_of_the_request(sources(SHOP, ACQUIRER)) == []


def test_a_book_that_reads_the_request_is_seen() -> None:
    assert readers_of_the_request([Source.planted("shop.orders.find", "from flask import g, request")])
