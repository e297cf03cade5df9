"""Hand-over of new deliveries: to the RQ queue `acquirer` if Redis answers and a worker listens, else to our loop."""

from __future__ import annotations

import threading
import time
from typing import Any

from flask import Flask
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from mock_acquirer import courier

QUEUE = "acquirer"
JOB = "mock_acquirer.jobs.deliver_batch"
LOOK_AGAIN = 2.0
DISTRUST = 30.0


def queue_of(redis_url: str, insecure_tls: bool = False) -> Queue:
    """The queue, on a connection with short timeouts."""
    quick: dict[str, Any] = {"socket_connect_timeout": 0.25, "socket_timeout": 0.5, "retry": Retry(NoBackoff(), 0)}
    if insecure_tls and redis_url.startswith("rediss://"):
        quick["ssl_cert_reqs"] = "none"
    redis = Redis.from_url(redis_url, **quick)
    return Queue(QUEUE, connection=redis, serializer=JSONSerializer)


class HandOver:
    """Called after the commit with ids of deliveries that are due now. Never raises: the rows are already stored."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.wake = threading.Event()
        url, insecure = app.config["REDIS_URL"], app.config["REDIS_TLS_INSECURE"]
        self._queue = queue_of(url, insecure) if url else None
        self._listening = False
        self._looked_at = -LOOK_AGAIN

    def __call__(self, ids: list[str], inline: bool) -> None:
        if inline:
            courier.deliver(ids)
        elif not self.to_queue(ids):
            self.wake.set()

    def to_queue(self, ids: list[str]) -> bool:
        """Enqueue a batch in RQ; False without Redis or a worker."""
        try:
            if self._queue is None or not self._is_listened_to():
                return False
            self._queue.enqueue(JOB, ids, job_timeout=60, result_ttl=0, failure_ttl=3600)
        except RedisError:
            self._listening, self._looked_at = False, time.monotonic()
            return False
        return True

    def distrust(self) -> None:
        """Send from our own loop for a while, because the queue lost a job or its worker was killed."""
        self._listening, self._looked_at = False, time.monotonic() + DISTRUST

    def _is_listened_to(self) -> bool:
        if time.monotonic() - self._looked_at > LOOK_AGAIN:
            self._looked_at = time.monotonic()
            self._listening = Worker.count(queue=self._queue) > 0
        return self._listening
