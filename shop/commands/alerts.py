"""`flask alerts …`: list, acknowledge and resolve alerts."""

from __future__ import annotations

from collections.abc import Callable

import click
from flask.cli import with_appcontext

from shop.accounts import staff
from shop.alerts import chat, claims, store
from shop.alerts.models import Alert
from shop.alerts.rules import RULES
from shop.commands import Group, Words, by_staff
from shop.core.actor import Actor

FEW = 10
"""Listed alerts per rule: a flood of one kind must not hide the others."""
_alert = click.argument("alert_id", type=click.IntRange(1, 2**63 - 1))
_kind = click.argument("kind", type=click.Choice(sorted(claims.KINDS)))
_id = click.argument("thing_id", metavar="ID", type=Words())
_note = click.option("--note", type=Words(), default="", help="Findings and actions, stored with the alert.")


@click.group(cls=Group, invoke_without_command=True)
@click.option("--rule", type=click.Choice(sorted(RULES), case_sensitive=False), help="Only alerts of this rule.")
@click.pass_context
@with_appcontext
def alerts(context: click.Context, rule: str | None) -> None:
    """List the open alerts, the most severe rules first; of each rule the first few, or all with --rule."""
    if context.invoked_subcommand is not None:
        return
    counts = {name: count for name, count in store.open_by_rule().items() if rule in (None, name)}
    for name, count in counts.items():
        found = store.open_alerts(rule=name, limit=count if rule else FEW)
        for alert in found:
            click.echo(_line(alert))
        if count > len(found):
            click.echo(f"… and {count - len(found)} more of {name}: flask alerts --rule {name}")
    if not counts:
        click.echo("No alert is open.")


@alerts.command()
@_alert
@_note
@with_appcontext
@by_staff
def acknowledge(alert_id: int, by: Actor, note: str) -> None:
    """Acknowledge the alert ALERT_ID."""
    _do(store.acknowledge, alert_id, by, note)


@alerts.command()
@_alert
@_note
@with_appcontext
@by_staff
def resolve(alert_id: int, by: Actor, note: str) -> None:
    """Resolve the alert ALERT_ID."""
    _do(store.resolve, alert_id, by, note)


@alerts.command()
@_kind
@_id
@with_appcontext
@by_staff
def claim(kind: str, thing_id: str, by: Actor) -> None:
    """Become the owner of the thing to do ID of a KIND, such as alert 7."""
    claims.claim(claims.thing(kind, thing_id), by)
    click.echo(f"{staff.label(by)} has claimed {kind} {thing_id}.")


@alerts.command()
@_kind
@_id
@with_appcontext
@by_staff
def release(kind: str, thing_id: str, by: Actor) -> None:
    """Take the owner of the thing to do ID of a KIND away."""
    claims.release(claims.thing(kind, thing_id), by)
    click.echo(f"{kind} {thing_id} no longer has an owner.")


@alerts.command("send-again")
@click.argument("message_id", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@with_appcontext
@by_staff
def send_again(message_id: int, by: Actor) -> None:
    """Send the message to the chat with this ID again that could not be delivered."""
    chat.send_again(message_id, by)
    click.echo(f"Message {message_id} is sent again.")


@alerts.command("test-webhook")
@with_appcontext
@by_staff
def test_webhook(by: Actor) -> None:
    """Send a test message to the chat webhook (ALERT_WEBHOOK_URL)."""
    chat.test(by)
    click.echo("The chat has accepted the test message.")


def _do(what: Callable[[int, Actor, str], Alert], alert_id: int, by: Actor, note: str) -> None:
    click.echo(_line(what(alert_id, by, note)))


def _line(alert: Alert) -> str:
    when = f"{alert.detected_at:%Y-%m-%d %H:%M:%S}Z, {alert.state}"
    whose = f", {staff.label(alert.acknowledged_by)}" if alert.acknowledged_by else ""
    what = f"{RULES[alert.rule][1]} ({alert.cause})"
    return f"{alert.id} {alert.severity} {alert.rule} {alert.subject}: {what}, {when}{whose}"
