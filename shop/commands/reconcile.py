"""`flask reconcile DATE`: settlement files against the ledger."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext

from shop.core.errors import Refusal
from shop.payments import reconcile as reconciliation
from shop.payments import registry
from shop.payments.reconcile import Reconciliation
from shop.reports.reconciliation import Day, of_day


@click.command()
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE")
@click.option("--provider", help="Only this one; without it every provider whose file can be had.")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its file.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_appcontext
def reconcile(day: datetime, provider: str | None, path: Path | None, as_json: bool) -> None:
    """Compare the settlement files of the acquirers' business day DATE (as 2026-01-31) with the ledger.

    Exit 1 and print the discrepancies when something disagrees or a file cannot be had. Safe to repeat.
    """
    if path and not provider:
        raise click.UsageError("A file belongs to one provider: name it with --provider.")
    said: list[dict[str, Any]] = []
    for name in [provider] if provider else sorted(registry.all_providers()):
        said.append(_one(name, day.date(), path.read_bytes() if path else None, may_lack=provider is None))
        if not as_json:
            click.echo("\n".join(said[-1]["text"]))
    if as_json:
        click.echo(json.dumps([{k: v for k, v in one.items() if k not in ("text", "ok")} for one in said], indent=2))
    sys.exit(0 if all(one["ok"] for one in said) else 1)


def _one(name: str, day: date, raw: bytes | None, *, may_lack: bool) -> dict[str, Any]:
    """What is to be said about one provider, for machines and for people."""
    try:
        run = reconciliation.reconcile(name, day, reconciliation.fetch(name, day) if raw is None else raw)
    except Refusal as refusal:
        message = {"provider": name, "day": day.isoformat(), "error": refusal.code, "message": refusal.message}
        return message | {"text": [f"{name}, {day}: {refusal.message}"], "ok": may_lack and refusal.code == "no_call"}
    stands = of_day(name, day)
    return stands.as_json() | _did(run) | {"text": _text(stands, run), "ok": not stands.differences}


def _did(run: Reconciliation) -> dict[str, Any]:
    return {
        "lines": run.lines,
        "booked": run.booked,
        "heard": run.heard,
        "opened": run.opened,
        "closed": run.closed,
    }


def _text(stands: Day, run: Reconciliation) -> list[str]:
    first, *rest = stands.as_lines()
    did = f"  {run.lines} lines read, {run.booked} booked, {run.opened} discrepancies opened, {run.closed} closed"
    return [first, did, *(f"  heard from the file alone: {key}" for key in run.heard), *rest]
