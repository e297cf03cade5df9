"""`flask announcements …`: texts above the pages of the shop."""

from __future__ import annotations

from datetime import datetime

import click
from flask.cli import with_appcontext

from shop.announcements import announcements as found
from shop.announcements.announcements import Content
from shop.commands import Group, Moment, Words, by_staff
from shop.commands.pricing import Texts, Translation
from shop.core import clock
from shop.core.actor import Actor
from shop.core.errors import BadInput
from shop.core.languages import ENGLISH


@click.group(cls=Group)
def announcements() -> None:
    """Texts above the pages of the shop."""


@announcements.command("list")
@with_appcontext
def list_all() -> None:
    """List all announcements, the newest first."""
    now = clock.now()
    for row in found.all_rows():
        times = " ".join(at.isoformat() if at else "-" for at in (row.starts_at, row.ends_at))
        click.echo(f"{row.id} {found.state(row, now)} {times} {row.texts[ENGLISH]}")


@announcements.command("add")
@click.argument("text", type=Words())
@click.option("--text", "texts", multiple=True, type=Translation(), help="In another language: zh-Hant=元旦休息.")
@click.option("--link", default="", type=Words(), help="A path such as /returns, or an https address.")
@click.option("--from", "starts_at", type=Moment(), help="First moment at which it is shown.")
@click.option("--until", "ends_at", type=Moment(), help="First moment at which it is not shown any more.")
@with_appcontext
@by_staff
def add(text: str, texts: Texts, link: str, starts_at: datetime | None, ends_at: datetime | None, by: Actor) -> None:
    """Add an announcement with TEXT, which is English."""
    number = found.create(Content({ENGLISH: text, **dict(texts)}, link, starts_at, ends_at), by=by)
    click.echo(f"Announcement {number} is saved.")


@announcements.command("remove")
@click.argument("number", type=click.IntRange(1, 2**31 - 1))
@with_appcontext
@by_staff
def remove(number: int, by: Actor) -> None:
    """Delete the announcement NUMBER."""
    row = found.find(number)
    if row is None:
        raise BadInput("unknown_announcement", f"There is no announcement {number}.")
    found.remove(number, seen=row.version, by=by)
    click.echo(f"Announcement {number} is deleted.")
