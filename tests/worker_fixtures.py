"""A worker of the task queue in the test's own process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from shop.core import task_queue


@pytest.fixture
def worker() -> Iterator[Callable[[], None]]:
    """`worker()`: a worker starts, executes the jobs in the queue, and ends."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def come() -> None:
        found = task_queue.queue()
        SimpleWorker([found], connection=found.connection, serializer=JSONSerializer).work(
            burst=True, logging_level="CRITICAL"
        )

    yield come
    for number, handler in handlers.items():
        signal.signal(number, handler)
