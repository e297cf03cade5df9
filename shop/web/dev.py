"""For development alone: turning the shop's clock from outside."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, abort, current_app, request

from shop.core import clock, durations
from shop.core.errors import BadInput, Refusal
from shop.web.access import access

blueprint = Blueprint("dev", __name__)


@blueprint.post("/dev/clock")
@access("bearer")
def turn_clock() -> dict[str, str]:
    """Turn the clock forward by `{"by": "PT35M"}` or to `{"to": "2026-01-01T00:00:00Z"}`; answers `{"now": …}`.

    404 in production, 401 without the control token, 422 for what is no time, 409 when it would go back.
    """
    if current_app.config["SETTLED_ENV"] == "production":
        abort(404)
    _check_bearer()
    by = _wanted(request.get_json(silent=True))
    if by < timedelta(0):
        raise Refusal("clock_goes_back", "The clock never goes back.")
    return {"now": clock.advance(by).isoformat().replace("+00:00", "Z")}


def _check_bearer() -> None:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), current_app.config["CONTROL_TOKEN"].encode()):
        raise Refusal("not_authorized", "This needs the control token.", status=401)


def _wanted(body: Any) -> timedelta:
    """By how much the body asks the clock to be turned. Raises BadInput."""
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
                raise BadInput("bad_time", "More than ten years ahead is not taken.")
            return by
        case _:
            raise BadInput("bad_body", 'Send JSON: {"by": "PT35M"} or {"to": "2026-01-01T00:00:00Z"}.')
