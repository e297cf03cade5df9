"""Webhook deliveries: exactly once per scheduled delivery, by the retry schedule, by any process."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from rq import SimpleWorker, Worker
from rq.serializers import JSONSerializer
from sqlalchemy import update
from standardwebhooks import Webhook

from mock_acquirer import courier, deliveries, jobs, loop
from mock_acquirer.db import db, unit
from mock_acquirer.handover import QUEUE, HandOver
from mock_acquirer.models import Delivery
from mock_acquirer.times import wall_now
from tests.acquirer.conftest import SECRET, Receiver, World

Maker = Callable[..., World]
FIRST, REST = 5, (300, 1800, 7200, 18000, 36000, 36000)


def _paid(acquirer: World, **wish: Any) -> dict[str, Any]:
    payment = acquirer.open(**wish)
    acquirer.approve(payment)
    return payment


def _attempts(acquirer: World, payment: dict[str, Any]) -> list[dict[str, Any]]:
    return [attempt for one in acquirer.record(payment)["deliveries"] for attempt in one["attempts"]]


def test_the_webhook_says_what_the_query_says(acquirer: World, receiver: Receiver) -> None:
    payment = _paid(acquirer)
    acquirer.settle()
    (hook,) = receiver.hooks
    assert hook.event["type"] == "payment.captured" and hook.event["merchant"] == "demo"
    assert hook.event["data"]["payment"] == acquirer.shown(payment)
    assert hook.headers["content-type"] == "application/json"


def test_a_payment_may_name_its_own_address_on_an_allowed_origin(make_world: Maker, receiver: Receiver) -> None:
    origin = receiver.url.removesuffix("/hooks")
    acquirer = make_world(ACQUIRER_WEBHOOK_TARGETS=origin, ACQUIRER_KPAY_WEBHOOK_URL="")
    _paid(acquirer, webhook_url=f"{origin}/elsewhere")
    _paid(acquirer)
    acquirer.settle()
    assert len(receiver.hooks) == 1


def test_an_address_that_is_no_longer_allowed_gets_nothing(make_world: Maker, receiver: Receiver) -> None:
    origin = receiver.url.removesuffix("/hooks")
    before = make_world(ACQUIRER_WEBHOOK_TARGETS=origin, ACQUIRER_KPAY_WEBHOOK_URL="")
    payment = _paid(before, webhook_url=receiver.url)
    after = make_world(ACQUIRER_KPAY_WEBHOOK_URL="")
    after.settle()
    assert not receiver.hooks
    assert [attempt["outcome"] for attempt in _attempts(after, payment)] == ["not_allowed"]


def test_three_days_of_retries_pass_in_a_moment_each_at_its_time_and_freshly_signed(
    acquirer: World, receiver: Receiver
) -> None:
    receiver.answer = (500, {}, b"no")
    payment = _paid(acquirer)
    began = time.monotonic()
    done = acquirer.advance("P3D")
    assert time.monotonic() - began < 10
    assert done["attempts"] == 8 and done["delivered"] == 0
    attempts = _attempts(acquirer, payment)
    times = [datetime.fromisoformat(attempt["at"]) for attempt in attempts]
    waits = [(later - earlier).total_seconds() for earlier, later in zip(times, times[1:], strict=False)]
    for wait, planned in zip(waits, (FIRST, *REST), strict=True):
        assert 0.8 * planned - 1 <= wait <= 1.2 * planned + 1
    for hook in receiver.hooks:
        Webhook(SECRET).verify(hook.body, hook.headers)
    assert len({hook.headers["webhook-id"] for hook in receiver.hooks}) == 1
    assert acquirer.record(payment)["deliveries"][0]["state"] == "given_up"


def test_the_same_story_has_the_same_jitter(acquirer: World, receiver: Receiver) -> None:
    receiver.answer = (500, {}, b"")
    waits = []
    for run in ("one", "two"):
        payment = acquirer.open(run=run)
        acquirer.approve(payment, run=run)
        acquirer.advance("PT1H", run=run)
        ats = [
            datetime.fromisoformat(attempt["at"])
            for attempt in acquirer.record(payment, run=run)["deliveries"][0]["attempts"]
        ]
        waits.append([(later - ats[0]).total_seconds() for later in ats[1:]])
    assert waits[0] == pytest.approx(waits[1], abs=2)


def test_retry_after_is_honoured(acquirer: World, receiver: Receiver) -> None:
    receiver.answer = (503, {"Retry-After": "120"}, b"")
    payment = _paid(acquirer)
    acquirer.settle()
    attempt = _attempts(acquirer, payment)[0]
    wait = datetime.fromisoformat(attempt["next_due_at"]) - datetime.fromisoformat(attempt["at"])
    assert wait >= timedelta(seconds=119)


def test_410_stops_everything_to_that_address_until_a_resend_is_accepted(acquirer: World, receiver: Receiver) -> None:
    receiver.answer = (410, {}, b"gone")
    first, second = _paid(acquirer), _paid(acquirer)
    acquirer.settle()
    third = _paid(acquirer)
    acquirer.settle()
    acquirer.advance("P1D")
    states = [acquirer.record(payment)["deliveries"][0]["state"] for payment in (first, second, third)]
    assert states == ["disabled"] * 3 and len(receiver.hooks) <= 2
    receiver.answer = (204, {}, b"")
    delivery = acquirer.record(third)["deliveries"][0]["id"]
    acquirer.sim("POST", f"/deliveries/{delivery}/resend")
    acquirer.settle()
    fourth = _paid(acquirer)
    acquirer.settle()
    assert acquirer.record(third)["deliveries"][0]["state"] == "delivered"
    assert acquirer.record(fourth)["deliveries"][0]["state"] == "delivered"


def test_redirects_are_not_followed_and_answers_are_kept_up_to_16_kib(acquirer: World, receiver: Receiver) -> None:
    receiver.answer = (302, {"Location": "/elsewhere"}, b"y" * 100_000)
    payment = _paid(acquirer)
    acquirer.settle()
    (attempt,) = _attempts(acquirer, payment)
    assert (attempt["status"], attempt["outcome"]) == (302, "refused")
    assert not receiver.others and len(attempt["answer"]) == 16 * 1024


def test_a_receiver_that_hangs_or_is_away_is_tried_again(
    acquirer: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acquirer.app.extensions["acquirer.http"], "timeout", httpx.Timeout(0.2))

    def hang(_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.5)
        return 204, {}, b""

    receiver.answer = hang
    payment = _paid(acquirer)
    acquirer.settle()
    assert [attempt["outcome"] for attempt in _attempts(acquirer, payment)] == ["no_answer"]
    receiver.answer = (204, {}, b"")
    acquirer.advance("PT10S")
    assert [attempt["outcome"] for attempt in _attempts(acquirer, payment)] == ["no_answer", "delivered"]


def _due(acquirer: World) -> list[str]:
    with acquirer.app.app_context():
        return deliveries.due_ids()


def test_eight_senders_at_once_deliver_once(acquirer: World, receiver: Receiver) -> None:
    for _ in range(3):
        _paid(acquirer)
    ids = _due(acquirer)

    def send(_: int) -> int:
        with acquirer.app.app_context():
            return len(courier.deliver(ids))

    assert sum(acquirer.at_once(8, send)) == 3
    assert len(receiver.hooks) == 3


def test_a_job_that_runs_twice_delivers_once(
    acquirer: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "app", lambda: acquirer.app)
    _paid(acquirer)
    ids = _due(acquirer)
    for _ in range(2):
        jobs.deliver_batch(ids)
    assert len(receiver.hooks) == 1


def test_a_delivery_whose_sender_was_killed_is_found_again(acquirer: World, receiver: Receiver) -> None:
    _paid(acquirer)

    @unit
    def lease_ends() -> None:
        db.session.execute(update(Delivery).values(wall_claimed_until=wall_now()))

    with acquirer.app.app_context():
        assert len(deliveries.claim(deliveries.due_ids())) == 1
    acquirer.settle()
    assert not receiver.hooks
    with acquirer.app.app_context():
        lease_ends()
    acquirer.settle()
    assert len(receiver.hooks) == 1


def test_forty_deliveries_go_side_by_side(acquirer: World, receiver: Receiver) -> None:
    def slowly(_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.02)
        return 204, {}, b""

    receiver.answer = slowly
    for _ in range(40):
        _paid(acquirer)
    acquirer.settle()
    assert len(receiver.hooks) == len({hook.headers["webhook-id"] for hook in receiver.hooks}) == 40


@pytest.fixture
def _signals() -> Iterator[None]:
    """RQ's worker leaves its signal handlers behind, which raise StopRequested in whatever runs when pytest ends."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_with_redis_and_a_worker_the_queue_delivers(
    make_world: Maker, receiver: Receiver, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquirer = make_world(REDIS_URL=redis_url)
    hand_over: HandOver = acquirer.app.extensions["acquirer.courier"]
    queue = hand_over._queue
    assert queue is not None
    listening, worker = (
        SimpleWorker([queue], connection=queue.connection, serializer=JSONSerializer) for _ in range(2)
    )
    listening.register_birth()
    monkeypatch.setattr(jobs, "app", lambda: acquirer.app)
    _paid(acquirer)
    assert queue.count == 1 and not hand_over.wake.is_set()
    worker.work(burst=True)
    assert len(receiver.hooks) == 1


