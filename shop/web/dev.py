"""Control the shop's clock over HTTP, in development only."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, abort, current_app, request

from shop.core import clock, durations
from shop.core.errors import BadInput, Refusal
from shop.http_kit.access import access

blueprint = Blueprint("dev", __name__)


@blueprint.post("/dev/clock")
@access("bearer", setting="CONTROL_TOKEN")
def turn_clock() -> dict[str, str]:
    """Turn the clock forward by `{"by": "PT35M"}` or to `{"to": "2026-01-01T00:00:00Z"}`; answers `{"now": …}`.

    404 in production, 401 without the control token, 422 for an invalid time, 409 when the clock would go back.
    """
    if current_app.config["SETTLED_ENV"] != "development":
        abort(404)
    by = _wanted(request.get_json(silent=True))
    if by < timedelta(0):
        raise Refusal("clock_goes_back", "The clock never goes back.")
    return {"now": clock.advance(by).isoformat().replace("+00:00", "Z")}


def _wanted(body: Any) -> timedelta:
    """Duration that the body asks to advance the clock by. Raises BadInput."""
    match body:
        case {"by": str(text), **rest} if not rest:
            try:
                return durations.parse(text)
            except ValueError as error:
                raise BadInput("bad_duration", str(error)) from error
        case {"to": str(text), **rest} if not rest:
            try:
                to = datetime.fromisoformat(text)
            except ValueError as error:
                raise BadInput("bad_time", "A time looks like 2026-01-01T00:00:00Z.") from error
            if to.tzinfo is None:
                raise BadInput("bad_time", "A time needs its zone, as in 2026-01-01T00:00:00Z.")
            by = to - clock.now()
            if by > durations.LONGEST:
                raise BadInput("bad_time", "The time cannot be more than ten years ahead.")
            return by
        case _:
            raise BadInput("bad_body", 'Send JSON: {"by": "PT35M"} or {"to": "2026-01-01T00:00:00Z"}.')
