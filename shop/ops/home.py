"""First page of the console."""

from __future__ import annotations

from flask import Blueprint, render_template

from shop.accounts.permissions import Permission
from shop.http_kit.access import requires
from shop.ops.navigation import Link

bp = Blueprint("home", __name__)
LINKS = (Link("Overview", "ops.home.show", Permission.CONSOLE_OPEN),)


@bp.get("")
@requires(Permission.CONSOLE_OPEN)
def show() -> str:
    """First page after the sign-in of staff: the pages that the reader may open."""
    return render_template("ops/home.html")
