"""The matrix of roles and permissions."""

from __future__ import annotations

from flask import Blueprint, render_template

from shop.accounts.permissions import MONEY, PERMISSIONS, Permission, Role
from shop.http_kit.access import requires
from shop.ops.navigation import Group, Link

bp = Blueprint("roles", __name__)
LINKS = (Link("Roles", "ops.roles.index", Permission.CONSOLE_OPEN, Group.SYSTEM),)


@bp.get("/roles")
@requires(Permission.CONSOLE_OPEN)
def index() -> str:
    """The permissions of each role, from the table that the shop enforces."""
    return render_template(
        "ops/roles.html",
        headings=[(heading, "") for heading in ("Permission", "Decides money", *Role)],
        rows=[(one, one in MONEY, [one in PERMISSIONS[role] for role in Role]) for one in Permission],
    )
