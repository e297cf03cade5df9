"""Correctness of the documentation: generated pages are current, links resolve, commands and settings exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

import mock_acquirer
from mock_acquirer.errors import Refused
from mock_acquirer.plans import parse_plan
from shop import settings
from shop.orders import states as order_states
from shop.payments.providers import registry
from shop.payments.records import states as payment_states
from tools.docs.code import ROOT, sources
from tools.docs.pages import PAGES
from tools.docs.routes import acquirer_app, shop_app

TOP = (
    "shop",
    "mock_acquirer",
    "docs",
    "bin",
    "tools",
    "tests",
    "deploy",
    "templates",
    "static",
    "migrations",
    "e2e",
    "bench",
)
MADE_WHEN_RUN = ("var/", ".venv/")
APPS = {"wsgi": shop_app, "mock_acquirer": acquirer_app}
PROMISED_COMMANDS = ("check", "sweep", "seed", "routes", "users create", "db upgrade", "clock", "worker")
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SHELL = re.compile(r"^ *```sh\n(.*?)^ *```", re.M | re.S)
_ENVIRON = re.compile(r"environ(?:\.get\(|\[)['\"]([A-Z][A-Z0-9_]+)")
_FLASK = re.compile(r"flask --app (\w+) ([a-z-]+(?: (?:create|upgrade|migrate)\b)?)")


@cache
def pages() -> dict[str, str]:
    """Every Markdown page by its path."""
    found = [
        ROOT / "README.md",
        *sorted(ROOT.glob("README.*.md")),
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        ROOT / "deploy" / "README.md",
        ROOT / "bench" / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in found}


def lost_links(page: str, text: str) -> list[str]:
    """Relative links and pictures without a target, headings included."""
    here, lost = (ROOT / page).parent, []
    for target, anchor in _LINK.findall(text):
        path = here / target if target else ROOT / page
        if not path.exists():
            lost.append(target)
        elif anchor and path.suffix == ".md" and anchor[1:] not in _anchors(path.read_text()):
            lost.append(target + anchor)
    return lost


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def lost_paths(text: str) -> list[str]:
    """Files and folders of the project that are named in `code` and do not exist."""
    lost = []
    for span in _SPAN.findall(text):
        name = span.split(" ")[0].rstrip("/")
        if re.search(r"[<>*{}…$(]", name):
            continue
        is_path = "/" in name and (name.partition("/")[0] in TOP or name.endswith(".py"))
        is_module = re.fullmatch(r"[a-z_]+\.py", name)
        if (is_path and not (ROOT / name).exists()) or (is_module and name not in _module_files()):
            lost.append(span)
    return lost


@cache
def _module_files() -> frozenset[str]:
    """Names of all Python files of the project."""
    files = sources("shop", "mock_acquirer", "bench", "tools", "deploy")
    return frozenset({"wsgi.py", *(Path(file.path).name for file in files)})


def unknown_words(text: str) -> list[str]:
    """WORDS_LIKE_THIS in `code` that are neither a state nor a setting nor a name in the code."""
    spans = [span for span in _SPAN.findall(text) if re.fullmatch(r"(?!PT\d)[A-Z][A-Z0-9_]{4,}", span)]
    return [span for span in spans if span not in known_words()]


@cache
def known_words() -> frozenset[str]:
    named = {
        target.id
        for source in sources("shop", "mock_acquirer", "docs")
        for node in source.nodes
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    configured = {
        node.value
        for source in sources("shop")
        for node in source.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isupper()
    }
    return frozenset(named | configured | setting_names())


@cache
def setting_names() -> frozenset[str]:
    """The names in docs/settings.md."""
    return frozenset(re.findall(r"^\| `([A-Z0-9_]+)` \|", pages()["docs/settings.md"], re.M))


def wrong_commands(text: str) -> list[str]:
    """`flask --app …` commands that do not exist."""
    return [
        f"{app} {command}"
        for app, command in _FLASK.findall(text)
        if app not in APPS or not _has_command(APPS[app](), command.split())
    ]


def _has_command(app: Flask, words: list[str]) -> bool:
    group = app.cli
    for word in words:
        found = {**getattr(group, "commands", {}), **_of_flask(group is app.cli)}.get(word)
        if found is None:
            return False
        group = found
    return True


def _of_flask(at_the_top: bool) -> dict[str, object]:
    from flask.cli import routes_command, shell_command

    return {"routes": routes_command, "shell": shell_command} if at_the_top else {}


RUN_AS_THEY_ARE = {"docs/api-quick-start.md"}
"""Pages whose blocks e2e/test_api_quick_start.py runs in a shell."""


def wrong_lines(text: str) -> list[str]:
    """Lines of shell blocks that would fail: unknown programs, scripts, options, addresses and fault plans."""
    wrong = []
    for line in shell_lines(text):
        try:
            _check_line(shlex.split(line, comments=True))
        except (ValueError, AssertionError, Refused, HTTPException) as error:
            wrong.append(f"{line}: {error}")
    return wrong


def shell_lines(text: str) -> Iterator[str]:
    for block in _SHELL.findall(text):
        block = block.replace("\\\n", " ")
        yield from (line.strip() for line in block.splitlines() if line.strip() and not line.strip().startswith("#"))


def _check_line(words: list[str]) -> None:
    program, rest = words[0], words[1:]
    if program.startswith("bin/"):
        script = ROOT / "tools" / "runner" / ("start.py" if program == "bin/run" else "check.py")
        assert program in ("bin/run", "bin/test", "bin/demo"), "no such script"
        assert all(option in script.read_text() for option in rest if option.startswith("--")), "no such option"
    elif program == "curl":
        _check_call(rest)
    elif program == ".venv/bin/python" and rest[0] == "-m":
        module = ROOT / rest[1].replace(".", "/")
        assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), "no such module"
    else:
        assert program in (".venv/bin/flask", "flask"), "an unknown program"


def _check_call(words: list[str]) -> None:
    """Check that the address is a route, the method is allowed, and a fault plan is valid."""
    options = dict(zip(words, words[1:], strict=False))
    url = next(word for word in words if word.startswith("http"))
    port, path = re.match(r"http://localhost:(\d+)(/[^?]*)", url).groups()  # type: ignore[union-attr]
    app = {"8000": shop_app, "9000": acquirer_app}[port]()
    app.url_map.bind("localhost").match(path, method=options.get("-X", "POST" if "-d" in options else "GET"))
    body = json.loads(options.get("-d", "{}")) if options.get("-d", "{}").startswith("{") else {}
    if path.endswith("/faults"):
        parse_plan(body)


def lost_addresses(text: str) -> list[str]:
    """`METHOD /path` in `code` that neither app serves; paths of a dialect may leave out its prefix."""
    calls = [span for span in _SPAN.findall(text) if re.match(r"(GET|POST|PUT|DELETE) /", span)]
    return [call for call in calls if not _is_served(*call.split(" ", 1))]


def _is_served(method: str, address: str) -> bool:
    places = re.compile(r"<[^>]+>|\{[^}]+\}")
    paths = [places.sub(value, address.partition("?")[0]) for value in ("x", "1")]  # a word, or a number
    rules = {rule.rule for rule in acquirer_app().url_map.iter_rules()}
    bases = {"", *(rule.removesuffix("/payments") for rule in rules if rule.endswith("/payments"))}
    tried = product((shop_app(), acquirer_app()), bases, paths)
    return any(_matches(app, method, base + path) for app, base, path in tried)


def _matches(app: Flask, method: str, path: str) -> bool:
    try:
        app.url_map.bind("localhost").match(path, method=method)
    except HTTPException:
        return False
    return True


def plans_in_tables(text: str) -> list[str]:
    return [span for span in _SPAN.findall(text) if re.match(r'\{"(api|pay|hook)"', span)]


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    path = ROOT / name
    assert path.is_file() and path.read_text() == PAGES[name](), f"run: python -m tools.docs ({name})"


def test_the_settings_page_lists_every_setting_with_its_default_and_meaning() -> None:
    page = pages()["docs/settings.md"].replace("\\|", "|")
    rows = [*settings.SETTINGS, *(row for cls in registry.classes().values() for row in cls.SETTINGS)]
    missing = []
    for row in [*rows, *mock_acquirer.setting_rows()]:
        lines = [line for line in page.splitlines() if line.startswith(f"| `{row.name}` |")]
        default = row.default.replace(f"{ROOT}/", "")
        if not any(row.meaning in line and default in line for line in lines):
            missing.append(row.name)
    assert missing == [], "run: python -m tools.docs"


def test_every_setting_of_the_shop_is_used() -> None:
    named = {
        node.value
        for source in sources("shop", "deploy")
        if source.module != "shop.settings"
        for node in source.nodes
        if isinstance(node, ast.Constant)
    }
    rows = [*settings.SETTINGS, *(row for cls in registry.classes().values() for row in cls.SETTINGS)]
    assert [row.name for row in rows if row.name not in named] == []


def test_everything_that_is_read_from_the_environment_is_documented() -> None:
    files = [
        *sources("shop", "mock_acquirer", "deploy"),
    ]
    read = {name for file in files for name in _ENVIRON.findall(file.text)}
    assert read <= setting_names()


def test_every_state_is_in_the_docs() -> None:
    page = pages()["docs/states.md"]
    assert [s for s in (*order_states.STATES, *payment_states.STATES) if s not in page] == []


def test_links_lead_somewhere() -> None:
    assert {page: lost for page, text in pages().items() if (lost := lost_links(page, text))} == {}


def test_a_lost_link_is_seen() -> None:
    assert lost_links("README.md", "[here](docs/gone.md)") == ["docs/gone.md"]
    assert lost_links("README.md", "[here](docs/states.md#nowhere)") == ["docs/states.md#nowhere"]
    assert lost_links("README.md", "[here](docs/states.md#an-order) [there](https://example.com)") == []


def test_files_that_are_named_exist() -> None:
    assert {page: lost for page, text in pages().items() if (lost := lost_paths(text))} == {}


def test_a_file_that_does_not_exist_is_seen() -> None:
    assert lost_paths("see `shop/orders/mover.py`") == ["shop/orders/mover.py"]
    assert lost_paths("see `orders/move.py` and `tail.py`") == ["orders/move.py", "tail.py"]


def test_words_in_capitals_are_states_or_settings_or_names() -> None:
    assert {page: words for page, text in pages().items() if (words := unknown_words(text))} == {}


def test_an_unknown_word_is_seen() -> None:
    assert unknown_words("set `SHOP_COLOUR`, and the order is `PAID`") == ["SHOP_COLOUR"]


def test_flask_commands_exist() -> None:
    assert {page: wrong for page, text in pages().items() if (wrong := wrong_commands(text))} == {}


def test_documented_commands_exist_and_all_commands_are_documented() -> None:
    assert [name for name in PROMISED_COMMANDS if not _has_command(shop_app(), name.split())] == []
    text = pages()["docs/operations.md"]
    own = [name for name in shop_app().cli.commands if name != "db"]
    assert [name for name in own if f"flask --app wsgi {name}" not in text] == []


def test_a_command_that_does_not_exist_is_seen() -> None:
    assert wrong_commands("`flask --app wsgi dance`, `flask --app wsgi check`") == ["wsgi dance"]


def test_addresses_that_are_named_are_served() -> None:
    assert {page: lost for page, text in pages().items() if (lost := lost_addresses(text))} == {}


def test_an_address_that_is_not_served_is_seen() -> None:
    text = "`GET /_sim/faults`, `POST /payments/<id>/cancel`, `PUT /_sim/luck`, `GET /webhooks/kpay`"
    text += ", `POST /api/v1/alerts/{id}/resolve`, `POST /api/v1/alerts/{id}/forget`"
    assert lost_addresses(text) == ["PUT /_sim/luck", "GET /webhooks/kpay", "POST /api/v1/alerts/{id}/forget"]


def test_shell_blocks_work() -> None:
    others = {page: text for page, text in pages().items() if page not in RUN_AS_THEY_ARE}
    assert {page: wrong for page, text in others.items() if (wrong := wrong_lines(text))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "bin/dance",
        "bin/run --quickly",
        "docker compose up",
        "curl -X POST http://localhost:9000/_sim/faults -d '{}'",
        "curl http://localhost:8000/nowhere/at/all",
        """curl -X PUT http://localhost:9000/_sim/faults -d '{"hook": {"lose": 3}}'""",
        ".venv/bin/python -m docs.unmake",
    ],
)
def test_a_line_that_would_not_work_is_seen(line: str) -> None:
    assert wrong_lines(f"```sh\n{line}\n```\n")


