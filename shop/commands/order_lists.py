"""`flask views …` and `flask exports …`: saved views of the list of orders, and its exports as CSV files.

Filters are given as the query of the list's address in the console, such as `state=PAID&currency=TWD`.
"""

from __future__ import annotations

from typing import IO
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import click
from flask import current_app
from flask.cli import with_appcontext

from shop.accounts import staff
from shop.commands import Group, Words, by_staff
from shop.core.actor import Actor
from shop.order_search import exports as order_exports
from shop.order_search import filters as filters_of
from shop.order_search import views as saved_views
from shop.order_search.filters import Filters
from shop.payments.providers import registry


@click.group(cls=Group)
def views() -> None:
    """Saved views of the list of orders."""


@views.command("list")
@with_appcontext
def list_views() -> None:
    """List the views: number, name, filters, and the account that saved it."""
    for view in saved_views.every():
        click.echo(f"{view.id} {view.name}: {view.query} ({staff.label(view.saved_by)})")


@views.command("save")
@click.argument("name", type=Words())
@click.argument("query")
@with_appcontext
@by_staff
def save(name: str, query: str, by: Actor) -> None:
    """Save the filters of QUERY as the view NAME."""
    click.echo(f"View {saved_views.save(name, _filters(query), by=by).id} is saved.")


@views.command("rename")
@click.argument("view", type=int)
@click.argument("name", type=Words())
@with_appcontext
@by_staff
def rename(view: int, name: str, by: Actor) -> None:
    """Give the view VIEW, a number of the list, another name."""
    saved_views.rename(view, name, by=by)
    click.echo(f"View {view} is renamed.")


@views.command("delete")
@click.argument("view", type=int)
@with_appcontext
@by_staff
def delete(view: int, by: Actor) -> None:
    """Delete the view VIEW, a number of the list."""
    saved_views.remove(view, by=by)
    click.echo(f"View {view} is deleted.")


@click.group(cls=Group)
def exports() -> None:
    """Exports of orders as CSV files, which workers write."""


@exports.command("list")
@with_appcontext
def list_exports() -> None:
    """List the newest exports: id, state, orders in the file, filters."""
    for export in order_exports.newest():
        click.echo(f"{export.id} {export.state} {export.rows} {export.query or 'all orders'}")


@exports.command("request")
@click.argument("query", default="")
@with_appcontext
@by_staff
def request(query: str, by: Actor) -> None:
    """Request an export of the orders that match QUERY; without it of all."""
    zone = ZoneInfo(current_app.config["SHOP_TIME_ZONE"])
    click.echo(order_exports.request(_filters(query), zone, by=by))


@exports.command("restart")
@click.argument("export")
@with_appcontext
@by_staff
def restart(export: str, by: Actor) -> None:
    """Continue the failed export EXPORT."""
    order_exports.start_again(export, by=by)
    click.echo(f"Export {export} is continued.")


@exports.command("fetch")
@click.argument("export")
@click.argument("file", type=click.File("wb"))
@with_appcontext
@by_staff
def fetch(export: str, file: IO[bytes], by: Actor) -> None:
    """Write the file of the export EXPORT to FILE."""
    for part in order_exports.download(export, by=by):
        file.write(part)


def _filters(query: str) -> Filters:
    return filters_of.parse(parse_qs(query, keep_blank_values=True), registry.all_providers())