def test_without_a_worker_or_without_redis_the_loop_delivers(
    make_world: Maker, receiver: Receiver, own_redis: Any
) -> None:
    acquirer = make_world(REDIS_URL=own_redis.url)
    hand_over: HandOver = acquirer.app.extensions["acquirer.courier"]
    assert Worker.count(connection=own_redis.client) == 0
    _paid(acquirer)
    assert hand_over.wake.is_set()
    acquirer.settle()
    own_redis.stop()
    _paid(acquirer)
    acquirer.settle()
    assert len(receiver.hooks) == 2


def test_a_job_that_redis_lost_is_done_by_the_loop(make_world: Maker, receiver: Receiver, own_redis: Any) -> None:
    acquirer = make_world(REDIS_URL=own_redis.url)
    hand_over: HandOver = acquirer.app.extensions["acquirer.courier"]
    assert hand_over._queue is not None
    SimpleWorker([QUEUE], connection=hand_over._queue.connection, serializer=JSONSerializer).register_birth()
    _paid(acquirer)
    loop.tick(acquirer.app)
    assert not receiver.hooks
    own_redis.client.flushall()

    @unit
    def patience_ends() -> None:
        db.session.execute(update(Delivery).values(wall_handed_until=wall_now()))

    with acquirer.app.app_context():
        patience_ends()
    acquirer.settle()
    assert len(receiver.hooks) == 1


def test_the_serving_process_delivers_without_a_worker_within_moments(make_world: Maker, receiver: Receiver) -> None:
    acquirer = make_world(ACQUIRER_LOOP="on")
    payment = _paid(acquirer)
    wanted = {"payment": payment["id"], "delivered": "payment.captured", "tries": 1, "within": "PT10S"}
    assert acquirer.sim("POST", "/expect", wanted)["met"]
    acquirer.app.extensions["acquirer.loop"].set()


def test_two_loops_deliver_once(make_world: Maker, receiver: Receiver) -> None:
    first, second = make_world(), make_world()
    payments = [_paid(first) for _ in range(20)]
    first.at_once(2, lambda number: (first, second)[number].settle())
    assert len(receiver.hooks) == len(payments)
