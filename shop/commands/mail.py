"""`flask mail …`: list mails, retry failed ones, resend one."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from shop.commands import Group, Words, by_operator
from shop.core.actor import Actor
from shop.mail import missing, outgoing
from shop.mail import resend as resending
from shop.mail.models import Mail
from shop.mail.states import MailState


@click.group(cls=Group)
def mail() -> None:
    """Transactional mail."""


@mail.command("list")
@click.option("--state", type=click.Choice(list(MailState), case_sensitive=False), help="Only mails in this state.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@with_appcontext
def list_mails(state: str | None, limit: int) -> None:
    """List mails, the newest first, without their addresses, and count them by state."""
    for one in outgoing.newest(limit, state=MailState(state) if state else None):
        click.echo(_line(one))
    click.echo(", ".join(f"{name} {count}" for name, count in outgoing.by_state().items()))


@mail.command()
@click.argument("mail_ids", nargs=-1)
@with_appcontext
@by_operator
def retry(mail_ids: tuple[str, ...], by: Actor) -> None:
    """Make failed mails due again: those of MAIL_IDS, or all. Each keeps its Message-ID.

    Without MAIL_IDS it also queues mails that events of the last 29 days demand and that do not exist.
    """
    retried, queued = missing.retry(mail_ids, by=by)
    click.echo(f"Failed mails that are due again: {retried}. Missing mails that are queued: {queued}.")


@mail.command()
@click.argument("mail_id")
@click.option("--reason", required=True, type=Words(), help="Why it is sent once more.")
@with_appcontext
@by_operator
def resend(mail_id: str, reason: str, by: Actor) -> None:
    """Send a sent or failed mail once more, with a new Message-ID."""
    resending.resend(mail_id, by=by, reason=reason)
    click.echo("The mail will be sent again.")


def _line(one: Mail) -> str:
    about = f"order {one.subject}" if one.subject else one.event
    error = f", {one.error}" if one.error else ""
    return (
        f"{one.id} {one.created_at:%Y-%m-%d %H:%M:%S}Z {one.kind} {about}: {one.state}, {one.attempts} attempts{error}"
    )
