"""Task queue (RQ). Database rows with a due time are authoritative: the clock enqueues a lost job again."""

from __future__ import annotations

from typing import Any

from flask import current_app
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from shop.core import redis

NAME = "settled"


def queue() -> Queue:
    """The queue of the shop. Raises RedisAway when there is no Redis."""
    cached: Queue | None = current_app.extensions.get("settled_queue")
    if cached is None:
        cached = Queue(NAME, connection=redis.client(), serializer=JSONSerializer)
        current_app.extensions["settled_queue"] = cached
    return cached


def enqueue(job: str, *args: Any, job_id: str, seconds: int = 60) -> bool:
    """Enqueue `job` (a dotted name); False when Redis is unavailable and the caller must do the work.

    While a job of this id waits or runs, a second one is not added (`unique`); results expire quickly, which frees the
    id. `seconds` is the longest that it may take. Call it after the commit only.
    """
    try:
        redis.attempt(
            lambda _: queue().enqueue(
                job, *args, job_id=job_id, unique=True, job_timeout=seconds, result_ttl=0, failure_ttl=3600
            )
        )
    except DuplicateJobError:
        return True
    except redis.RedisAway:
        return False
    return True
