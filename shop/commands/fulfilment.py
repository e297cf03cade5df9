"""`flask fulfilment …`: pack and ship paid orders."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click
from flask.cli import with_appcontext

from shop.commands import Group, Words, by_operator
from shop.commands import order as find_order
from shop.core import ids, text
from shop.core.actor import Actor
from shop.fulfilment import carriers, find, to_ship, write
from shop.fulfilment.carriers import CARRIERS, OTHER

LARGEST_NUMBER = 10_000
_UNITS = re.compile("([A-Z0-9-]{1,64})=([0-9]{1,6})")


class Units(click.ParamType[tuple[str, int]]):
    """Units of a product, such as KETTLE-01=2."""

    name = "sku=units"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        found = _UNITS.fullmatch(text.plain(str(value)).upper())
        if found is None:
            self.fail(f"{str(value)[:80]!r} is not a product with its units, such as KETTLE-01=2.", param, ctx)
        return found[1], int(found[2])


def with_tracking(do: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the carrier and the tracking of a package."""
    known = click.Choice([*CARRIERS, OTHER])
    for option in (
        click.option("--link", default="", help="Tracking link (https) of another carrier."),
        click.option("--name", default="", help="Name of another carrier."),
        click.option("--number", "tracking_number", default="", help="Tracking number."),
        click.option("--carrier", type=known, required=True, help=f"One of {', '.join(CARRIERS)}, {OTHER}."),
    ):
        do = option(do)
    return do


PACKAGE = click.IntRange(1, LARGEST_NUMBER)


@click.group(cls=Group)
def fulfilment() -> None:
    """Packing and shipping."""


@fulfilment.command("list")
@with_appcontext
def list_open() -> None:
    """List the paid orders with units to pack or to ship, the longest paid first; at most 50."""
    page, total = to_ship.first()
    for row in page:
        left = ", ".join(f"{line.left} x {line.sku}" for line in row.left) or "nothing left to pack"
        click.echo(f"{row.number}  {row.paid_at:%Y-%m-%d %H:%M} UTC  {row.fulfilment:<14} {left}")
    click.echo(f"Orders: {'more than ' if total > to_ship.COUNTED else ''}{min(total, to_ship.COUNTED)}.")


@fulfilment.command("pack")
@click.argument("number")
@click.option("--unit", "units", type=Units(), multiple=True, help="SKU=UNITS to pack; all that are left by default.")
@with_appcontext
@by_operator
def pack(number: str, units: tuple[tuple[str, int], ...], by: Actor) -> None:
    """Pack units of the order NUMBER into a package."""
    order = find_order(number)
    left = {line.sku: line.left for line in find.lines([order.id])[order.id]}
    package = write.pack(order.id, dict(units) or left, by=by, form_key=ids.token())
    click.echo(f"Package {package} of {number} is packed.")


@fulfilment.command("ship")
@click.argument("number")
@click.option("--package", type=PACKAGE, help="The packed package; all that is left by default.")
@with_tracking
@with_appcontext
@by_operator
def ship(number: str, package: int | None, carrier: str, tracking_number: str, name: str, link: str, by: Actor) -> None:
    """Mark a package of the order NUMBER as handed to its carrier. The customer gets a mail."""
    order_id, tracking = find_order(number).id, carriers.tracking(carrier, tracking_number, name=name, url=link)
    if package is None:
        package = write.pack_and_ship(order_id, tracking, by=by, form_key=ids.token())
    else:
        write.ship(order_id, package, tracking, by=by)
    click.echo(f"Package {package} of {number} is shipped.")


@fulfilment.command("cancel")
@click.argument("number")
@click.argument("package", type=PACKAGE)
@with_appcontext
@by_operator
def cancel(number: str, package: int, by: Actor) -> None:
    """Cancel the PACKAGE of the order NUMBER, which has not left."""
    write.cancel(find_order(number).id, package, by=by)
    click.echo(f"Package {package} of {number} is cancelled.")


@fulfilment.command("correct")
@click.argument("number")
@click.argument("package", type=PACKAGE)
@with_tracking
@click.option("--reason", type=Words(), required=True)
@with_appcontext
@by_operator
def correct(
    number: str, package: int, carrier: str, tracking_number: str, name: str, link: str, reason: str, by: Actor
) -> None:
    """Correct the tracking of the PACKAGE of the order NUMBER, which has left. No mail is sent."""
    tracking = carriers.tracking(carrier, tracking_number, name=name, url=link)
    write.change_tracking(find_order(number).id, package, tracking, by=by, reason=reason)
    click.echo(f"The tracking of package {package} of {number} is corrected.")


@fulfilment.command("withdraw")
@click.argument("number")
@click.argument("units", type=Units(), nargs=-1, required=True)
@click.option("--reason", type=Words(), required=True)
@with_appcontext
@by_operator
def withdraw(number: str, units: tuple[tuple[str, int], ...], reason: str, by: Actor) -> None:
    """Set how many units of lines of the order NUMBER are not shipped, such as KETTLE-01=1. Refunds no money."""
    order_id = find_order(number).id
    seen = {line.sku: line.withdrawn for line in find.lines([order_id])[order_id]}
    write.withdraw(order_id, dict(units), seen=seen, by=by, reason=reason)
    click.echo(f"Saved for {number}.")
