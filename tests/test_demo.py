"""bin/demo saga, with a real shop and a real acquirer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.processes import ROOT, Processes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
]
SAGA = [str(ROOT / "bin" / "demo"), "saga"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for temporary files, with a short path for the socket of Redis."""
    found = Path(tempfile.mkdtemp(prefix="saga-"))
    yield found
    shutil.rmtree(found)


def left_in(folder: Path) -> list[str]:
    """Files in the folder, and commands of processes that work on it."""
    found = [path.name for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"SETTLED_RUN=" + os.fsencode(folder) in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.full
def test_the_saga_shows_a_webhook_a_poll_and_an_alert_and_leaves_nothing(folder: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(folder), "DATABASE_URL": "sqlite:////nowhere/shop.db", "PROVIDERS": "none"}
    done = subprocess.run([*SAGA, "--json"], env=environ, cwd="/", capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "webhook" in found["webhook"]["why"] and found["webhook"]["seconds"] < 10
    assert "answer to a query" in found["poll"]["why"]
    event = found["alert"]["event"]
    assert (event["ruleId"], event["severity"], event["orderNo"]) == ("RULE_E", "P1", found["alert"]["order"])
    assert event["observed"]["amount"] == event["expected"]["amount"] + 100
    assert len({found[step]["order"] for step in found}) == 3
    assert "All three steps were seen." in done.stderr
    assert left_in(folder) == []


@pytest.mark.full
def test_an_interrupted_saga_ends_everything_that_it_has_started(folder: Path, process: Processes) -> None:
    saga = process(SAGA, {"TMPDIR": str(folder)}, folder=Path("/"))
    saga.wait_for_line("places an order", within=180)
    assert left_in(folder)
    saga.signal(signal.SIGINT)
    assert saga.wait(within=20) == 130
    assert "Traceback" not in saga.text
    assert left_in(folder) == []


def test_an_unknown_show_is_refused_with_the_list_of_the_known_ones() -> None:
    done = subprocess.run([SAGA[0], "ballet"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "saga" in done.stderr
