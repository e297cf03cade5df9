"""Events of orders and payments, as they are sent to endpoints: for programs that have missed some."""

from __future__ import annotations

from typing import Any

from shop.accounts.permissions import Permission
from shop.api.access import api_access
from shop.api.problems import problems
from shop.api.resource import Resource
from shop.api.schemas import webhooks as schemas
from shop.core.keyset import Position
from shop.outgoing_webhooks import queries

bp = Resource("Events", __name__, "/events", "Events of the last 30 days.")


@bp.route("", methods=["GET"])
@api_access(Permission.WEBHOOK_ENDPOINT_READ)
@problems("bad_position")
@bp.arguments(schemas.EventQuery, location="query")
@bp.response(200, schemas.EventListSchema, example={"items": [schemas.EVENT]})
def index(query: dict[str, Any]) -> dict[str, Any]:
    """List events since a time, the oldest first

    With the ids and bodies of the webhooks. An event appears within seconds after it has happened, so a program that
    follows the list asks for a minute more, and deduplicates by `id`.
    """
    after = Position.parse(query["cursor"]) if "cursor" in query else None
    limit = query["limit"]
    place = (after.at, after.id) if after else None
    found = queries.events(query["since"], type_=query.get("type", ""), after=place, limit=limit + 1)
    body: dict[str, Any] = {"items": [schemas.event(one) for one in found[:limit]]}
    if len(found) > limit:
        body["next_cursor"] = str(Position(found[limit - 1].occurred_at, found[limit - 1].id))
    return body
