"""`flask orders …`: an order in our records and at its acquirers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
from flask.cli import with_appcontext

from shop.accounts.staff_list import LARGEST_ID
from shop.commands import Group, by_staff
from shop.commands import order as find_order
from shop.core import ids
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import Money
from shop.explain.order_rows import OrderRows
from shop.explain.why import why
from shop.integrity.compare import compare_with_acquirer
from shop.order_notes import notes
from shop.orders.models import Order
from shop.payments.polling import poll
from shop.payments.polling import requested as queries
from shop.payments.providers import registry
from shop.payments.records.types import RefundDestination, Source


@click.group(cls=Group)
def orders() -> None:
    """Orders."""


@orders.command("show")
@click.argument("number")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def show(number: str, as_json: bool) -> None:
    """Explain the state of the order NUMBER and show both sides of its money. Queries its acquirers and applies new
    results.
    """
    order_id = find_order(number).id
    shown = _shown(order_id)
    differing = [row["payment"] for row in shown["payments"] if row["difference"]]
    for payment_id in differing:
        poll.query(payment_id, Source.VIEW)
    if differing:
        shown = _shown(order_id)
    click.echo(json.dumps(shown, indent=2) if as_json else "\n".join(_lines(shown)))


@orders.command("query")
@click.argument("number")
@with_appcontext
@by_staff
def query(number: str, by: Actor) -> None:
    """Query the acquirer about the open payments of the order NUMBER now, and apply new results."""
    order = find_order(number)
    queries.query_now(order, by=by)
    click.echo(f"{order.number}: {db.session.get_one(Order, order.id, populate_existing=True).state}")


@orders.command("query-soon")
@click.argument("numbers", nargs=-1, required=True)
@with_appcontext
@by_staff
def query_soon(numbers: tuple[str, ...], by: Actor) -> None:
    """Make the open payments of the orders NUMBERS due; the pollers query them within seconds."""
    done = queries.query_soon([find_order(number).number for number in numbers], by=by)
    click.echo(f"Orders whose acquirer is asked within seconds: {done.queried}. Others: {done.without}.")


@orders.command("note")
@click.argument("number")
@click.argument("text")
@with_appcontext
@by_staff
def note(number: str, text: str, by: Actor) -> None:
    """Write a note on the order NUMBER. A name such as @ada puts it on the list of what this colleague has to do."""
    note_id = notes.write(find_order(number).id, text, by=by, form_key=ids.token())
    click.echo(f"Note {note_id} is written.")


@orders.command("withdraw-note")
@click.argument("note_id", type=click.IntRange(1, LARGEST_ID), metavar="NOTE")
@with_appcontext
@by_staff
def withdraw_note(note_id: int, by: Actor) -> None:
    """Withdraw the note NOTE, which you wrote. Its text stays in the audit log."""
    notes.withdraw(note_id, by=by)
    click.echo(f"Note {note_id} is withdrawn.")


@orders.command("note-done")
@click.argument("note_id", type=click.IntRange(1, LARGEST_ID), metavar="NOTE")
@with_appcontext
@by_staff
def note_done(note_id: int, by: Actor) -> None:
    """Take the note NOTE, which mentions you, from the list of what you have to do."""
    notes.mark_done(note_id, by=by)
    click.echo(f"Note {note_id} is done.")


def _shown(order_id: int) -> dict[str, Any]:
    return {"why": why(OrderRows(db.session.get_one(Order, order_id)))} | compare_with_acquirer(order_id)


def _lines(shown: dict[str, Any]) -> Iterator[str]:
    yield f"{shown['order']}: {shown['why']}"
    for row in shown["payments"]:
        yield f"payment {row['payment']} at {registry.label(row['provider'])}: {_difference_text(row['difference'])}"
        yield f"  ours   {row['ours']['state']}: {_money(row['ours'])}"
        theirs = row["theirs"]
        if theirs["answer"] == "found":
            yield f"  theirs {theirs['state']}: {_money(theirs)}"
        else:
            yield f"  theirs {theirs['answer'].replace('_', ' ')} {theirs.get('reason', '')}".rstrip()
    for journal in shown["journals"]:
        yield f"journal {journal['key']} ({journal['kind']}, {journal['at'][:19]})"
        for entry in journal["entries"]:
            yield f"  {entry['account']:<24} {Money(entry['amount'], entry['currency']).with_code():>24}"
    yield f"in all: {_difference_text(shown['difference'])}"


def _difference_text(difference: dict[str, int] | None) -> str:
    if difference is None:
        return "the acquirer could not be queried"
    parts = [
        f"{Money(abs(amount), currency).with_code()} {'more' if amount > 0 else 'less'}"
        for currency, amount in difference.items()
    ]
    return f"we have {' and '.join(parts)} than they" if parts else "both sides agree"


def _money(side: dict[str, Any]) -> str:
    captures = [f"{one['id']} {Money(one['amount'], one['currency']).with_code()}" for one in side["captures"]]
    refunds = [
        f"{one['id']} -{Money(one['amount'], one['currency']).with_code()}{_where(one)} {one['state']}"
        for one in side["refunds"]
    ]
    return ", ".join([*captures, *refunds]) or "no money"


def _where(refund: dict[str, Any]) -> str:
    """The destination of a refund that is not sent to the acquirer."""
    to = refund.get("to", RefundDestination.PROVIDER)
    return "" if to == RefundDestination.PROVIDER else f" to {to.replace('_', ' ')}"