def test_fault_plans_in_the_docs_are_accepted_by_the_acquirer() -> None:
    plans = [plan for text in pages().values() for plan in plans_in_tables(text)]
    assert len(plans) >= 5
    for plan in plans:
        parse_plan(json.loads(plan))


def test_every_package_and_every_process_is_described() -> None:
    described = pages()["docs/architecture.md"]
    packages = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "shop").glob("*/__init__.py")}
    packages |= {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "shop/payments").glob("*/__init__.py")}
    assert sorted(package for package in packages if f"`{package}/`" not in described) == []
    lines = ((ROOT / "Procfile").read_text() + (ROOT / "deploy/Procfile.demo").read_text()).splitlines()
    processes = {line.partition(":")[0] for line in lines} - {"release"}
    for page in ("docs/architecture.md", "docs/operations.md"):
        assert [name for name in processes if f"| `{name}` |" not in pages()[page]] == []


def test_every_decision_is_in_the_list_and_has_context_decision_and_consequences() -> None:
    index = pages()["docs/decisions/README.md"]
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        number, title = re.match(r"# (\d{4}) (.+)", path.read_text()).groups()  # type: ignore[union-attr]
        assert path.name.startswith(f"{number}-")
        assert f"- [{number}]({path.name}) {title}" in index
        assert re.findall(r"^## (.+)$", path.read_text(), re.M) == ["Context", "Decision", "Consequences"]


def test_decisions_that_the_code_points_to_exist() -> None:
    pointed = {
        number for file in sources("shop", "mock_acquirer") for number in re.findall(r"decisions/(\d{4})", file.text)
    }
    assert [number for number in pointed if not list((ROOT / "docs" / "decisions").glob(f"{number}-*.md"))] == []


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    version = tomllib.loads(Path(ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.search(r"^## (\S+)", pages()["CHANGELOG.md"], re.M)
    assert newest and newest[1] == version
