"""Disputes: open ones by the date until which they have to be answered, then the closed ones."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from shop.accounts.permissions import Permission
from shop.core.keyset import Place
from shop.http_kit.access import requires
from shop.ops import lists
from shop.ops.navigation import Group, Link
from shop.payments.disputes import pages

bp = Blueprint("disputes", __name__)
LINKS = (Link("Disputes", "ops.disputes.index", Permission.DISPUTE_READ, Group.MONEY),)


@bp.get("/disputes")
@requires(Permission.DISPUTE_READ)
def index() -> str:
    """The disputes, which are answered in the acquirer's dashboard; `after`, `before` and `page=last` are positions of
    pages.
    """
    page = pages.find(Place.parse(request.args))
    return render_template("ops/disputes.html", rows=page.rows, links=lists.links("ops.disputes.index", [], page))
