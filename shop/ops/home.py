"""First page of the console: what needs a person."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import Blueprint, render_template
from flask_login import current_user

from shop.accounts.permissions import Permission, permissions_of
from shop.core import clock, heartbeat
from shop.http_kit.access import requires
from shop.ops import acts, to_do
from shop.ops.navigation import Link

bp = Blueprint("home", __name__)
LINKS = (Link("To do", "ops.home.show", Permission.CONSOLE_OPEN),)
LATE = 15.0
"""Seconds after its last heartbeat when the clock process, which finds what is to do, counts as stopped."""


@bp.get("")
@requires(Permission.CONSOLE_OPEN)
def show() -> str:
    """List of what needs a person, and the time when the shop looked for it."""
    age = heartbeat.age("clock")
    return render_template(
        "ops/home.html",
        items=to_do.items(acts.reader(), permissions_of(current_user.roles)),
        seconds=None if age is None or age > LATE else round(age),
        checked_at=None if age is None else _before(age),
    )


def _before(seconds: float) -> datetime:
    return clock.wall() - timedelta(seconds=seconds)
