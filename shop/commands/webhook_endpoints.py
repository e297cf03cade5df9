"""`flask webhook-endpoints …`: endpoints of outgoing webhooks, their secrets, and events that are sent again."""

from __future__ import annotations

from datetime import datetime

import click
from flask.cli import with_appcontext

from shop.commands import Group, Moment, Words, by_operator
from shop.core.actor import Actor
from shop.core.errors import BadInput
from shop.outgoing_webhooks import endpoints, queries, resend
from shop.outgoing_webhooks.kinds import EventType

EVENTS = [str(each) for each in EventType]
_endpoint = click.argument("endpoint_id", type=Words())


@click.group("webhook-endpoints", cls=Group)
def webhook_endpoints() -> None:
    """Endpoints of outgoing webhooks."""


@webhook_endpoints.command("list")
@with_appcontext
def list_endpoints() -> None:
    """List the endpoints, the oldest first, with the numbers of their queued and failed deliveries."""
    for one in queries.all_endpoints():
        click.echo(_line(one))


@webhook_endpoints.command()
@click.argument("url", type=Words())
@click.option("--event", "events", multiple=True, type=click.Choice(EVENTS), help="Default: all event types.")
@click.option("--description", type=Words(), default="")
@with_appcontext
@by_operator
def add(url: str, events: tuple[str, ...], description: str, by: Actor) -> None:
    """Create an endpoint at URL. The second line is its secret, which is shown only now."""
    endpoint_id, secret = endpoints.create(url, description, events or EVENTS, by=by)
    click.echo(f"{endpoint_id}\n{secret}")


@webhook_endpoints.command()
@_endpoint
@with_appcontext
@by_operator
def rotate(endpoint_id: str, by: Actor) -> None:
    """Make a new secret for ENDPOINT_ID and print it, once. The former one signs too for 24 hours."""
    click.echo(endpoints.rotate(endpoint_id, by=by))


@webhook_endpoints.command()
@_endpoint
@with_appcontext
@by_operator
def disable(endpoint_id: str, by: Actor) -> None:
    """Disable ENDPOINT_ID: no event is delivered, and its queued deliveries fail."""
    endpoints.disable(endpoint_id, by=by)
    click.echo("The endpoint is disabled.")


@webhook_endpoints.command()
@_endpoint
@with_appcontext
@by_operator
def enable(endpoint_id: str, by: Actor) -> None:
    """Enable ENDPOINT_ID: events from now on are delivered."""
    endpoints.enable(endpoint_id, by=by)
    click.echo("The endpoint is enabled.")


@webhook_endpoints.command("resend")
@_endpoint
@click.option("--delivery", type=click.IntRange(1, 2**63 - 1), help="Number of one delivery.")
@click.option("--failed-since", type=Moment(), help="All failed deliveries of events since this time.")
@with_appcontext
@by_operator
def resend_deliveries(endpoint_id: str, delivery: int | None, failed_since: datetime | None, by: Actor) -> None:
    """Send one delivery of ENDPOINT_ID again, or the failed ones since a time. Events keep their ids."""
    if (delivery is None) == (failed_since is None):
        raise BadInput("bad_choice", "Use either --delivery or --failed-since.")
    if delivery is not None:
        resend.resend(endpoint_id, delivery, by=by)
        click.echo("The delivery is queued again.")
    elif failed_since is not None:
        click.echo(f"Failed deliveries queued again: {resend.resend_failed(endpoint_id, failed_since, by=by)}.")


def _line(one: queries.Listed) -> str:
    state = f"disabled ({one.endpoint.disabled_because})" if one.endpoint.disabled_at else "enabled"
    count = f"{_up_to(one.queued)} queued, {_up_to(one.failed)} failed"
    described = f" ({one.endpoint.description})" if one.endpoint.description else ""
    return f"{one.endpoint.id} {endpoints.host_of(one.endpoint.url)}{described}: {state}, {count}"


def _up_to(count: int) -> str:
    return f"more than {queries.COUNTED}" if count > queries.COUNTED else str(count)
