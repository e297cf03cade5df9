"""Log of API calls: filtered, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from flask import Blueprint, render_template, request
from sqlalchemy import select

from shop.accounts import staff
from shop.accounts.api_models import ApiKey
from shop.accounts.models import User
from shop.accounts.permissions import Permission
from shop.api_log import search
from shop.api_log.search import Filters
from shop.core import days, filter_values
from shop.core.db import db
from shop.core.errors import BadInput
from shop.core.keyset import Place
from shop.http_kit.access import requires
from shop.ops import lists
from shop.ops.formats import zone
from shop.ops.navigation import Group, Link

bp = Blueprint("api_log", __name__)
HERE = "ops.api_log.index"
LINKS = (Link("API log", HERE, Permission.API_KEY_READ, Group.SYSTEM),)
LABELS = {
    "method": "Method",
    "route": "Route",
    "status": "Status",
    "account": "Account",
    "key": "API key",
    "request": "Request id",
    "from": "From",
    "to": "To",
}
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


@bp.get("/api-log")
@requires(Permission.API_KEY_READ)
def index() -> str:
    """Calls of the API, newest first; `after`, `before` and `page=last` are positions of pages."""
    values = filter_values.given(lists.given(), tuple(LABELS))
    pairs = filter_values.pairs(values)
    page = search.find(_filters(values), Place.parse(request.args))
    calls = [row.call for row in page.rows]
    active = [
        (f"{LABELS[pair[0]]}: {pair[1]}", lists.address(HERE, [one for one in pairs if one != pair])) for pair in pairs
    ]
    return render_template(
        "ops/api_log.html",
        calls=calls,
        emails=_emails({call.user_id for call in calls if call.user_id is not None}),
        keys=_keys({call.key_id for call in calls if call.key_id is not None}),
        methods=METHODS,
        given=request.args,
        active=active,
        links=lists.links(HERE, pairs, page),
    )


def _filters(values: Mapping[str, tuple[str, ...]]) -> Filters:
    """The filters of the address. Raises BadInput."""
    since, until = filter_values.days(values)
    one = {name: filter_values.single(name, values[name]) or "" for name in LABELS if name not in ("from", "to")}
    status = one["status"].removesuffix("xx")
    if status and not (status.isascii() and status.isdigit() and (len(status) == 3 or 1 <= int(status) <= 5)):
        raise BadInput("bad_filter", "The filter status needs a status such as 404, or a class such as 4xx.")
    if one["method"]:
        filter_values.known("method", [one["method"]], METHODS)
    return Filters(
        method=one["method"],
        route=one["route"],
        status=int(status) if status else None,
        user_id=_account(one["account"]) if one["account"] else None,
        key_id=_key(one["key"]) if one["key"] else None,
        request_id=one["request"],
        since=days.midnight(since, zone()) if since else None,
        until=days.midnight(until + timedelta(days=1), zone()) if until else None,
    )


def _account(typed: str) -> int:
    try:
        return staff.account_of(typed).id
    except BadInput as unknown:
        raise BadInput("bad_filter", str(unknown.message)) from unknown


def _key(typed: str) -> int:
    """The id of the key with this public id. Raises BadInput."""
    found = db.session.scalar(select(ApiKey.id).where(ApiKey.public_id == typed))
    if found is None:
        raise BadInput("bad_filter", "There is no such API key.")
    return found


def _emails(ids: set[int]) -> dict[int, str]:
    rows = db.session.execute(select(User.id, User.email).where(User.id.in_(ids))) if ids else ()
    return {row.id: row.email for row in rows}


def _keys(ids: set[int]) -> dict[int, str]:
    rows = db.session.execute(select(ApiKey.id, ApiKey.name).where(ApiKey.id.in_(ids))) if ids else ()
    return {row.id: row.name for row in rows}
