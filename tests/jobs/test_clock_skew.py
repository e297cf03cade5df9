"""A clock process with a wrong wall time does no work, and reports it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from rq import SimpleWorker
from sqlalchemy import select

from shop.alerts.models import Alert
from shop.core import clock, heartbeat, skew
from shop.core.db import db, insert, transaction
from shop.core.heartbeat import Heartbeat
from shop.jobs import worker
from shop.jobs.clock import Clock
from shop.jobs.worker import Loop, RegisteringWorker, record_heartbeat
from shop.orders.models import Order
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

FAST = timedelta(minutes=20)


@pytest.fixture
def redis_url() -> str:
    """Without Redis: the clock does the work itself, at once."""
    return ""


def write_heartbeat_of_another_process(at: datetime) -> None:
    """A worker elsewhere writes its heartbeat at its own time."""
    with transaction():
        statement = insert(Heartbeat).values(name="worker", at=at)
        db.session.execute(statement.on_conflict_do_update(index_elements=[Heartbeat.name], set_={"at": at}))


def alerts() -> list[tuple[str, str]]:
    db.session.rollback()
    found = db.session.execute(select(Alert.rule, Alert.state).where(Alert.rule == "OPS_PROCESS_TIME"))
    return [(rule, state) for rule, state in found]


@pytest.mark.parametrize("ahead", [FAST, timedelta(seconds=8)])
def test_a_clock_process_that_is_fast_ends_no_order_early_and_reports_it(
    app: Flask, shop: Shop, ahead: timedelta
) -> None:
    order = shop.order()
    shop.wait(seconds=1800 - ahead.total_seconds() / 2)  # expired only for a clock that is that fast
    true = datetime.now(UTC)
    write_heartbeat_of_another_process(true)
    fast = Clock()
    with time_machine.travel(true + ahead, tick=False):
        fast.tick()
        write_heartbeat_of_another_process(true + timedelta(seconds=1))
        fast.tick()
    assert shop.state(order) == "WAITING_PAYMENT"
    assert [rule for rule, _ in alerts()] == ["OPS_PROCESS_TIME"]
    assert heartbeat.age("clock") is None, "it does not look alive"
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json and answer.json["clock"]) == (200, "skewed")
    shop.turn(seconds=ahead.total_seconds() / 2 + 60)
    assert shop.state(order) == "EXPIRED", "a sweep with the right time ends it in time"


@pytest.mark.parametrize("off", [timedelta(0), timedelta(seconds=4), timedelta(seconds=-4)])
def test_a_clock_process_that_is_right_within_five_seconds_works(app: Flask, shop: Shop, off: timedelta) -> None:
    order = shop.order()
    shop.wait(minutes=31)
    true = datetime.now(UTC)
    write_heartbeat_of_another_process(true)
    own = Clock()
    with time_machine.travel(true + off, tick=False):
        _ticks(own)
    assert shop.state(order) == "EXPIRED"
    assert alerts() == []


def test_a_simulated_clock_is_no_wrong_time(app: Flask, shop: Shop) -> None:
    order = shop.order()
    clock.advance(timedelta(days=400))
    _ticks(Clock())
    assert shop.state(order) == "EXPIRED"


def test_a_heartbeat_from_the_future_is_not_fresh(app: Flask, shop: Shop) -> None:
    write_heartbeat_of_another_process(datetime.now(UTC) + FAST)
    assert heartbeat.age("worker") is None
    heartbeat.write("clock", datetime.now(UTC) + FAST)
    assert (app.test_client().get("/readyz").json or {})["clock"] == "degraded"
    write_heartbeat_of_another_process(datetime.now(UTC) + timedelta(seconds=2))
    assert heartbeat.age("worker") == 0.0


def test_the_alert_is_resolved_when_no_process_reports_skew_any_more(app: Flask, shop: Shop) -> None:
    skew.report(0.0)
    heartbeat.write(skew.SKEWED, datetime.now(UTC) - timedelta(seconds=30))
    Clock().tick()
    assert [state for _, state in alerts()] == ["NEW"]
    heartbeat.write(skew.SKEWED, datetime.now(UTC) - timedelta(minutes=2))
    shop.wait(seconds=20)
    Clock().tick()
    assert [state for _, state in alerts()] == ["RESOLVED"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_sqlite_old_heartbeats_of_dead_processes_hold_a_clock_up_for_seconds_only(
    app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_heartbeat_of_another_process(datetime.now(UTC) - timedelta(hours=3))
    order = shop.order()
    shop.wait(minutes=31)
    own, monotonic = Clock(), _turned(monkeypatch)
    own.tick()
    assert shop.state(order) == "WAITING_PAYMENT"
    monotonic(8)
    _ticks(own)
    assert shop.state(order) == "EXPIRED"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_on_sqlite_a_heartbeat_from_before_a_long_pass_is_no_wrong_time(
    app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 14 seconds, a worker beats every 5: its last heartbeat is older than 5 when it is read."""
    watch, monotonic, true = skew.SkewWatch(), _turned(monkeypatch), datetime.now(UTC)
    write_heartbeat_of_another_process(true)
    with time_machine.travel(true + timedelta(seconds=1), tick=False):
        assert watch.seconds() == 0.0
    write_heartbeat_of_another_process(true + timedelta(seconds=10))
    monotonic(14.5)
    with time_machine.travel(true + timedelta(seconds=15.5), tick=False):
        assert watch.seconds() == 0.0
    write_heartbeat_of_another_process(true + timedelta(seconds=15))
    monotonic(15.5)
    with time_machine.travel(true + FAST, tick=False):
        assert (watch.seconds() or 0) > skew.LIMIT


