"""`flask search …`: the index of product search."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from shop.catalogue import search_entries
from shop.commands import Group, by_operator
from shop.core.actor import Actor


@click.group(cls=Group)
def search() -> None:
    """The index of product search."""


@search.command("rebuild")
@with_appcontext
@by_operator
def rebuild(by: Actor) -> None:
    """Write the index again from the products, and print the progress. Customers can search meanwhile."""
    done = search_entries.rebuild(by=by, progress=lambda number: click.echo(f"{number} products"))
    click.echo(f"The index has {done} products.")
