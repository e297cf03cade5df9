"""`flask api-keys …`: list the API keys of staff, revoke one."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from shop.accounts import api_keys as keys
from shop.accounts.api_models import ApiKey
from shop.commands import Group, by_operator
from shop.core.actor import Actor


@click.group("api-keys", cls=Group)
def api_keys() -> None:
    """API keys of staff. They are made in the console, by their owners."""


@api_keys.command("list")
@with_appcontext
def list_keys() -> None:
    """List the newest keys, without their secrets."""
    for key, owner in keys.listed():
        click.echo(_line(key, owner))


@api_keys.command()
@click.argument("key_id", type=click.IntRange(1, 2**63 - 1))
@with_appcontext
@by_operator
def revoke(key_id: int, by: Actor) -> None:
    """Revoke the key KEY_ID, its first number in the list. Programs that use it get 401 from now on."""
    keys.revoke(key_id, by=by)
    click.echo("The key is revoked.")


def _line(key: ApiKey, owner: str) -> str:
    used = f"last used {key.last_used_at:%Y-%m-%d %H:%M}Z" if key.last_used_at else "never used"
    revoked = f", revoked {key.revoked_at:%Y-%m-%d %H:%M}Z" if key.revoked_at else ""
    return f"{key.id} {keys.PREFIX}{key.public_id}_… {owner}, {key.name}: {', '.join(key.scopes)}; {used}{revoked}"
