"""Flask commands: `flask --app wsgi …`."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.utils import import_string

from shop.accounts import demo_people
from shop.catalogue import initial_catalogue, search_entries
from shop.commands.alerts import alerts
from shop.commands.announcements import announcements
from shop.commands.api_keys import api_keys
from shop.commands.audit import audit
from shop.commands.fulfilment import fulfilment
from shop.commands.legal_texts import legal_texts
from shop.commands.mail import mail
from shop.commands.money import money
from shop.commands.order_lists import exports, views
from shop.commands.orders import orders
from shop.commands.pricing import pricing
from shop.commands.products import products
from shop.commands.queues import queues
from shop.commands.reconcile import reconcile
from shop.commands.returns import returns
from shop.commands.search import search
from shop.commands.seller import seller
from shop.commands.settlement import settlement
from shop.commands.users import users
from shop.commands.webhook_endpoints import webhook_endpoints
from shop.commands.webhooks import webhooks
from shop.core import clock as core_clock
from shop.core import durations, metrics
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.errors import PassiveCopy
from shop.core.exclusive import alone_until_commit
from shop.integrity import checks, invariants
from shop.inventory import stock
from shop.inventory.models import Stock
from shop.jobs import work
from shop.jobs.clock import Clock
from shop.jobs.worker import run as run_worker
from shop.pricing import demo_pricing


def init_app(app: Flask) -> None:
    for command in (
        seed,
        sweep,
        check,
        clock,
        worker,
        users,
        fulfilment,
        returns,
        money,
        reconcile,
        settlement,
        queues,
        webhooks,
        alerts,
        orders,
        views,
        exports,
        products,
        search,
        pricing,
        seller,
        legal_texts,
        announcements,
        mail,
        audit,
        api_keys,
        webhook_endpoints,
    ):
        app.cli.add_command(command)


@click.command()
@with_appcontext
def seed() -> None:
    """Insert missing products of the initial catalogue with their stock, and missing translations. Never changes a
    product otherwise. Writes what the index of product search does not have.

    In development, a shop without tax, delivery methods and codes gets those of the demo, and the demo's accounts that
    do not exist.
    """
    is_development = current_app.config["SETTLED_ENV"] == "development"
    with transaction():
        alone_until_commit(db.session, "seed")
        units = initial_catalogue.insert_missing()
        known = set(db.session.scalars(db.select(Stock.sku)))
        for sku in sorted(set(units) - known):
            stock.receive(sku, units[sku] * current_app.config["SEED_STOCK"])
        if is_development:
            demo_pricing.insert_if_none()
    if is_development:
        demo_people.insert_missing()
    search_entries.write_stale()
    click.echo(f"The {len(units)} products of the initial catalogue exist.")


@click.command()
@with_appcontext
def sweep() -> None:
    """Do all due work once, now: poll acquirers, end orders, publish events."""
    if current_app.config["SETTLED_PASSIVE"]:
        raise click.ClickException(PassiveCopy().message)
    done = work.sweep()
    click.echo(", ".join(f"{kind} {count}" for kind, count in done.items()))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@with_appcontext
def check(as_json: bool) -> None:
    """Check the invariants. Exits with 1 and prints the violating rows if one does not hold.

    The console shows the result, unless it cannot be stored.
    """
    findings = invariants.check_at_rest()
    with suppress(PassiveCopy, SQLAlchemyError):
        checks.keep(findings, Actor.operator())
    if as_json:
        click.echo(json.dumps([f.as_json() for f in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.holds else 'FAIL'} {finding.name}: {finding.statement}")
            for row in finding.rows[:20]:
                click.echo(f"       {row}")
    sys.exit(0 if all(f.holds for f in findings) else 1)


@click.group(invoke_without_command=True)
@click.pass_context
@with_appcontext
def clock(context: click.Context) -> None:
    """Run the clock: find due work once a second, until stopped."""
    if context.invoked_subcommand is None:
        metrics.begin()
        Clock().run()


@clock.command()
@click.argument("by")
@with_appcontext
def advance(by: str) -> None:
    """Advance the shop's clock BY an ISO 8601 duration such as PT35M. Development only."""
    try:
        click.echo(core_clock.advance(durations.parse(by)).isoformat())
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option("--queues", default="settled,acquirer", show_default=True, help="Queues to work on, the first one first.")
@click.option(
    "--preload", multiple=True, help="module:function to call first, so that no first job waits for its imports."
)
@with_appcontext
def worker(queues: str, preload: tuple[str, ...]) -> None:
    """Run a worker on RQ's queues, until stopped."""
    metrics.begin()
    for name in preload:
        import_string(name)()
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    run_worker(app, tuple(name.strip() for name in queues.split(",") if name.strip()))
