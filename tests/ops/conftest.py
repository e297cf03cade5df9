"""Members of staff with a browser."""

from __future__ import annotations

from shop.accounts import signin
from shop.core.actor import Actor
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

PASSWORD = "correct horse battery staple"


def visitor_as(shop: Shop, *roles: str) -> Visitor:
    """A client signed in with an account of these roles."""
    shop.app.config["RATE_LIMITS"] = False
    email = f"{'-'.join(roles) or 'customer'}@example.com"
    signin.create(email, "Ada", PASSWORD, list(roles), by=Actor.operator())
    visitor = Visitor(shop.app)
    visitor.get("/sign-in")
    answer = visitor.post("/sign-in", {"email": email, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return visitor
