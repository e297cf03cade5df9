"""First page of the console: what needs a person, and who takes care of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from shop.accounts.permissions import Permission, permissions_of
from shop.alerts import claims
from shop.alerts.rules import RULES
from shop.core import clock, heartbeat
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.core.filter_values import refuse_unknown
from shop.http_kit.access import requires
from shop.ops import acts, to_do
from shop.ops.navigation import Link
from shop.ops.to_do_rows import Owner

bp = Blueprint("home", __name__)
LINKS = (Link("To do", "ops.home.show", Permission.CONSOLE_OPEN),)
LATE = 15.0
"""Seconds after its last heartbeat when the clock process, which finds what is to do, counts as stopped."""
LISTS = (
    ("alert", "Alerts", "ops.alerts.index"),
    ("approval", "Approvals", "ops.approvals.index"),
    ("dispute", "Disputes", "ops.disputes.index"),
    ("return", "Returns", "ops.returns.index"),
)
"""Kind of an item, name of its list, and the endpoint of that list."""
COUNTED = ("OPS_DEAD_LETTER", "OPS_REFUND_REJECTED", "RULE_F")
"""Rules whose alerts are counted each, with a link to their list."""


@bp.get("")
@requires(Permission.CONSOLE_OPEN)
def show() -> str:
    """List of what needs a person, and the time when the shop looked for it; of one owner with `owner`."""
    refuse_unknown(request.args, ("owner",))
    if (owner := request.args.get("owner")) not in (None, *Owner):
        raise BadInput("unknown_owner", f"{owner} is not an owner. Owners are {', '.join(Owner)}.")
    return _page(Owner(owner) if owner else None)


@bp.post("/to-do/claim")
@requires(Permission.ALERT_ACKNOWLEDGE)
def claim() -> ResponseReturnValue:
    """Make the reader the owner of a thing to do."""
    return _change(claims.claim, "You have claimed it.")


@bp.post("/to-do/release")
@requires(Permission.ALERT_ACKNOWLEDGE)
def release() -> ResponseReturnValue:
    """Take the owner of a thing to do away."""
    return _change(claims.release, "The owner was removed.")


def _change(change: Callable[[str, Actor], None], message: str) -> ResponseReturnValue:
    kind, _, number = request.form.get("thing", "").partition(" ")
    return acts.done(
        lambda: change(claims.thing(kind, number), acts.reader()),
        message,
        url_for("ops.home.show"),
        lambda refusal: _page(refusal=refusal),
    )


def _page(owner: Owner | None = None, refusal: Refusal | None = None) -> str:
    if refusal:
        db.session.rollback()
    age, reader, permissions = heartbeat.age("clock"), acts.reader(), permissions_of(current_user.roles)
    now = to_do.load(reader, permissions, owner)
    return render_template(
        "ops/home.html",
        items=now.items,
        owner=owner,
        refusal=refusal,
        numbers=[*_numbers(now), *_to_ship(now.to_ship), ("Mine", now.mine, url_for("ops.home.show", owner="me"))],
        seconds=None if age is None or age > LATE else round(age),
        checked_at=None if age is None else _before(age),
        to_ship=now.to_ship,
        is_cut=now.is_cut,
    )


def _numbers(now: to_do.ToDo) -> list[tuple[str, int, str]]:
    """Name, number and list of each kind of thing to do, and of the alerts of COUNTED rules."""
    kinds = [(name, now.kinds.get(kind, 0), url_for(to)) for kind, name, to in LISTS]
    numbers = [one for one in kinds if one[1]]
    of_rules = [(rule, now.alerts.get(rule, 0)) for rule in COUNTED]
    return numbers + [(RULES[rule][1], n, url_for("ops.alerts.index", rule=rule)) for rule, n in of_rules if n]


def _to_ship(number: int) -> list[tuple[str, int, str]]:
    return [("Orders to pack and ship", number, url_for("ops.fulfilment.index"))] if number else []


def _before(seconds: float) -> datetime:
    return clock.wall() - timedelta(seconds=seconds)
