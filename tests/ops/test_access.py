"""Every route of the console, called by a guest, a customer and each role, compared with the table of permissions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask

from shop.accounts.models import User
from shop.accounts.permissions import PERMISSIONS, Permission, Role
from shop.core.db import db, transaction
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor


def routes(app: Flask) -> Iterator[tuple[str, str, Permission]]:
    """(method, path with placeholders, permission) of every route of the console."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/ops"):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield method, rule.rule, app.view_functions[rule.endpoint].access  # type: ignore[attr-defined]


def called(visitor: Visitor, method: str, path: str) -> tuple[int, str]:
    """Status of the answer, and the path that it redirects to."""
    answer = visitor.get(path) if method == "GET" else visitor.post(path)
    assert answer.headers["Cache-Control"] == "no-store", path
    return answer.status_code, (answer.location or "").partition("?")[0]


@pytest.mark.parametrize("role", [None, *Role])
def test_a_route_opens_for_the_roles_of_the_table_alone(shop: Shop, role: Role | None) -> None:
    number, visitor = shop.order().number, visitor_as(shop, *([role] if role else []))
    granted = PERMISSIONS[role] if role else frozenset()
    for method, rule, permission in routes(shop.app):
        path = re.sub(r"<(?:\w+:)?\w+>", lambda place: number if place[0] == "<number>" else "1", rule)
        status, target = called(visitor, method, path)
        assert (status == 403) == (permission not in granted), (method, path, status)
        assert target != "/sign-in" and status < 500, (method, path, status)


def test_guests_are_sent_to_sign_in_by_every_route(shop: Shop) -> None:
    shop.app.config["RATE_LIMITS"] = False
    guest = Visitor(shop.app)
    guest.get("/sign-in")
    for method, rule, _ in routes(shop.app):
        path = re.sub(r"<(?:\w+:)?(\w+)>", "1", rule)
        assert called(guest, method, path) == (303, "/sign-in"), path


def test_a_role_that_is_taken_away_closes_the_console_at_once(shop: Shop) -> None:
    path, support = f"/ops/orders/{shop.order().number}/ledgers.json", visitor_as(shop, "support")
    assert support.get(path).status_code == 200
    with transaction():
        db.session.scalars(db.select(User).where(User.email == "support@example.com")).one().roles = []
    assert support.get(path).status_code == 403


def test_the_refusal_names_the_roles_that_may(shop: Shop) -> None:
    path = f"/ops/orders/{shop.order().number}/ledgers.json"
    page = visitor_as(shop, "merchandiser").get(path).text
    assert "does not have the permission order.read. It needs one of the roles support, finance, admin." in page
    assert "This page is for staff of the shop." in visitor_as(shop).get(path).text
