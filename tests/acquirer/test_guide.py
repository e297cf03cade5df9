"""Commands of the integration guide, run against an acquirer started as the guide says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mock_acquirer import plans
from tests.acquirer.conftest import Receiver

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "acquirer.md").read_text(encoding="utf-8")
SIM = {"Authorization": "Bearer sim_demo"}


@pytest.fixture
def alone(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    """The acquirer as the guide starts it, on a free port and in an empty folder."""
    command = next(line for line in GUIDE.splitlines() if line.startswith("python -m mock_acquirer"))
    words = command.replace("http://localhost:3000/webhooks", receiver.url).split()[1:]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        [sys.executable, *words, "--port", "0", "--until-eof"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdout and started.stdin
    yield started.stdout.readline().strip()
    started.stdin.close()
    assert started.wait(30) == 0
    started.stdout.close()
    assert (tmp_path / "acquirer.db").is_file()


def test_every_command_of_the_guide_runs(alone: str, receiver: Receiver, tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    assert len(blocks) >= 8
    script = (
        "\n".join(blocks)
        .replace("http://localhost:9000", alone)
        .replace("http://localhost:3000/webhooks", receiver.url)
    )
    script = "set -e\n" + re.sub(r"\bcurl\b", "curl -sS --fail-with-body", script)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert '"met":true' in done.stdout.replace(" ", "")
    assert any(b"payment.captured" in hook.body for hook in receiver.hooks)


def test_every_fault_has_an_example_and_every_example_is_taken(alone: str) -> None:
    examples = [json.loads(found) for found in re.findall(r"\| `(\{.*\})` \|", GUIDE)]
    for plan in examples:
        answer = httpx.put(f"{alone}/_sim/faults", json=plan, headers=SIM)
        assert answer.status_code == 200, (plan, answer.text)
    shown = {rule["do"] for plan in examples for rule in [plan.get("api", {})] if rule}
    assert shown == set(plans.API_FAULTS)
    for section, known in (("pay", plans.PAY), ("hook", plans.HOOK)):
        used = {name for plan in examples for name in plan.get(section, {})}
        assert set(known) - set(plans.COMMON) <= used, section
    assert all(name in GUIDE for name in plans.SIGN_FAULTS)
