"""RQ jobs. They carry ids alone; the rows decide, so repeating a job has no effect."""

from __future__ import annotations

from functools import cache

from flask import Flask

from mock_acquirer import courier, create_app, deliveries

TOGETHER = 64


@cache
def app() -> Flask:
    """The worker's app, created once before it forks."""
    return create_app()


def deliver_batch(ids: list[str]) -> None:
    """Send these and all other due deliveries in parallel: after a burst, later jobs find nothing left."""
    with app().app_context():
        others = deliveries.due_ids(limit=TOGETHER)
        courier.deliver({*ids, *others}, threads=app().config["ACQUIRER_THREADS"])
