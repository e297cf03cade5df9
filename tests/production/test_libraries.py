"""Installed libraries are the tested ones: pinned, complete, and with the hash of every file."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from tests.parts.processes import ROOT

LOCK = (ROOT / "constraints.txt").read_text()
BLOCKS = dict(zip(*[iter(re.split(r"^# --- (\w+)\n", LOCK, flags=re.M)[1:])] * 2, strict=True))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"shop": (), "demo": ("demo",), "test": ("demo", "test")}
WHERE = [
    {
        "python_version": version,
        "python_full_version": f"{version}.2",
        "sys_platform": system,
        "platform_machine": machine,
    }
    for version in ("3.11", "3.12", "3.13")
    for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(text: str) -> dict[str, str]:
    """The lines of each library by its name."""
    return {plain(found.split("==")[0]): found for found in re.findall(r"^\S+==.*(?:\n    .*)*", text, re.M)}


def needed(lines: list[str], where: dict[str, str]) -> Iterator[str]:
    """The names of these requirements and of their requirements, as far as they are installed."""
    found: set[str] = set()
    rest = [Requirement(line) for line in lines]
    while rest:
        one = rest.pop()
        name = plain(one.name)
        if not any(one.marker is None or one.marker.evaluate({**where, "extra": extra}) for extra in (*one.extras, "")):
            continue
        if name not in found:
            yield name
        found.add(name)
        for line in _requires(name):
            inner = Requirement(line)
            wanted = any(
                inner.marker is None or inner.marker.evaluate({**where, "extra": extra}) for extra in (*one.extras, "")
            )
            if wanted and plain(inner.name) not in found:
                inner.marker = None
                rest.append(inner)


def _requires(name: str) -> list[str]:
    """Empty for a library that is not for this Python."""
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def test_every_pin_has_the_hash_of_each_of_its_files_and_nothing_is_there_twice() -> None:
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", LOCK, re.M)
    assert len(names) == len({plain(name) for name in names}) > 50
    assert [name for name, text in entries(LOCK).items() if not re.search(r"--hash=sha256:[0-9a-f]{64}", text)] == []


def test_what_is_deployed_is_the_block_of_the_shop_and_no_file_names_an_index_or_installs_ourselves() -> None:
    deployed = (ROOT / "requirements.txt").read_text()
    assert entries(deployed) == entries(BLOCKS["shop"])
    for text in (LOCK, deployed):
        assert not re.search(r"^-|://", text, re.M)
    assert "--require-hashes -r requirements.txt" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("where", WHERE, ids=lambda where: f"{where['python_version']} on {where['sys_platform']}")
def test_each_block_and_those_before_it_are_complete(where: dict[str, str]) -> None:
    """pip with hash checking installs nothing that is not in the file."""
    there: set[str] = set()
    for name, text in BLOCKS.items():
        there |= set(entries(text))
        wanted = PROJECT["dependencies"] + [
            line for extra in EXTRAS[name] for line in PROJECT["optional-dependencies"][extra]
        ]
        assert set(needed(wanted, where)) - there == set()
