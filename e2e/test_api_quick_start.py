"""docs/api-quick-start.md, run line by line against the demo; its answers have the fields that the shop answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.demo import TOKEN, Demo
from tests.parts.processes import ROOT, end_with_parent, free_port

PAGE = ROOT / "docs" / "api-quick-start.md"
_BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```", re.M | re.S)
_END = "end of a command"


class Shell:
    """A terminal: commands are typed one after the other, and fail the test by their status."""

    def __init__(self, folder: Path) -> None:
        (folder / ".venv").symlink_to(ROOT / ".venv")
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder)}
        self._popen = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-m"],
            cwd=folder,
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent(),
        )

    def run(self, line: str) -> str:
        """Output of a line."""
        assert self._popen.stdin and self._popen.stdout
        self._popen.stdin.write(f'{line}\necho "{_END} $?"\n')
        self._popen.stdin.flush()
        lines = []
        for text in self._popen.stdout:
            if text.startswith(_END):
                assert text.split()[-1] == "0", f"{line}\n{''.join(lines)}"
                return "".join(lines)
            lines.append(text)
        raise AssertionError(f"the shell has ended: {line}\n{''.join(lines)}")

    def close(self) -> None:
        self._popen.kill()
        self._popen.wait()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    found = Shell(tmp_path)
    yield found
    found.close()


def here(demo: Demo, text: str, port: int) -> str:
    """The text with the addresses of this demo in place of those of `bin/run`."""
    pairs = {"http://localhost:8000": demo.shop, "http://localhost:9000": demo.acquirer}
    pairs |= {"Bearer sim_demo": f"Bearer {TOKEN}", "8800": str(port)}
    for usual, own in pairs.items():
        text = text.replace(usual, own)
    return text


def test_the_quick_start_works_line_by_line(demo: Demo, shell: Shell) -> None:
    port, output, shown = free_port(), "", 0
    for kind, block in _BLOCK.findall(PAGE.read_text()):
        if kind == "json":
            answer = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
            assert answer.keys() == json.loads(block).keys(), block
            shown += 1
            continue
        output = "".join(shell.run(line) for line in here(demo, block, port).splitlines())
        for words in ("the same order", "order.paid", "refund.succeeded", "ratelimit"):
            if re.search(f"(grep |echo )(-i )?['\"^]*{words}", block):
                assert words in output.lower(), words
        if "field state" in block:
            assert "PAID" in output
    assert shown == 3
