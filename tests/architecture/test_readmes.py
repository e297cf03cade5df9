"""The translations of the README follow it: the same headings, commands, tables, pictures and addresses."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tools.docs.code import ROOT

ENGLISH = (ROOT / "README.md").read_text()
TRANSLATED = sorted(ROOT.glob("README.*.md"))


def outline(text: str) -> list[str]:
    """Levels of the headings, and the number of rows, steps and items under each."""
    parts = re.split(r"^(#+) .+$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    return [
        f"{level} {Counter(re.findall(r'^(?:[|-]|[0-9]+[.])', part, re.M))}"
        for level, part in zip(parts[1::2], parts[2::2], strict=True)
    ]


def commands(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def addresses(text: str) -> set[str]:
    """Links, addresses and `code` but for links between the READMEs."""
    found = re.findall(r"\]\(([^)]+)\)|<(http[^>]+)>|`([^`\n]+)`", text)
    return {one for row in found for one in row if one and not one.startswith("README")}


def test_the_readme_is_translated_and_links_to_its_translations() -> None:
    assert [path.name for path in TRANSLATED] == ["README.ja.md", "README.zh-Hant.md"]
    assert all(f"]({path.name})" in ENGLISH for path in TRANSLATED)


@pytest.mark.parametrize("path", TRANSLATED, ids=[path.name for path in TRANSLATED])
def test_a_translated_readme_has_the_headings_commands_and_addresses_of_the_english_one(path: Path) -> None:
    text = path.read_text()
    assert outline(text) == outline(ENGLISH)
    assert commands(text) == commands(ENGLISH)
    assert addresses(text) == addresses(ENGLISH)


def test_a_difference_is_seen() -> None:
    assert outline("# A\n\n- b\n") != outline("# A\n\n- b\n- c\n")
    assert commands("```sh\nls\n```\n") == ["ls\n"]
    assert addresses("[a](b) <http://c> `d` [e](README.ja.md)") == {"b", "http://c", "d"}
