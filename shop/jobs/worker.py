"""The worker process: RQ, in one process that has imported everything, doing batches on several threads.

Jobs are not forked: the row in the database stays due until its work is done, so a worker that is killed loses nothing,
and a fork for each job would cost more than the job.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from flask import Flask
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from shop.core import beats, logs, queue, redis

log = logs.get()
_REST = 2.0  # seconds between two tries to reach Redis


def run(app: Flask, names: tuple[str, ...] = (queue.NAME,)) -> None:
    """Work on the queues `names` until SIGTERM. Waits while Redis is away; the clock works meanwhile."""
    threading.Thread(target=_beat, args=(app,), daemon=True, name="beat").start()
    while True:
        try:
            connection = redis.client(socket_timeout=None, socket_connect_timeout=1)
            queues = [Queue(name, connection=connection, serializer=JSONSerializer) for name in names]
            worker = SimpleWorker(
                queues, connection=connection, serializer=JSONSerializer, worker_ttl=60, maintenance_interval=30
            )
            worker.work(logging_level="WARNING")
            return
        except (RedisError, redis.RedisAway, OSError) as error:
            log.warning("worker.redis_away", error=type(error).__name__)
            time.sleep(_REST)


def _beat(app: Flask) -> None:
    while True:
        with app.app_context(), suppress(SQLAlchemyError):
            beats.beat("worker")
        time.sleep(5)
