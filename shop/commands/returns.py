"""`flask returns …`: list returns, accept and decline them, and receive their units."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
from flask.cli import with_appcontext

from shop.commands import Group, Words, by_operator
from shop.commands.fulfilment import Units
from shop.core.actor import Actor
from shop.core.errors import BadInput
from shop.returns import handling, pages
from shop.returns.states import ReturnState


@click.group(cls=Group)
def returns() -> None:
    """Returns of items."""


@returns.command("list")
@click.option("--state", "states", type=click.Choice(list(ReturnState)), multiple=True, help="All states by default.")
@with_appcontext
def list_returns(states: tuple[str, ...]) -> None:
    """List the newest returns, at most 50. REQUESTED and RECEIVED wait for staff."""
    filters = pages.Filters(tuple(ReturnState(state) for state in states))
    for row in pages.find(filters).rows:
        cost = f"  {row.amount.with_code()}" if row.amount.amount else ""
        reason, units = row.reason.replace("_", " "), f"{row.units} unit{'' if row.units == 1 else 's'}"
        click.echo(f"{row.reference}  {row.requested_at:%Y-%m-%d %H:%M} UTC  {row.state:<9} {units}, {reason}{cost}")
    total = pages.count(filters)
    click.echo(f"Returns: {'more than ' if total > pages.COUNTED else ''}{min(total, pages.COUNTED)}.")


def _decision(act: Callable[..., None], done: str, about: str, reason: str, *, required: bool) -> None:
    """Declare the command of an act; `reason` is the help of the text for the customer."""

    @returns.command(act.__name__, help=f"{about} The customer gets a mail.")
    @click.argument("reference")
    @click.option("--reason", type=Words(), default=None if required else "", required=required, help=reason)
    @with_appcontext
    @by_operator
    def command(reference: str, reason: str, by: Actor) -> None:
        act(pages.id_of(reference), by=by, message=reason)
        click.echo(f"{reference} is {done}.")


_READ = "The customer reads it, in the language of the order."
_decision(handling.accept, "accepted", "Accept the return REFERENCE.", _READ, required=False)
_never_came = "Decline the return REFERENCE, also an accepted one that never came."
_decision(handling.decline, "declined", _never_came, _READ, required=True)


@returns.command("receive")
@click.argument("reference")
@click.option("--restock", type=Units(), multiple=True, help="SKU=UNITS that arrived and can be sold again.")
@click.option("--no-restock", type=Units(), multiple=True, help="SKU=UNITS that arrived and cannot; needs --reason.")
@click.option("--reason", type=Words(), default="", help="Kept in the audit log.")
@with_appcontext
@by_operator
def receive(
    reference: str,
    restock: tuple[tuple[str, int], ...],
    no_restock: tuple[tuple[str, int], ...],
    reason: str,
    by: Actor,
) -> None:
    """Receive units of the accepted return REFERENCE. Support or finance then refunds it."""
    restocked, not_restocked = _by_product(restock), _by_product(no_restock)
    arrived = {sku: (restocked.get(sku, 0), not_restocked.get(sku, 0)) for sku in {*restocked, *not_restocked}}
    handling.receive(pages.id_of(reference), arrived, by=by, reason=reason)
    click.echo(f"{reference} is received.")


def _by_product(units: Sequence[tuple[str, int]]) -> dict[str, int]:
    found = dict(units)
    if len(found) != len(units):
        raise BadInput("unknown_line", "A product is named twice. Add up its units.")
    return found
