"""Integrity: the result of the last check of all invariants, and a new one in the background."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from shop.accounts import staff
from shop.accounts.permissions import Permission
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.filter_values import refuse_unknown
from shop.http_kit.access import requires
from shop.integrity import checks
from shop.integrity.checks import Result
from shop.ops import acts
from shop.ops.navigation import Group, Link
from shop.orders.models import Order

bp = Blueprint("integrity", __name__)
LINKS = (Link("Integrity", "ops.integrity.index", Permission.INTEGRITY_READ, Group.SYSTEM),)
SEARCHED = ("number", "order", "order_no", "payment", "payment_id", "reference", "refund", "capture_id")
"""Columns of violating rows whose values the search of the console finds."""
PAGES = {"inbox": ("ops.webhooks.show", "key"), "mail": ("ops.mails.show", "mail_id")}
"""Endpoints of the things with an `id`, by the column `what`, and the name of the id in their addresses."""


@bp.get("/integrity")
@requires(Permission.INTEGRITY_READ)
def index() -> str:
    """Every invariant with its last result in words, and the progress of a running check."""
    refuse_unknown(request.args, ())
    return _page("ops/integrity.html")


@bp.get("/integrity/state")
@requires(Permission.INTEGRITY_READ)
def state() -> str:
    """The part of the page that changes while a check runs."""
    return _page("ops/_integrity.html")


@bp.post("/integrity/run")
@requires(Permission.INTEGRITY_RUN)
def run() -> ResponseReturnValue:
    """Start a check in the background."""
    return acts.done(
        lambda: checks.request(acts.reader()),
        "The check has started. This page shows its progress.",
        url_for("ops.integrity.index"),
        lambda refusal: _page("ops/integrity.html", refusal),
    )


def _page(template: str, refusal: Refusal | None = None) -> str:
    running, last = checks.open_check(), checks.last_ended()
    results = checks.results(last) if last else []
    return render_template(
        template,
        running=running,
        done=checks.progress(running) if running else None,
        last=last,
        results=sorted(results, key=lambda one: one.holds),
        broken=sum(not one.holds for one in results),
        whom=staff.labels(one.requested_by for one in (running, last) if one is not None),
        cells=_cells(results),
        refusal=refusal,
    )


def _cells(results: Iterable[Result]) -> Any:
    """A function that gives (column, text, address or empty) for the values of a violating row."""
    ids = {row["order_id"] for one in results for row in one.rows if isinstance(row.get("order_id"), int)}
    rows = db.session.execute(db.select(Order.id, Order.number).where(Order.id.in_(ids))) if ids else ()
    numbers = {row.id: row.number for row in rows}

    def cells(row: dict[str, Any]) -> list[tuple[str, str, str]]:
        return [(name, "" if row[name] is None else str(row[name]), _address(row, name, numbers)) for name in row]

    return cells


def _address(row: dict[str, Any], name: str, numbers: dict[int, str]) -> str:
    """Address of the page about a value of a violating row; empty if there is none."""
    value = row[name]
    if name == "order_id" and value in numbers:
        return url_for("ops.order.show", number=numbers[value])
    if name == "id" and row.get("what") in PAGES:
        endpoint, key = PAGES[row["what"]]
        return url_for(endpoint, **{key: value})
    is_search = (name in SEARCHED or name == "id") and isinstance(value, str) and value
    return url_for("ops.search.show", q=value) if is_search else ""
