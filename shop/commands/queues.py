"""`flask queues …`: due work by kind, and "run now"."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from shop.commands import Group, Words, by_operator
from shop.core.actor import Actor
from shop.queues import queues as work_queues


@click.group(cls=Group)
def queues() -> None:
    """Due work by kind."""


@queues.command("list")
@with_appcontext
def list_all() -> None:
    """List how much of each kind is due, waits and has failed, and since when the oldest is due."""
    for one in work_queues.states():
        earliest = f", earliest {one.oldest:%Y-%m-%d %H:%M:%S}Z" if one.oldest else ""
        click.echo(f"{one.queue.kind}: {one.due} due, {one.waiting} waiting, {one.failing} failed{earliest}")


@queues.command("run")
@click.argument("kind", type=click.Choice([one.kind for one in work_queues.QUEUES if one.can_run]))
@click.option("--reason", type=Words(), required=True, help="Why; kept in the audit log.")
@with_appcontext
@by_operator
def run_now(kind: str, reason: str, by: Actor) -> None:
    """Make the next waiting rows of KIND due now; the clock and the workers do them."""
    click.echo(f"{work_queues.run_now(kind, by=by, reason=reason)} rows are due now.")
