"""`flask products …`: prices and stock of products."""

from __future__ import annotations

import re
import sys
from typing import Any, BinaryIO

import click
from flask.cli import with_appcontext

from shop.catalogue import browse
from shop.catalogue import products as catalogue
from shop.commands import Currency, Group, Words, by_operator
from shop.commands import amount as money
from shop.core import text
from shop.core.actor import Actor
from shop.inventory import stock
from shop.merchandising import csv_export, csv_file, imports
from shop.merchandising.models import Outcome, ProductImportLine

_SKU = re.compile("[A-Z0-9-]{1,64}")


class Sku(click.ParamType[str]):
    """The SKU of a product that exists, in either case."""

    name = "sku"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        sku = text.plain(str(value)).upper()
        if not _SKU.fullmatch(sku) or not browse.by_skus([sku]):
            self.fail(f"There is no product {sku[:64]!r}. `flask products list` shows all of them.", param, ctx)
        return sku


class Units(click.ParamType[int]):
    """A number of units, at least one."""

    name = "quantity"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        units = text.plain(str(value))
        if not re.fullmatch("[0-9]{1,7}", units) or int(units) < 1:
            limit = f"{stock.MOST_ON_HAND:,}"
            self.fail(f"{units[:20]!r} is not a quantity. Give a whole number from 1 to {limit}.", param, ctx)
        return int(units)


@click.group(cls=Group)
def products() -> None:
    """Prices and stock."""


@products.command("list")
@with_appcontext
def list_all() -> None:
    """List all products with prices and available units."""
    found = browse.in_order()
    left = stock.available(product.sku for product in found)
    for product in found:
        cost = ", ".join(product.price(currency).with_code() for currency in product.currencies) or "no price"
        click.echo(f"{product.sku:<16} {left[product.sku]:>7}  {product.name:<28} {cost}")


@products.command("price")
@click.argument("sku", type=Sku())
@click.argument("currency", type=Currency())
@click.argument("amount")
@with_appcontext
@by_operator
def price(sku: str, currency: str, amount: str, by: Actor) -> None:
    """Set the price of SKU in CURRENCY to AMOUNT, in units of the currency: 12.50 is twelve and a half dollars."""
    now = money(amount, currency)
    before = catalogue.set_price(sku, now, by=by)
    click.echo(f"{sku} now costs {now.with_code()}{f' (before: {before.with_code()})' if before else ''}.")


@products.command("export")
@with_appcontext
def export() -> None:
    """Write all products as a CSV file to standard output."""
    for part in csv_export.export():
        click.echo(part, nl=False)


@products.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@with_appcontext
@by_operator
def import_file(file: BinaryIO, dry_run: bool, by: Actor) -> None:
    """Create and change products from the CSV file FILE. Lists every change and every error by line.

    Each line is applied or refused alone. Exits with 1 if one is refused.
    """
    content = file.read(csv_file.LARGEST_FILE + 1)
    job = imports.run(imports.request(content, file.name, is_dry_run=dry_run, by=by, is_claimed=True))
    after, lines = 0, imports.results(job.id)
    while lines:
        for line in lines:
            click.echo(f"line {line.line}: {line.sku or 'no SKU'} {line.outcome}: {_in_words(line)}")
        after = lines[-1].line
        lines = imports.results(job.id, after)
    kind = "Dry run, nothing was changed" if dry_run else "Imported"
    counts = f"{job.created} created, {job.changed} changed, {job.unchanged} unchanged, {job.refused} refused"
    click.echo(f"{kind}: {counts}.")
    if job.failure:
        raise click.ClickException(job.failure)
    if job.refused:
        sys.exit(1)


def _in_words(line: ProductImportLine) -> str:
    if line.outcome is Outcome.REFUSED:
        return " ".join(f"{field}: {why}" if field else why for field, why in line.what.items())
    return "; ".join(f"{field} {before!r} → {after!r}" for field, (before, after) in line.what.items())


@products.command("archive")
@click.argument("sku", type=Sku())
@with_appcontext
@by_operator
def archive(sku: str, by: Actor) -> None:
    """Take SKU out of the shop. Orders keep it."""
    catalogue.archive(sku, by=by)
    click.echo(f"{sku} is archived.")


@products.command("restore")
@click.argument("sku", type=Sku())
@with_appcontext
@by_operator
def restore(sku: str, by: Actor) -> None:
    """Sell the archived product SKU again."""
    catalogue.restore(sku, by=by)
    click.echo(f"{sku} is in the shop again.")


@products.command("restock")
@click.argument("sku", type=Sku())
@click.argument("quantity", type=Units())
@click.option("--reason", type=Words(), default="", help="Kept in the history of the stock.")
@with_appcontext
@by_operator
def restock(sku: str, quantity: int, reason: str, by: Actor) -> None:
    """Add QUANTITY units of SKU to the stock. The stock movements record it."""
    left = stock.restock(sku, quantity, by=by, reason=reason)
    click.echo(f"{quantity} units of {sku} received; {left} are available.")


@products.command("correct")
@click.argument("sku", type=Sku())
@click.argument("on_hand", type=click.IntRange(0, stock.MOST_ON_HAND))
@click.option("--seen", type=int, required=True, help="Units on hand before, as `products stock` shows them.")
@click.option("--reason", type=Words(), required=True, help="Kept in the history of the stock.")
@with_appcontext
@by_operator
def correct(sku: str, on_hand: int, seen: int, reason: str, by: Actor) -> None:
    """Set the units on hand of SKU to ON_HAND after a count. Refused if the shop has another number than --seen."""
    stock.correct(sku, on_hand, seen=seen, by=by, reason=reason)
    click.echo(f"{on_hand} units of {sku} are on hand.")


@products.command("stock")
@click.argument("sku", type=Sku())
@with_appcontext
def show_stock(sku: str) -> None:
    """Show the units of SKU: on hand, reserved, available, and the limit of the alert."""
    found = stock.find(sku)
    limit = "no alert" if found.low_at is None else f"alert at {found.low_at}"
    left = found.on_hand - found.reserved
    click.echo(f"{sku}: {found.on_hand} on hand, {found.reserved} reserved, {left} available, {limit}")


@products.command("alert-at")
@click.argument("sku", type=Sku())
@click.argument("units", type=click.IntRange(0, stock.MOST_ON_HAND), required=False)
@with_appcontext
@by_operator
def alert_at(sku: str, units: int | None, by: Actor) -> None:
    """Alert staff when UNITS units of SKU or fewer are available; without UNITS never."""
    stock.set_low_at(sku, units, by=by)
    click.echo(f"{sku}: no alert." if units is None else f"{sku}: an alert at {units} available units.")
