"""`flask products …`: prices and stock of products."""

from __future__ import annotations

import re
from typing import Any

import click
from flask.cli import with_appcontext

from shop.catalogue import browse
from shop.catalogue import products as catalogue
from shop.commands import Currency, Group, Words, by_operator
from shop.commands import amount as money
from shop.core import text
from shop.core.actor import Actor
from shop.inventory import stock

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
    found = browse.search()
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
