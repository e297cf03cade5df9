"""`flask reconcile DATE`: settlement files against the ledger."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from shop.commands import Command, by_operator, decides_money
from shop.core.actor import Actor, ActorKind
from shop.core.errors import Refusal
from shop.integrity.settlement_day import Day, of_day
from shop.payments.providers import registry
from shop.payments.settlement import reconcile as reconciliation
from shop.payments.settlement.reconcile import Reconciliation


@click.command(cls=Command)
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@click.option("--provider", help="Only this provider. Default: every provider whose file can be fetched.")
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settlement file that you bring; requires --provider and --by.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_appcontext
@decides_money
@by_operator
def reconcile(day: datetime, provider: str | None, path: Path | None, as_json: bool, by: Actor) -> None:
    """Compare the settlement files of the acquirers' business day DATE (such as 2026-01-31) with the ledger.

    Exits with 1 and prints the discrepancies when there are any or a file cannot be fetched. Safe to repeat.
    """
    if path and not provider:
        raise click.UsageError("A file belongs to one provider: add --provider.")
    if path and by.kind is ActorKind.OPERATOR:
        raise click.UsageError("A person answers for a file: add --by with the e-mail of the staff account.")
    results: list[dict[str, Any]] = []
    for name in [provider] if provider else sorted(registry.all_providers()):
        results.append(_one(name, day.date(), path.read_bytes() if path else None, by, may_lack=provider is None))
        if not as_json:
            click.echo("\n".join(results[-1]["text"]))
    if as_json:
        click.echo(json.dumps([{k: v for k, v in one.items() if k not in ("text", "ok")} for one in results], indent=2))
    sys.exit(0 if all(one["ok"] for one in results) else 1)


def _one(name: str, day: date, raw: bytes | None, by: Actor, *, may_lack: bool) -> dict[str, Any]:
    """The result for one provider, as JSON values and as text."""
    try:
        content = reconciliation.fetch(name, day) if raw is None else raw
        run = reconciliation.reconcile(name, day, content, by=by, fetched=raw is None)
    except Refusal as refusal:
        message = {"provider": name, "day": day.isoformat(), "error": refusal.code, "message": refusal.message}
        return message | {"text": [f"{name}, {day}: {refusal.message}"], "ok": may_lack and refusal.code == "no_call"}
    state = of_day(name, day)
    return state.as_json() | run.counts() | {"text": _text(state, run), "ok": not state.differences}


def _text(state: Day, run: Reconciliation) -> list[str]:
    first, *rest = state.as_lines()
    did = f"  {run.lines} lines read, {run.booked} booked, {run.opened} discrepancies opened, {run.closed} closed"
    waiting = [f"    {run.waiting} lines wait for the acquirer's answer: read the file again"] if run.waiting else []
    return [first, did, *waiting, *(f"    found in the file only: {key}" for key in run.applied), *rest]
