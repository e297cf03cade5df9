"""Repeated RQ jobs, finished or taken from a hanging worker: no effect a second time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rq.job import Job
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from shop.core import task_queue
from shop.orders.models import Order
from tests.shop_fixtures import PEN, Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def handed_over(shop: Shop) -> tuple[Order, Job]:
    """An order paid at the acquirer, and the job that polls it."""
    order = shop.order((PEN, 1))
    payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    shop.make_due(payment)
    assert task_queue.enqueue("shop.jobs.work.batch", "poll", [payment.id], job_id="poll-1")
    return order, Job.fetch("poll-1", connection=task_queue.queue().connection, serializer=JSONSerializer)


def requested(shop: Shop, order: Order) -> int:
    return shop.acquirer.calls.count(("query", shop.payment(order).id))


def paid_once(shop: Shop, order: Order) -> bool:
    return (shop.state(order), shop.captures(order), shop.moves(order).count("PAID")) == ("PAID", ["pays_order"], 1)


def test_a_finished_job_that_is_queued_again_polls_nothing(shop: Shop, worker: Callable[[], None]) -> None:
    """Fault 22."""
    order, job = handed_over(shop)
    kept = job.connection.hgetall(job.key)
    worker()
    assert paid_once(shop, order)
    questions = requested(shop, order)
    job.connection.hset(job.key, mapping=kept)
    job.connection.rpush(task_queue.queue().key, job.id)
    worker()
    assert requested(shop, order) == questions
    assert paid_once(shop, order)


def test_a_job_of_a_hanging_worker_is_done_by_another_and_repeated_by_the_first_without_harm(
    shop: Shop, worker: Callable[[], None]
) -> None:
    """Fault 22: the entry of the job in progress is inserted with an expired heartbeat."""
    order, job = handed_over(shop)
    hanging = task_queue.queue()
    hanging.connection.lrem(hanging.key, 0, job.id)
    registry = StartedJobRegistry(queue=hanging)
    hanging.connection.zadd(registry.key, {f"{job.id}:of-the-hanging-one": 1})
    registry.cleanup()
    assert not hanging.job_ids, "RQ has given it up: it would be lost, were the row not due"
    shop.turn(seconds=1)
    assert paid_once(shop, order)
    questions = requested(shop, order)
    job.func(*job.args)  # the hanging worker resumes
    worker()
    assert requested(shop, order) == questions
    assert paid_once(shop, order)
