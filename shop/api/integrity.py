"""Integrity: results of the last check of all invariants."""

from __future__ import annotations

from typing import Any

from shop.accounts.permissions import Permission
from shop.api.access import api_access
from shop.api.resource import Resource
from shop.api.schemas import integrity as schemas
from shop.integrity import checks

bp = Resource("Integrity", __name__, "/integrity", "Invariants of the shop's books, checked in the background.")


@bp.route("", methods=["GET"])
@api_access(Permission.INTEGRITY_READ)
@bp.response(200, schemas.IntegritySchema, example=schemas.EXAMPLE)
def show() -> dict[str, Any]:
    """Show the last check of all invariants

    Checks run once a day, and when staff start one in the console.
    """
    last = checks.last_ended()
    return {"is_running": checks.open_check() is not None, "last_check": schemas.check(last) if last else None}
