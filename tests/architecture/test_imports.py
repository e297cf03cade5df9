"""Import rules: the contracts of import-linter in pyproject.toml, and rules about single files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tools.docs.code import ROOT, Source, imports, sources

SHOP, ACQUIRER = "shop", "mock_acquirer"
ENTRY_POINTS = ("web", "api", "live", "jobs", "commands", "ops", "http_kit")
PROVIDERS = "shop.payments.providers."
PROVIDER_INTERFACE = frozenset(
    f"{PROVIDERS}{name}"
    for name in (
        "interface",
        "answers",
        "storable",
        "settlement_csv",
        "capabilities",
        "settlement_line",
        "types",
        "registry",
        "charging",
    )
)
"""Modules of the package that are not a provider."""
PROVIDERS_MAY_USE = PROVIDER_INTERFACE - {f"{PROVIDERS}registry", f"{PROVIDERS}charging"} | {
    "shop.core.money",
    "shop.settings",
}
"""Providers only translate: they use no database, session or HTML. Their own parts are modules named `_name_part`."""
PUBLIC_MODULES_OF_THE_ACQUIRER = ("pages", "dashboard", "workbench", "control", "lab")
KNOW_BOTH_WORLDS = {
    "wsgi": "serves the acquirer beside the shop when it is mounted",
    "deploy.release": "prepares both databases when it is mounted",
    "deploy.ready": "waits for both databases when it is mounted",
}
"""Files outside of the packages that import both shop and acquirer, with the reason."""
READ_REQUESTS = {
    "shop.accounts.sessions": "a sign-in is what the cookie of a request says",
    "shop.accounts.passkey_challenges": "a challenge is bound to the cookie of a browser",
    "mock_acquirer.guards": "checks callers for the pages",
    "mock_acquirer.hosts": "refuses foreign host names",
    "mock_acquirer.language": "the browser states its languages",
    "mock_acquirer.throttle": "counts callers",
    "mock_acquirer.web": "holds for every request",
}
"""Files besides the web layers that read the request, with the reason."""


def test_the_import_contracts_are_kept() -> None:
    """The contracts in pyproject.toml: layers, no cycles, shop and acquirer apart."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout[-4000:] + linted.stderr[-2000:]


def bridges(files: Iterable[Source]) -> list[str]:
    """Files outside of the packages that import both shop and acquirer without being listed."""
    both = {SHOP, ACQUIRER}
    return [
        file.path
        for file in files
        if both <= {used.split(".")[0] for used in imports(file, ())} and file.module not in KNOW_BOTH_WORLDS
    ]


def providers_that_know_too_much(files: Iterable[Source]) -> list[str]:
    """Imports of provider files beyond the interface."""
    known = {s.module for s in sources(SHOP)}
    return [
        f"{file.path} imports {used}"
        for file in files
        if file.module.startswith(PROVIDERS) and file.module not in PROVIDER_INTERFACE
        for used in imports(file, known)
        if used.split(".")[0] in (SHOP, "flask", "sqlalchemy", "jinja2") and used not in PROVIDERS_MAY_USE
        if not used.startswith(f"{PROVIDERS}_{file.module.removeprefix(PROVIDERS).lstrip('_').partition('_')[0]}_")
    ]


def doors_that_are_used(files: Iterable[Source]) -> list[str]:
    """Modules of the acquirer's core that import an outer layer: a dialect, hosted pages, the dashboard, the control
    API.
    """
    public = {f"{ACQUIRER}.{name}" for name in PUBLIC_MODULES_OF_THE_ACQUIRER}
    known = {s.module for s in sources(ACQUIRER)}
    return [
        f"{file.path} imports {used}"
        for file in files
        if file.module != ACQUIRER and file.module not in public
        for used in imports(file, known)
        if used in public or (used in known and _dialect(used) and not _is_own_part(file.module, used))
    ]


def _dialect(module: str) -> str:
    """The dialect of a file: `dialects/_paypay_opa.py` belongs to paypay."""
    _, inside, name = module.partition(".dialects.")
    return name.lstrip("_").partition("_")[0] if inside else ""


def _is_own_part(module: str, used: str) -> bool:
    return _dialect(module) == _dialect(used) and used.rpartition(".")[2].startswith("_")


def readers_of_the_request(files: Iterable[Source]) -> list[str]:
    """Files that import Flask's `request` or `session` outside of the web layers."""
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
        return rest.partition(".")[0] in ENTRY_POINTS
    return rest in PUBLIC_MODULES_OF_THE_ACQUIRER or rest.startswith("dialects.")


def test_few_files_import_shop_and_acquirer() -> None:
    wsgi = Source("wsgi", "wsgi.py", (ROOT / "wsgi.py").read_text())
    assert bridges([wsgi, *sources("deploy", "tools/runner", "migrations")]) == []


def test_a_new_file_that_imports_shop_and_acquirer_is_seen() -> None:
    assert bridges([Source.example("deploy.glue", "import shop\nfrom mock_acquirer import engine")]) == [
        "deploy/glue.py"
    ]


def test_providers_know_only_the_interface_and_its_words() -> None:
    assert providers_that_know_too_much(sources(SHOP)) == []


@pytest.mark.parametrize(
    "text",
    ["from shop.core.db import db", "from flask import request", "from shop.payments.updates.apply import apply"],
)
def test_a_provider_that_knows_too_much_is_seen(text: str) -> None:
    assert providers_that_know_too_much([Source.example("shop.payments.providers.greedy", text)])


def test_the_acquirers_core_imports_no_outer_layer() -> None:
    assert doors_that_are_used(sources(ACQUIRER)) == []


def test_a_core_module_that_imports_an_outer_layer_is_seen() -> None:
    assert doors_that_are_used([Source.example("mock_acquirer.engine", "from mock_acquirer import pages")])
    assert doors_that_are_used([Source.example("mock_acquirer.dialects.b", "from mock_acquirer.dialects import kpay")])
    assert doors_that_are_used([Source.example("mock_acquirer.dialects._kpay_x", "import mock_acquirer.dialects.kpay")])


def test_only_web_layers_read_the_request() -> None:
    assert readers_of_the_request(sources(SHOP, ACQUIRER)) == []


def test_a_record_module_that_reads_the_request_is_seen() -> None:
    assert readers_of_the_request([Source.example("shop.orders.find", "from flask import g, request")])
