"""Limits of the sign-ins of staff, and the confirmation of the password before sensitive acts."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from shop.accounts import sessions, signin
from shop.accounts.models import User
from shop.accounts.permissions import MONEY, Permission
from shop.core import clock
from shop.core.actor import Actor
from shop.core.audit_models import AuditEntry
from shop.core.db import db
from shop.payments.records.models import Refund
from tests.ops.conftest import PASSWORD, visitor_as
from tests.ops.test_access import routes
from tests.shop_fixtures import KETTLE, PRICES, Shop
from tests.web.conftest import Visitor

Later = Callable[..., None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """`later(minutes=5)`: wall time is that much later from now on."""
    real, passed = clock.wall, [timedelta(0)]

    def wall() -> datetime:
        return real() + passed[0]

    monkeypatch.setattr(clock, "wall", wall)

    def wait(**by: float) -> None:
        passed[0] += timedelta(**by)

    return wait


@pytest.fixture
def bo(shop: Shop) -> int:
    return signin.create("bo@example.com", "Bo", PASSWORD, ["support"], by=Actor.operator()).id


def is_disabled(user_id: int) -> bool:
    db.session.rollback()
    return db.session.get_one(User, user_id, populate_existing=True).disabled_at is not None


def hidden(page: str) -> dict[str, object]:
    """The hidden fields of the page's form for the password."""
    form = page[page.index("Confirm your password</h1>") :]
    fields: dict[str, object] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form):
        fields.setdefault(name, [])
        fields[name].append(html.unescape(value))  # type: ignore[attr-defined]
    return fields


def test_staff_are_signed_out_after_thirty_minutes_without_a_request_and_come_back(shop: Shop, later: Later) -> None:
    support = visitor_as(shop, "support")
    for _ in range(3):
        later(minutes=29)
        assert support.get("/ops").status_code == 200
    later(minutes=30)
    answer = support.get("/ops?x=1")
    assert (answer.status_code, answer.location) == (303, "/sign-in?next=/ops?x%3D1")
    page = support.get(answer.location).text
    assert "You were signed out after 30 minutes without activity." in page
    form = {"email": "support@example.com", "password": PASSWORD, "next": support.field("next")}
    assert support.post("/sign-in", form).location == "/ops?x=1"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/ops", {"HX-Request": "true"}, 200),
        ("/ops", {"Accept": "text/event-stream", "Sec-Fetch-Mode": "cors"}, 200),
        ("/ops/live", {"Connection": "Upgrade", "Upgrade": "websocket", "Origin": "https://evil.example"}, 403),
    ],
    ids=["fragment", "stream", "socket"],
)
def test_a_request_that_an_open_page_makes_is_no_activity(
    shop: Shop, later: Later, path: str, headers: dict[str, str], status: int
) -> None:
    support = visitor_as(shop, "support")
    later(minutes=20)
    assert support.get(path, headers=headers).status_code == status
    later(minutes=11)
    assert support.get("/ops").status_code == 303


def test_staff_are_signed_out_twelve_hours_after_the_sign_in(shop: Shop, later: Later) -> None:
    support = visitor_as(shop, "support")
    for _ in range(28):
        later(minutes=25)
        assert support.get("/ops").status_code == 200
    later(minutes=20)
    answer = support.get("/ops")
    assert (answer.status_code, answer.location) == (303, "/sign-in?next=/ops")
    assert "because you signed in 12 hours ago" in support.get("/sign-in").text
    assert support.get("/ops").status_code == 303, "the sign-in has ended for good"


def test_the_limits_are_settings(shop: Shop, later: Later) -> None:
    support = visitor_as(shop, "support")
    shop.app.config["STAFF_IDLE_MINUTES"] = 5
    later(minutes=5)
    assert support.get("/ops").status_code == 303


def test_customers_have_no_such_limits(shop: Shop, later: Later) -> None:
    customer = visitor_as(shop)
    later(hours=13)
    assert customer.get("/account").status_code == 200


def test_a_form_that_is_sent_after_the_sign_in_has_ended_leads_back_to_its_page(
    shop: Shop, later: Later, bo: int
) -> None:
    admin = visitor_as(shop, "admin")
    admin.get(f"/ops/users/{bo}")
    later(minutes=31)
    referrer = {"Referer": f"http://localhost/ops/users/{bo}?a=1"}
    answer = admin.post(f"/ops/users/{bo}/disable", {"reason": "left"}, headers=referrer)
    assert (answer.status_code, answer.location) == (303, f"/sign-in?next=/ops/users/{bo}?a%3D1")
    assert not is_disabled(bo)


def test_a_referrer_of_another_site_is_not_followed(shop: Shop, bo: int) -> None:
    guest = Visitor(shop.app)
    guest.get("/sign-in")
    for page in ("https://evil.example/ops", "http://localhost.evil.example/", "x"):
        answer = guest.post(f"/ops/users/{bo}/disable", headers={"Referer": page})
        assert answer.location == "/sign-in"


