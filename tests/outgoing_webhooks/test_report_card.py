"""The acquirer's report card for the receivers of the documentation.

KPay signs as Standard Webhooks say, with the same headers as outgoing webhooks. So its valid, forged, repeated, late
and broken ones are sent to these receivers, too. The events are the acquirer's own; a receiver stores types that it
does not know.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.outgoing_webhooks.test_examples import Example
from tests.parts.processes import end_with_parent, free_port
from tests.real_acquirer_fixtures import RealAcquirer
from tools.docs.code import ROOT

SECRET = "whsec_a3BheS1kZW1vLXdlYmhvb2stc2VjcmV0LTAwMDE="  # the acquirer's demo merchant


def findings(make_acquirer: Callable[..., RealAcquirer], port: int) -> list[str]:
    """Mistakes of the receiver at a port of this machine."""
    url = f"http://127.0.0.1:{port}"
    acquirer = make_acquirer(ACQUIRER_WEBHOOK_TARGETS=url)
    card = acquirer.sim("POST", "/report_card", {"dialect": "kpay", "url": f"{url}/"})
    assert len(card["checks"]) > 10
    return list(card["findings"])


def test_the_python_receiver_has_a_clean_report_card(
    make_acquirer: Callable[..., RealAcquirer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    example = Example(tmp_path / "events.db", port, SECRET)
    try:
        assert findings(make_acquirer, port) == []
        example.store.process()
    finally:
        example.stop()


def test_the_javascript_receiver_has_a_clean_report_card(make_acquirer: Callable[..., RealAcquirer]) -> None:
    node, port = shutil.which("node"), free_port()
    if node is None:
        pytest.skip("no node on this machine")
    environ = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    command = [node, str(ROOT / "docs/examples/receive_webhooks.mjs")]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        assert findings(make_acquirer, port) == []
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(10)