def _ticks(own: Clock) -> None:
    """Enough sweeps to end an order: one requests closing its payment, one closes it, one ends the order."""
    for _ in range(3):
        own.tick()


def _turned(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the time with which `skew` measures waits."""
    real, by = skew.time.monotonic, [0.0]
    monkeypatch.setattr(skew.time, "monotonic", lambda: real() + by[0])
    return lambda seconds: by.__setitem__(0, seconds)


# --- worker and web processes, which compare their time with PostgreSQL's ---

postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@postgresql
def test_a_worker_that_is_fast_takes_no_job_and_reports_it_until_its_time_is_right(
    app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, monotonic, true = Loop(), _turned(monkeypatch), datetime.now(UTC)
    with time_machine.travel(true + FAST, tick=False):
        record_heartbeat(loop)
    waits: list[float] = []
    rq = RegisteringWorker.__new__(RegisteringWorker)
    rq.loop, rq._stop_requested = loop, False
    monkeypatch.setattr(rq, "heartbeat", lambda: None)
    monkeypatch.setattr(SimpleWorker, "check_for_suspension", lambda *_: waits.append(-1.0))

    def waited(seconds: float) -> None:
        """The clock of the machine is set right while the worker waits."""
        waits.append(seconds)
        monotonic(6)
        record_heartbeat(loop)

    monkeypatch.setattr(worker.time, "sleep", waited)
    assert (heartbeat.age("worker"), heartbeat.age(skew.WORKER_SKEWED) is not None) == (None, True)
    assert (app.test_client().get("/readyz").json or {})["worker"] == "skewed"
    Clock().tick()
    assert alerts() == [("OPS_PROCESS_TIME", "NEW")]
    rq.check_for_suspension(burst=False)
    assert waits == [1, -1.0], "it waited, and took jobs again when its time was right"
    assert heartbeat.age("worker") is not None


@postgresql
@pytest.mark.parametrize("off", [FAST, -FAST])
def test_a_web_process_with_a_wrong_time_is_not_ready_and_refuses_writes_until_its_time_is_right(
    app: Flask, shop: Shop, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    app.config.update(PROPAGATE_EXCEPTIONS=False, RATE_LIMITS=False)
    visitor, monotonic, true = Visitor(app), _turned(monkeypatch), datetime.now(UTC)
    path = visitor.order()
    order = db.session.scalars(select(Order)).one()
    with time_machine.travel(true + off, tick=False):
        answer = visitor.client.get("/readyz")
        assert (answer.status_code, answer.json and answer.json["web"]) == (503, "skewed")
        refused = visitor.post(f"{path}/cancel", headers={"Sec-Fetch-Site": "same-origin"})
        assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
        headers, body = shop.acquirer.webhook(shop.payment(order).id, "evt-skewed")
        assert visitor.client.post("/webhooks/fakepay", data=body, headers=headers).status_code == 503
        assert visitor.client.get("/healthz").status_code == 200
    assert shop.state(order) == "WAITING_PAYMENT"
    monotonic(6)
    assert visitor.client.get("/readyz").status_code == 200
    assert visitor.post(f"{path}/cancel").status_code == 303
    assert shop.state(order) == "CANCELLED"
