"""`flask alerts …`: what people must look at, and who does."""

from __future__ import annotations

from collections.abc import Callable

import click
from flask.cli import with_appcontext

from shop.alerts import desk
from shop.alerts.models import Alert
from shop.alerts.rules import RULES
from shop.commands import Person
from shop.core.errors import Refusal

FEW = 10
"""So many of one rule are listed: a flood of one kind must not hide the others."""
_by = click.option("--by", type=Person(), required=True, help="Who does it.")
_alert = click.argument("alert_id", type=click.IntRange(1, 2**63 - 1))
_note = click.option("--note", default="", help="What was found or done; the alert keeps it.")


@click.group(invoke_without_command=True)
@click.option("--rule", type=click.Choice(sorted(RULES), case_sensitive=False), help="Only those of one rule.")
@click.pass_context
@with_appcontext
def alerts(context: click.Context, rule: str | None) -> None:
    """List the alerts that are open, the most severe rules first; of each rule the first few, or all with --rule."""
    if context.invoked_subcommand is not None:
        return
    counts = {name: count for name, count in desk.open_by_rule().items() if rule in (None, name)}
    for name, count in counts.items():
        found = desk.open_alerts(rule=name, limit=count if rule else FEW)
        for alert in found:
            click.echo(_line(alert))
        if count > len(found):
            click.echo(f"… and {count - len(found)} more of {name}: flask alerts --rule {name}")
    if not counts:
        click.echo("No alert is open.")


@alerts.command()
@_alert
@_by
@_note
@with_appcontext
def acknowledge(alert_id: int, by: str, note: str) -> None:
    """Take the alert ALERT_ID on."""
    _do(desk.acknowledge, alert_id, by, note)


@alerts.command()
@_alert
@_by
@_note
@with_appcontext
def resolve(alert_id: int, by: str, note: str) -> None:
    """Say that the alert ALERT_ID is dealt with."""
    _do(desk.resolve, alert_id, by, note)


def _do(what: Callable[[int, str, str], Alert], alert_id: int, by: str, note: str) -> None:
    try:
        click.echo(_line(what(alert_id, by, note)))
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from refusal


def _line(alert: Alert) -> str:
    when = f"{alert.detected_at:%Y-%m-%d %H:%M:%S}Z, {alert.state}"
    whose = f", {alert.acknowledged_by}" if alert.acknowledged_by else ""
    what = f"{RULES[alert.rule][1]} ({alert.cause})"
    return f"{alert.id} {alert.severity} {alert.rule} {alert.subject}: {what}, {when}{whose}"
