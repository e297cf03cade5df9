"""`flask users …`: accounts, and the access of staff. Each command calls the use case of the console."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from shop.accounts import invitations, people, role_requests, sign_in_help, signin, staff, staff_list
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.commands import Group, Words, by_operator, by_staff
from shop.core import languages
from shop.core.actor import Actor
from shop.core.key_pages import Page, Place

_roles = click.option("--role", "roles", multiple=True, help=f"One of {', '.join(Role)}; can be repeated.")
_reason = click.option("--reason", type=Words(), required=True, help="Reason, kept in the audit log.")


@click.group(cls=Group)
def users() -> None:
    """Accounts, and the access of staff."""


@users.command("create")
@click.argument("email")
@click.option("--name", default="")
@click.option("--role", "roles", multiple=True, help="Role; can be repeated.")
@click.option("--verified", is_flag=True, help="You know that the address belongs to the owner of the account.")
@click.password_option()
@with_appcontext
@by_operator
def create(email: str, name: str, roles: tuple[str, ...], verified: bool, password: str, by: Actor) -> None:
    """Create an account."""
    user = signin.create(email, name or email.partition("@")[0], password, list(roles), is_verified=verified, by=by)
    click.echo(f"{user.email} can sign in.")


@users.command("list")
@with_appcontext
def show_all() -> None:
    """List the staff accounts, and the requests for roles that wait for a second admin."""
    page = staff_list.find()
    while page.rows:
        for user in page.rows:
            click.echo(_line(user))
        page = staff_list.find(Place(after=page.next)) if page.next else Page([])
    for request, user in role_requests.waiting():
        person = staff.label(request.requested_by)
        click.echo(f"{person} requests {', '.join(request.roles)} for {user.email}: flask users approve {request.id}")


def _line(user: User) -> str:
    last = f"{user.last_signed_in_at:%Y-%m-%d %H:%M} UTC" if user.last_signed_in_at else "never"
    return f"{user.email}  {', '.join(user.roles)}  {staff_list.state_of(user)}  last sign-in {last}"


@users.command("invite")
@click.argument("email")
@_roles
@_reason
@click.option("--language", type=click.Choice(list(languages.OFFERED)), default="en", help="Language of the mail.")
@with_appcontext
@by_operator
def invite(email: str, roles: tuple[str, ...], reason: str, language: str, by: Actor) -> None:
    """Mail an invitation to EMAIL: the person chooses name and password. The roles finance and admin wait for a second
    admin, and need --by; only the first admin of a shop does not.
    """
    invitations.invite(email, roles, by=by, reason=reason, language=language)
    click.echo(f"The invitation to {email} is sent. It is valid for 72 hours.")


@users.command("disable")
@click.argument("email")
@_reason
@with_appcontext
@by_operator
def disable(email: str, reason: str, by: Actor) -> None:
    """Disable the account EMAIL: its sign-ins end, and its open requests lapse."""
    people.disable(staff.account_of(email).id, by=by, reason=reason)
    click.echo(f"{email} is disabled and signed out.")


@users.command("enable")
@click.argument("email")
@_reason
@with_appcontext
@by_operator
def enable(email: str, reason: str, by: Actor) -> None:
    """Let the disabled account EMAIL sign in again."""
    people.enable(staff.account_of(email).id, by=by, reason=reason)
    click.echo(f"{email} can sign in again.")


@users.command("sign-out")
@click.argument("email")
@_reason
@with_appcontext
@by_operator
def sign_out(email: str, reason: str, by: Actor) -> None:
    """End all sign-ins of the account EMAIL."""
    sign_in_help.sign_out(staff.account_of(email).id, by=by, reason=reason)
    click.echo(f"{email} is signed out everywhere.")


@users.command("unlock")
@click.argument("email")
@_reason
@with_appcontext
@by_operator
def unlock(email: str, reason: str, by: Actor) -> None:
    """Clear the wrong passwords that delay the sign-in of the account EMAIL."""
    sign_in_help.unlock(staff.account_of(email).id, by=by, reason=reason)
    click.echo(f"Nothing delays the next sign-in of {email}.")


@users.command("set-roles")
@click.argument("email")
@_roles
@_reason
@with_appcontext
@by_operator
def set_roles(email: str, roles: tuple[str, ...], reason: str, by: Actor) -> None:
    """Give the account EMAIL exactly these roles; none takes all away. The roles finance and admin wait for a second
    admin, and need --by; only the first admin of a shop does not.
    """
    changed = people.set_roles(staff.account_of(email).id, roles, by=by, reason=reason)
    click.echo(f"{email} has the roles: {', '.join(changed.now) or 'none'}.")
    if changed.waiting:
        waits = ", ".join(changed.waiting)
        click.echo(f"{waits} waits for a second admin: flask users approve {changed.request} --by …")


@users.command("remove-second-factor")
@click.argument("email")
@_reason
@with_appcontext
@by_operator
def remove_second_factor(email: str, reason: str, by: Actor) -> None:
    """Remove the second factor of EMAIL, who has lost it; the sign-ins of the account end."""
    people.remove_second_factor(staff.account_of(email).id, by=by, reason=reason)
    click.echo(f"{email} has no second factor now.")


@users.command("approve")
@click.argument("request_id", type=click.IntRange(1, staff_list.LARGEST_ID))
@with_appcontext
@by_staff
def approve(request_id: int, by: Actor) -> None:
    """Give the roles of a request, as the second admin."""
    role_requests.approve(request_id, by=by)
    click.echo("The roles are given.")


@users.command("decline")
@click.argument("request_id", type=click.IntRange(1, staff_list.LARGEST_ID))
@with_appcontext
@by_staff
def decline(request_id: int, by: Actor) -> None:
    """Decline a request for roles."""
    role_requests.decline(request_id, by=by)
    click.echo("The request is declined.")
