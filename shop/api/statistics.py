"""Statistics: figures of a period."""

from __future__ import annotations

from typing import Any

from flask import current_app, request

from shop.accounts.permissions import Permission
from shop.api.access import api_access
from shop.api.problems import problems
from shop.api.resource import Resource
from shop.api.schemas import statistics as schemas
from shop.payments.providers import registry
from shop.statistics import periods, report

bp = Resource("Statistics", __name__, "/stats", "Numbers and amounts of orders, payments, refunds and disputes by day.")


@bp.route("", methods=["GET"])
@api_access(Permission.STATISTICS_READ)
@problems("bad_filter")
@bp.arguments(schemas.StatsQuery, location="query")
@bp.response(200, schemas.StatsSchema, example=schemas.EXAMPLE)
def show(_query: dict[str, Any]) -> dict[str, Any]:
    """Show the figures of a period

    With those of the period before. They are at most 15 seconds old.
    """
    question = periods.parse(dict(request.args.lists()), report.today(), registry.all_providers())
    return schemas.stats(report.report(question), current_app.config["SHOP_TIME_ZONE"])
