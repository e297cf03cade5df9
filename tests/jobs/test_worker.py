"""Worker process: its heartbeat, and its registration after Redis was emptied."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from rq import Worker

from shop.core import heartbeat, redis, task_queue
from shop.jobs import worker
from tests.chaos.conftest import Deployment, deployment  # noqa: F401 - a fixture
from tests.parts.waiting import until


@pytest.mark.full
def test_a_worker_that_works_is_not_degraded_after_redis_was_emptied(deployment: Deployment) -> None:  # noqa: F811
    orders = deployment.paid_there(3)
    deployment.web()
    deployment.worker()

    def output() -> str:
        return str(httpx.get(f"{deployment.site}/readyz").json()["worker"])

    until(lambda: output() == "ok", within=30, what="the worker to beat")
    until(lambda: Worker.count(connection=redis.client(), queue=task_queue.queue()) == 1, what="the worker to register")
    redis.client().flushall()
    deployment.shop.wait(seconds=11)
    deployment.clock()
    deployment.until_all_are("PAID", orders)
    assert output() == "ok"
    until(
        lambda: Worker.count(connection=redis.client(), queue=task_queue.queue()) == 1,
        within=30,
        what="the worker to register again",
    )
    [known] = Worker.all(connection=redis.client(), queue=task_queue.queue())
    assert known.queue_names() == ["settled", "acquirer"]
    assert deployment.check() == "clean"


def test_a_worker_whose_main_loop_is_stuck_is_not_reported_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, began = worker.Loop(), time.monotonic()
    assert not loop.is_stuck()
    monkeypatch.setattr(time, "monotonic", lambda: began + 200)
    assert loop.is_stuck()
    loop.record_round()
    assert not loop.is_stuck()


@pytest.mark.full
def test_worker_and_clock_touch_the_file_that_probes_look_at(deployment: Deployment, tmp_path: Path) -> None:  # noqa: F811
    for name in ("clock", "worker"):
        file = tmp_path / name
        deployment.run(name, ["flask", "--app", "wsgi", name], HEARTBEAT_FILE=str(file))
        until(file.exists, within=30, what=f"the {name} to touch its file")
        before = file.stat().st_mtime_ns
        until(lambda file=file, before=before: file.stat().st_mtime_ns > before, within=15, what="another touch")
    assert heartbeat.age("worker") is not None
