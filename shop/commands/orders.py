"""`flask orders …`: an order as we and its acquirers have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
from flask.cli import with_appcontext

from shop.core.money import Money
from shop.orders import find
from shop.payments import registry
from shop.payments.models import TO_PROVIDER
from shop.reports.both_sides import both_sides


@click.group()
def orders() -> None:
    """Orders."""


@orders.command("show")
@click.argument("number")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@with_appcontext
def show(number: str, as_json: bool) -> None:
    """Why the order NUMBER is what it is, and both sides of its money. Asks its acquirers."""
    order = find.by_number(number)
    if order is None:
        raise click.ClickException(f"There is no order {number[:40]}.")
    shown = both_sides(order.id)
    click.echo(json.dumps(shown, indent=2) if as_json else "\n".join(_lines(shown)))


def _lines(shown: dict[str, Any]) -> Iterator[str]:
    yield f"{shown['order']}: {shown['why']}"
    for row in shown["payments"]:
        yield f"payment {row['payment']} at {registry.label(row['provider'])}: {_said(row['difference'])}"
        yield f"  ours   {row['ours']['state']}: {_money(row['ours'])}"
        theirs = row["theirs"]
        if theirs["answer"] == "found":
            yield f"  theirs {theirs['state']}: {_money(theirs)}"
        else:
            yield f"  theirs {theirs['answer'].replace('_', ' ')} {theirs.get('reason', '')}".rstrip()
    for journal in shown["journals"]:
        yield f"journal {journal['key']} ({journal['kind']}, {journal['at'][:19]})"
        for entry in journal["entries"]:
            yield f"  {entry['account']:<24} {Money(entry['amount'], entry['currency']).format():>24}"
    yield f"in all: {_said(shown['difference'])}"


def _said(difference: dict[str, int] | None) -> str:
    if difference is None:
        return "the acquirer could not be asked"
    parts = [
        f"{Money(abs(amount), currency).format()} {'more' if amount > 0 else 'less'}"
        for currency, amount in difference.items()
    ]
    return f"we have {' and '.join(parts)} than they" if parts else "both sides agree"


def _money(side: dict[str, Any]) -> str:
    captures = [f"{one['id']} {Money(one['amount'], one['currency']).format()}" for one in side["captures"]]
    refunds = [
        f"{one['id']} -{Money(one['amount'], one['currency']).format()}{_where(one)} {one['state']}"
        for one in side["refunds"]
    ]
    return ", ".join([*captures, *refunds]) or "no money"


def _where(refund: dict[str, Any]) -> str:
    """Where a refund goes that the acquirer does not know of; their side does not say, for it has no other."""
    to = refund.get("to", TO_PROVIDER)
    return "" if to == TO_PROVIDER else f" to {to.replace('_', ' ')}"
