"""Page Live of the console: the figures of today and the newest events, which a WebSocket keeps current.

The WebSocket has the address of the page (`shop.live.console`). Without it the page shows what was rendered.
"""

from __future__ import annotations

from flask import Blueprint, render_template

from shop.accounts.permissions import Permission
from shop.activity import events, figures
from shop.core import clock
from shop.http_kit.access import requires
from shop.ops.navigation import Link

bp = Blueprint("live", __name__)
LINKS = (Link("Live", "ops.live.show", Permission.ORDER_READ),)


@bp.get("/live")
@requires(Permission.ORDER_READ)
def show() -> str:
    """Figures of today and newest events."""
    newest, tiles = events.newest(), figures.tiles()
    return render_template("ops/live.html", events=newest, tiles=tiles, most=events.SHOWN, at=clock.now())
