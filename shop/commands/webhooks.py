"""`flask webhooks …`: list webhooks of the inbox, retry them, and try altered ones."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import IO, Any
from zoneinfo import ZoneInfo

import click
from flask import current_app
from flask.cli import with_appcontext

from shop.commands import Group, Words, by_operator
from shop.core.actor import Actor
from shop.payments.providers import registry
from shop.payments.webhooks import altered, pages, retry, words
from shop.payments.webhooks import filters as inbox_filters
from shop.payments.webhooks.filters import Filters
from shop.payments.webhooks.pages import Row

_reason = click.option("--reason", type=Words(), required=True, help="Reason, kept in the audit log.")
_body = click.argument("body", type=click.File("rb"), metavar="FILE")
_HELP = {
    "provider": "Provider",
    "outcome": "Outcome",
    "state": "State: done, waiting, failing or refused",
    "payment": "Payment id",
    "event": "Event id",
    "field": "Field of a JSON body with its value, such as data.object.id=pi_1",
}


@click.group(cls=Group)
def webhooks() -> None:
    """The webhook inbox: stored and refused webhooks."""


def _with_filters(do: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filters of the inbox as options, and pass them as `filters`. The command runs in an app context."""

    @functools.wraps(do)
    def run(*arguments: Any, **options: Any) -> Any:
        given = {name: options.pop(f"filter_{name}") for name in inbox_filters.NAMES}
        filters = inbox_filters.parse(given, registry.all_providers())
        return do(*arguments, filters=filters, **options)

    for name, text in (("to", "Last day in the shop's zone"), ("from", "First day in the shop's zone")):
        run = click.option(f"--{name}", f"filter_{name}", multiple=True, help=f"{text}, such as 2026-12-24.")(run)
    for name, text in reversed(_HELP.items()):
        run = click.option(f"--{name}", f"filter_{name}", multiple=True, help=f"{text}; can be repeated.")(run)
    return run


@webhooks.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
@_with_filters
def list_webhooks(filters: Filters, limit: int, as_json: bool) -> None:
    """List webhooks, the newest first."""
    rows = pages.find(filters, _zone(), limit=limit).rows
    if as_json:
        click.echo(json.dumps([_fields(row) for row in rows], indent=2))
        return
    for row in rows:
        click.echo(_line(row))


@webhooks.command("retry")
@click.argument("key")
@_reason
@with_appcontext
@by_operator
def retry_one(key: str, reason: str, by: Actor) -> None:
    """Make the webhook KEY due now. KEY is its number in the list."""
    retry.retry(key, by=by, reason=reason)
    click.echo(f"Webhook {key} is due now.")


@webhooks.command("retry-matching")
@click.option(
    "--count", type=click.IntRange(0), help="The count that was printed before. Without it nothing is retried."
)
@_reason
@with_appcontext
@by_operator
@_with_filters
def retry_matching(filters: Filters, count: int | None, reason: str, by: Actor) -> None:
    """Make the webhooks that match due now, at most 1,000 at a time: first without --count, which prints the count."""
    if count is None:
        found = retry.count_matching(filters, _zone())
        click.echo(f"{found} webhooks match and can be retried. Repeat this with --count {found} to retry them.")
        return
    done = retry.retry_matching(filters, _zone(), seen=count, by=by, reason=reason)
    click.echo(f"Webhooks that are due now: {done.count}. Others that match: {done.left}.")


@webhooks.command("try-altered")
@click.argument("key")
@_body
@with_appcontext
def try_altered(key: str, body: IO[bytes]) -> None:
    """Print what the webhook KEY would do now with the body in FILE. Nothing is written."""
    for result in altered.try_altered(key, body.read().decode(errors="replace")):
        about = " ".join(filter(None, (result.summary, result.payment)))
        click.echo(f"{result.outcome}: {words.OUTCOMES[result.outcome]}" + (f" ({about})" if about else ""))
        for line in (*result.reasons, *result.changes):
            click.echo(f"  {line}")


@webhooks.command("apply-altered")
@click.argument("key")
@_body
@_reason
@with_appcontext
@by_operator
def apply_altered(key: str, body: IO[bytes], reason: str, by: Actor) -> None:
    """Apply the body in FILE in place of that of the webhook KEY, as staff. For development only."""
    outcome = altered.apply_altered(key, body.read().decode(errors="replace"), by=by, reason=reason)
    click.echo(f"The edited event was applied. Outcome: {outcome}.")


def _zone() -> ZoneInfo:
    return ZoneInfo(current_app.config["SHOP_TIME_ZONE"])


def _sentence(row: Row) -> str:
    return words.sentence(
        row.outcome, trust=row.trust, state=row.state, error=row.error, reason=row.reason, not_ours=row.not_ours
    )


def _fields(row: Row) -> dict[str, Any]:
    due = row.next_attempt.isoformat() if row.next_attempt else None
    return {
        "key": row.key,
        "received_at": row.received_at.isoformat(),
        "provider": row.provider,
        "event": row.event_id,
        "state": row.state,
        "outcome": row.outcome,
        "text": _sentence(row),
        "payment": row.payment,
        "order": row.order_number,
        "attempts": row.attempts,
        "repeats": row.repeats,
        "next_attempt": due,
    }


def _line(row: Row) -> str:
    about = " ".join(filter(None, (row.summary, row.payment, row.order_number)))
    due = f", next attempt {row.next_attempt:%Y-%m-%d %H:%M:%S}Z" if row.next_attempt else ""
    tries = f", {row.attempts} attempts" if row.attempts else ""
    start = f"{row.key} {row.received_at:%Y-%m-%d %H:%M:%S}Z {row.provider} {row.event_id}".rstrip()
    return f"{start} {row.state}: {_sentence(row)}{f' ({about})' if about else ''}{tries}{due}"
