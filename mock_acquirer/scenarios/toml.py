"""Serialise a scenario as TOML: the reverse of `read`, for "save as scenario"."""

from __future__ import annotations

import json
from typing import Any

from mock_acquirer.scenarios import Scenario


def written(scenario: Scenario) -> str:
    """The text of the scenario's file."""
    lines = [f"name = {_value(scenario.name)}", f"sentence = {_value(scenario.sentence)}"]
    if scenario.dialects:
        lines.append(f"dialects = {_value(list(scenario.dialects))}")
    if scenario.fate:
        lines += ["", "[fate]", *_pairs(scenario.fate)]
    for step in scenario.steps:
        lines += ["", "[[steps]]", *_pairs(step)]
    if scenario.expect:
        lines += ["", "[expect]", *_pairs(scenario.expect)]
    return "\n".join(lines) + "\n"


def _pairs(table: dict[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}" for name, value in table.items()]


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(_pairs(value)) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
