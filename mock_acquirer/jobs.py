"""RQ jobs. They carry ids only; the rows decide, so a job that runs twice does nothing the second time."""

from __future__ import annotations

from functools import cache

from flask import Flask

from mock_acquirer import courier, create_app


@cache
def app() -> Flask:
    """The worker's app, made once before it forks."""
    return create_app()


def deliver_batch(ids: list[str]) -> None:
    """Send these deliveries, those that are still due and unclaimed."""
    with app().app_context():
        courier.deliver(ids, threads=app().config["ACQUIRER_THREADS"])
