"""`flask settlement …`: settlement files, open discrepancies, and their acceptance."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from shop.commands import Group, Words, by_staff, decides_money
from shop.core.actor import Actor
from shop.integrity import settlement_days
from shop.integrity.settlement_days import Cell
from shop.payments.settlement import acceptance


@click.group(cls=Group)
def settlement() -> None:
    """Settlement files of the acquirers, and what in them differs from the ledger."""


@settlement.command("list")
@with_appcontext
def list_all() -> None:
    """List the days of the last two weeks with files or lines, then the oldest open discrepancies."""
    for day, cells in settlement_days.overview(settlement_days.newest_day()).items():
        for name, cell in cells.items():
            if cell.matched or cell.unmatched or cell.file:
                click.echo(f"{day} {name}: {cell.matched} matched, {cell.unmatched} unmatched, {_file(cell)}")
    page = settlement_days.unmatched()
    for one in page.items:
        row, sides = one.row, (("ours", one.ours), ("theirs", one.theirs))
        amounts = ", ".join(f"{name} {money.with_code()}" for name, money in sides if money)
        click.echo(f"{row.id} {row.day} {row.provider} {row.cause}: {row.about}, {amounts}, open for {one.days} days")
    if page.after:
        click.echo("… and more")


@settlement.command()
@click.argument("discrepancy_id", type=click.IntRange(1, 2**63 - 1))
@click.option("--reason", type=Words(), required=True, help="Why nothing more is to be done; kept in the audit log.")
@with_appcontext
@decides_money
@by_staff
def accept(discrepancy_id: int, reason: str, by: Actor) -> None:
    """Accept the discrepancy DISCREPANCY_ID. No money is booked."""
    acceptance.accept(discrepancy_id, by=by, reason=reason)
    click.echo(f"The discrepancy {discrepancy_id} is accepted.")


def _file(cell: Cell) -> str:
    file = cell.file
    if file is None:
        return "no file"
    if file.read_at:
        return f"read {file.read_at:%Y-%m-%d %H:%M}Z"
    after = f" after {file.attempts} attempts: {file.error}" if file.error else ""
    return f"next try {file.due_at:%Y-%m-%d %H:%M}Z{after}" if file.due_at else f"not fetched{after}"
