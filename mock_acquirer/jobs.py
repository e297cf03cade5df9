"""RQ jobs. They carry ids only; the rows decide, so a job that runs twice does nothing the second time."""

from __future__ import annotations

from functools import cache

from flask import Flask

from mock_acquirer import courier, create_app, deliveries

TOGETHER = 64


@cache
def app() -> Flask:
    """The worker's app, made once before it forks."""
    return create_app()


def deliver_batch(ids: list[str]) -> None:
    """Send these and what else is due, side by side: after a rush the later jobs find nothing left to do."""
    with app().app_context():
        others = deliveries.due_ids(limit=TOGETHER)
        courier.deliver({*ids, *others}, threads=app().config["ACQUIRER_THREADS"])
