"""Types of the shop, the mock acquirer and the runner, checked by mypy."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from tests.parts.processes import ROOT, VENV_BIN


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("arguments", [(), ("--explicit-package-bases", "tools/runner")], ids=["packages", "runner"])
def test_types_are_right(arguments: Sequence[str]) -> None:
    command = [str(VENV_BIN / "mypy"), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
