"""Standard output and standard error on a full disk."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from flask import Flask

from shop.core import logs
from tests.chaos.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tests.parts.counters import counted
from tests.parts.processes import ROOT, VENV_BIN, Process, http_status
from tests.parts.waiting import until

FULL = Path("/dev/full")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.full
@pytest.mark.skipif(not FULL.exists(), reason="only Linux has /dev/full")
@on_sqlite
def test_an_order_is_placed_and_paid_while_no_log_can_be_written(deployment: Deployment) -> None:  # noqa: F811
    environ = {**os.environ, "PATH": f"{VENV_BIN}:/usr/bin:/bin", **deployment.settings}
    commands = (
        ["gunicorn", "-c", "deploy/gunicorn.py", "wsgi:app"],
        ["flask", "--app", "wsgi", "clock"],
        ["flask", "--app", "wsgi", "worker"],
    )
    started = [Process(command, FULL, environ, ROOT) for command in commands]
    try:
        until(lambda: http_status(f"{deployment.site}/healthz") == 200, within=30, what="the web process")
        visitor = deployment.visitor()
        path = visitor.place()
        order = deployment.order(path)
        assert visitor.client.get("/there/is/no/page").status_code == 404
        assert visitor.client.post("/webhooks/kpay", content=b"forged").status_code == 401
        deployment.acquirer.approve(deployment.shop.payment(order).id)
        deployment.until_all_are("PAID", [order])
        assert visitor.heading(path) == "Payment received"
        assert "settled_lost_log_lines_total" in httpx.get(f"{deployment.site}/metrics").text
        assert all(process.alive() for process in started)
    finally:
        for process in started:
            process.kill()
    assert deployment.check() == "clean"


def test_a_line_that_cannot_be_written_is_counted(app: Flask) -> None:
    class Broken:
        def write(self, _: str) -> None:
            raise OSError(28, "No space left on device")

    before = _lost()
    logs._BestEffort(Broken()).info("a line")  # type: ignore[arg-type]
    assert _lost() == before + 1


def _lost() -> float:
    return counted("settled_lost_log_lines", stream="log")
