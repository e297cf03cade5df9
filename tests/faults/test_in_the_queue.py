"""RQ runs jobs again that it has finished, and jobs of workers that only hung: nothing is done a second time."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from rq import SimpleWorker
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from shop.core import queue
from shop.orders.models import Order
from tests.shop_fixtures import PEN, Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def worker() -> Iterator[Callable[[], None]]:
    """`worker()`: a worker comes, does what waits in the queue, and leaves."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def come() -> None:
        found = queue.queue()
        SimpleWorker([found], connection=found.connection, serializer=JSONSerializer).work(
            burst=True, logging_level="CRITICAL"
        )

    yield come
    for number, handler in handlers.items():
        signal.signal(number, handler)


def handed_over(shop: Shop) -> tuple[Order, Job]:
    """An order that was paid there, and the job that asks about it."""
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.make_due(payment)
    assert queue.hand_over("shop.jobs.work.batch", "poll", [payment.id], job_id="poll-1")
    return order, Job.fetch("poll-1", connection=queue.queue().connection, serializer=JSONSerializer)


def asked(shop: Shop, order: Order) -> int:
    return shop.acquirer.calls.count(("query", shop.payment(order).id))


def paid_once(shop: Shop, order: Order) -> bool:
    return (shop.state(order), shop.captures(order), shop.moves(order).count("PAID")) == ("PAID", ["paid"], 1)


def test_a_finished_job_that_comes_into_the_queue_again_asks_nobody(shop: Shop, worker: Callable[[], None]) -> None:
    """Fault 22."""
    order, job = handed_over(shop)
    kept = job.connection.hgetall(job.key)
    worker()
    assert paid_once(shop, order)
    questions = asked(shop, order)
    job.connection.hset(job.key, mapping=kept)
    job.connection.rpush(queue.queue().key, job.id)
    worker()
    assert asked(shop, order) == questions
    assert paid_once(shop, order)


def test_a_job_whose_worker_is_taken_for_dead_is_done_by_another_and_then_by_the_one_that_only_hung(
    shop: Shop, worker: Callable[[], None]
) -> None:
    """Fault 22: the entry of the work in progress is planted, its heartbeat long over."""
    order, job = handed_over(shop)
    hanging = queue.queue()
    hanging.connection.lrem(hanging.key, 0, job.id)
    registry = StartedJobRegistry(queue=hanging)
    hanging.connection.zadd(registry.key, {f"{job.id}:of-the-hanging-one": 1})
    registry.cleanup()
    assert not hanging.job_ids, "RQ has given it up: it would be lost, were the row not due"
    shop.turn(seconds=1)
    assert paid_once(shop, order)
    questions = asked(shop, order)
    job.func(*job.args)  # the worker that hung wakes up
    worker()
    assert asked(shop, order) == questions
    assert paid_once(shop, order)
