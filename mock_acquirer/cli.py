"""Commands: `flask --app mock_acquirer clock` and `worker`; `db upgrade` comes from Flask-Migrate."""

from __future__ import annotations

import signal
import threading

import click
from flask import Flask
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from mock_acquirer import loop
from mock_acquirer.handover import QUEUE, queue_of


def set_up(app: Flask) -> None:
    """Register the commands."""

    @app.cli.command("clock")
    def clock() -> None:
        """Run the delivery loop as a process of its own."""
        stop = threading.Event()
        wake: threading.Event = app.extensions["acquirer.courier"].wake

        def end(*_: object) -> None:
            stop.set()
            wake.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        app.logger.info("delivery loop started")
        loop.forever(app, stop)

    @app.cli.command("worker")
    def worker() -> None:
        """Send deliveries from the RQ queue `acquirer`. Needs REDIS_URL."""
        if not app.config["REDIS_URL"]:
            raise click.ClickException("Set REDIS_URL: without Redis the delivery loop sends.")
        queue = queue_of(app.config["REDIS_URL"], app.config["REDIS_TLS_INSECURE"])
        SimpleWorker([QUEUE], connection=queue.connection, serializer=JSONSerializer).work()
