"""Worker process: RQ without forking; batches run on several threads.

A database row stays due until its work is done, so a killed worker loses nothing; a fork per job would cost more than
the job.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from typing import Any

from flask import Flask
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from shop.core import heartbeat, logs, redis, skew, task_queue
from shop.jobs import clock_watch

log = logs.get()
_REST = 2.0  # seconds between two attempts to reach Redis
_LONGEST_ANSWER = 25.0  # seconds; of its 30 (worker_ttl) RQ waits 15 for a job in one call
_STUCK = 150.0
"""Seconds without a round of the main loop after which this worker counts as stuck. A round takes at most a job's 120
seconds, or RQ's 60 between two attempts to reach Redis.
"""


class Loop:
    """Time of the main loop's last round. The heartbeat thread writes no heartbeat while the loop is stuck."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self.seconds_ahead = 0.0

    def has_the_right_time(self) -> bool:
        """False while the wall time of this process is wrong, as the heartbeat thread has measured it."""
        return abs(self.seconds_ahead) <= skew.LIMIT

    def record_round(self) -> None:
        self._at = time.monotonic()

    def is_stuck(self) -> bool:
        return time.monotonic() - self._at > _STUCK


class RegisteringWorker(SimpleWorker):
    """RQ worker that registers itself again after Redis was emptied: RQ does so only at the start of a worker."""

    loop: Loop | None = None

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        if self.loop:
            self.loop.record_round()
        super().heartbeat(timeout, pipeline)
        if pipeline is None and not self.connection.sismember(worker_registration.REDIS_WORKER_KEYS, self.key):
            self._register_again(timeout or self.worker_ttl + 60)

    def check_for_suspension(self, burst: bool) -> None:
        """Take no job while the time of this process is wrong: orders would end early. The clock does the work."""
        while self.loop and not self.loop.has_the_right_time() and not self._stop_requested:
            self.heartbeat()
            time.sleep(1)
        super().check_for_suspension(burst)

    def _register_again(self, timeout: int) -> None:
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            pipeline.expire(self.key, timeout)
            worker_registration.register(self, pipeline)
            pipeline.execute()
        log.warning("worker.registered_again", worker=self.name)


def run(app: Flask, names: tuple[str, ...] = (task_queue.NAME,)) -> None:
    """Work on the queues `names` until SIGTERM. Waits while Redis is unavailable; the clock does the work meanwhile."""
    if app.config["SETTLED_PASSIVE"]:
        _idle(app)
        return
    loop = Loop()
    threading.Thread(target=_record_heartbeats, args=(app, loop), daemon=True, name="heartbeat").start()
    threading.Thread(target=clock_watch.run, args=(app,), daemon=True, name="clock-watch").start()
    with suppress(StopRequested):  # a signal that arrives between two rounds
        while not _work(names, loop):
            time.sleep(_REST)


def _work(names: tuple[str, ...], loop: Loop) -> bool:
    """Work until SIGTERM, then return True; return False when Redis fails or does not answer."""
    loop.record_round()
    try:
        connection = redis.client(socket_timeout=_LONGEST_ANSWER, socket_connect_timeout=1)
        queues = [Queue(name, connection=connection, serializer=JSONSerializer) for name in names]
        worker = RegisteringWorker(
            queues, connection=connection, serializer=JSONSerializer, worker_ttl=30, maintenance_interval=30
        )
        worker.loop = loop
        worker.work(logging_level="WARNING")
    except (RedisError, redis.RedisAway, OSError) as error:
        log.warning("worker.redis_away", error=type(error).__name__)
        return False
    is_requested = worker._shutdown_requested_date is not None  # RQ also returns, without an error, when Redis hangs
    if not is_requested:
        log.warning("worker.redis_away", error="RQ ended its loop")
    return is_requested


def _idle(app: Flask) -> None:
    """Wait until SIGTERM without taking jobs: the REDIS_URL of a passive copy may be that of the original shop."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    while not end.wait(heartbeat.EVERY):
        with app.app_context():
            heartbeat.alive()


def _record_heartbeats(app: Flask, loop: Loop) -> None:
    while True:
        if not loop.is_stuck():
            with app.app_context(), suppress(SQLAlchemyError):
                record_heartbeat(loop)
        time.sleep(heartbeat.EVERY)


def record_heartbeat(loop: Loop) -> None:
    """Measure the time of this process, and send a heartbeat: of a worker that works, or of one with a wrong time."""
    heartbeat.alive()
    loop.seconds_ahead = skew.of_this_process()
    if loop.has_the_right_time():
        heartbeat.record("worker")
        return
    log.error("worker.skewed", seconds_ahead=round(loop.seconds_ahead, 1))
    skew.report(loop.seconds_ahead, skew.WORKER_SKEWED)
