"""`flask seller …`: the data of the seller on receipts and pages."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from shop.commands import Group, Words, by_staff
from shop.core.actor import Actor
from shop.core.versions import NEW
from shop.seller import Seller
from shop.seller_data import seller_data


@click.group(cls=Group)
def seller() -> None:
    """Name and address of the seller, on receipts and pages."""


@seller.command("show")
@with_appcontext
def show() -> None:
    """Show the seller of the next receipt."""
    row, now = seller_data.row(), seller_data.present()
    for name, value in vars(now).items():
        click.echo(f"{name:<8} {value or '-'}")
    click.echo("From the settings." if row is None else f"Changed at {row.changed_at.isoformat()}.")


@seller.command("set")
@click.option("--name", required=True, type=Words(), help="Legal name.")
@click.option("--address", required=True, type=Words(), help="Address in one line.")
@click.option("--tax-id", default="", type=Words(), help="Tax number; without it none is shown.")
@click.option("--email", default="", type=Words(), help="E-mail address; without it none is shown.")
@click.option("--reason", required=True, type=Words(), help="Why it changes.")
@with_appcontext
@by_staff
def set_seller(name: str, address: str, tax_id: str, email: str, reason: str, by: Actor) -> None:
    """Set all data of the seller. Receipts that were issued keep theirs."""
    row = seller_data.row()
    seller_data.save(Seller(name, address, tax_id, email), seen=row.version if row else NEW, by=by, reason=reason)
    click.echo("Receipts from now on name this seller.")