def test_a_sensitive_form_needs_the_password_again_after_fifteen_minutes_and_keeps_what_was_typed(
    shop: Shop, later: Later, bo: int
) -> None:
    admin = visitor_as(shop, "admin")
    later(minutes=16)
    admin.get(f"/ops/users/{bo}")
    path, form = f"/ops/users/{bo}/roles", {"role": ["admin", "support"], "reason": 'a "new" <job>', "version": "0"}
    prompt = admin.post(path, form)
    assert prompt.status_code == 401 and "Confirm your password" in prompt.text
    kept = hidden(prompt.text)
    assert {name: kept[name] for name in form} == {
        "role": ["admin", "support"],
        "reason": ['a "new" <job>'],
        "version": ["0"],
    }
    wrong = admin.post(path, {**kept, "confirm_password": "wrong"})
    assert wrong.status_code == 422 and "This is not your current password." in wrong.text
    assert hidden(wrong.text)["reason"] == ['a "new" <job>']
    assert db.session.get_one(User, bo, populate_existing=True).roles == ["support"]
    assert admin.post(path, {**kept, "confirm_password": PASSWORD}).status_code == 303
    db.session.rollback()
    assert db.session.get_one(User, bo, populate_existing=True).roles == ["admin", "support"]
    later(minutes=14)
    assert admin.post(f"/ops/users/{bo}/disable", {"reason": "left", "version": "1"}).status_code == 303
    later(minutes=1)
    assert admin.post(f"/ops/users/{bo}/enable", {"reason": "back", "version": "2"}).status_code == 401


DECIDE = MONEY | {Permission.REFUND_REQUEST, Permission.ORDER_CANCEL, Permission.USER_WRITE}
DECIDE |= {Permission.CUSTOMER_SIGN_OUT, Permission.CUSTOMER_UNLOCK, Permission.CUSTOMER_DISABLE}
"""Permissions of acts that move money, change the access of accounts, or decide who may."""


def test_every_act_that_decides_about_money_or_access_needs_the_password_again_and_keeps_the_form(
    shop: Shop, later: Later, bo: int
) -> None:
    number, person = shop.order().number, visitor_as(shop, "admin", "finance")
    later(minutes=16)
    person.get("/ops")
    prompted, before = 0, shop.count(AuditEntry)
    for method, rule, permission in routes(shop.app):
        if method != "POST" or permission not in DECIDE:
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda place: number if place[1] == "number" else str(bo), rule)
        form = {"amount": "1.50", "reason": "<typed> & kept", "role": ["admin", "support"]}
        prompt = person.post(path, form)
        assert prompt.status_code == 401, f"{path} needs fresh=True"
        kept = hidden(prompt.text)
        assert (kept["reason"], kept["role"]) == (["<typed> & kept"], ["admin", "support"]), path
        prompted += 1
    assert prompted > 15 and shop.count(AuditEntry) == before


def test_a_refund_goes_on_with_what_was_typed_once_the_password_is_confirmed(shop: Shop, later: Later) -> None:
    order, finance = shop.paid_order(), visitor_as(shop, "finance")
    capture = shop.capture(order)
    later(minutes=16)
    path = f"/ops/orders/{order.number}/refund"
    assert finance.get(path).status_code == 200, "the form may be read"
    form = {"about": capture, "amount": "3", "seen": str(PRICES[KETTLE]["TWD"]), "to": "provider", "reason": "broken"}
    prompt = finance.post(path, form)
    assert prompt.status_code == 401 and shop.count(Refund) == 0
    refused = finance.post(path, {**hidden(prompt.text), "seen": "7", "confirm_password": PASSWORD})
    assert refused.status_code == 409 and 'value="3"' in refused.text, "the numbers moved meanwhile"
    assert finance.post(path, form).status_code == 303 and shop.count(Refund) == 1


def test_a_person_without_the_permission_is_refused_and_sees_no_form_for_the_password(
    shop: Shop, later: Later, bo: int
) -> None:
    support = visitor_as(shop, "support")
    later(minutes=16)
    support.get("/ops")
    assert support.post(f"/ops/users/{bo}/disable", {"reason": "x"}).status_code == 403


def test_wrong_passwords_at_the_confirmation_are_limited_like_those_at_the_sign_in(
    shop: Shop, later: Later, bo: int
) -> None:
    admin = visitor_as(shop, "admin")
    later(minutes=16)
    admin.get(f"/ops/users/{bo}")
    form = {"reason": "left", "version": "0", "confirm_password": "wrong"}
    statuses = [admin.post(f"/ops/users/{bo}/disable", form).status_code for _ in range(12)]
    assert statuses[-1] == 429 and set(statuses) == {422, 429}
    assert admin.post(f"/ops/users/{bo}/disable", {**form, "confirm_password": PASSWORD}).status_code == 429
    assert not is_disabled(bo)


def test_the_page_for_the_password_leads_on_to_the_page_that_needs_it_and_to_no_other_site(
    shop: Shop, later: Later
) -> None:
    admin = visitor_as(shop, "admin")
    admin.get("/ops/confirm?next=/ops/users")
    assert admin.post("/ops/confirm?next=/ops/users", {"confirm_password": PASSWORD}).location == "/ops/users"
    assert admin.post("/ops/confirm?next=//evil.example", {"confirm_password": PASSWORD}).location == "/ops"
    assert admin.post("/ops/confirm?next=/ops/users", {"confirm_password": "x"}).status_code == 422
    assert admin.post("/ops/confirm").status_code == 422


def test_the_confirmation_of_one_sign_in_is_not_that_of_another(shop: Shop, later: Later, bo: int) -> None:
    first, second = visitor_as(shop, "admin"), Visitor(shop.app)
    second.get("/sign-in")
    assert second.post("/sign-in", {"email": "admin@example.com", "password": PASSWORD}).status_code == 303
    later(minutes=16)
    first.get("/ops/confirm")
    assert first.post("/ops/confirm", {"confirm_password": PASSWORD}).status_code == 303
    second.get(f"/ops/users/{bo}")
    assert second.post(f"/ops/users/{bo}/disable", {"reason": "x", "version": "0"}).status_code == 401
    first.get(f"/ops/users/{bo}")
    assert first.post(f"/ops/users/{bo}/disable", {"reason": "x", "version": "0"}).status_code == 303


def test_times_in_redis_that_cannot_be_read_count_as_those_of_the_sign_in() -> None:
    assert sessions._moment(b"yesterday") is None and sessions._moment(None) is None
