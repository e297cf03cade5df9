"""Frame of the console: sign-in, menu, and pages of errors."""

from __future__ import annotations

import itertools
import re

import pytest
from werkzeug.exceptions import NotFound

from shop.accounts.permissions import PERMISSIONS, Permission, Role
from shop.ops import LINKS
from shop.ops.navigation import Group, Link, menu
from tests.ops.conftest import PASSWORD, visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, title


def sign_in(visitor: Visitor, email: str, **more: object) -> str:
    visitor.get("/sign-in")
    return str(visitor.post("/sign-in", {"email": email, "password": PASSWORD, **more}).location)


def test_no_address_takes_a_number_that_the_database_does_not(shop: Shop) -> None:
    adapter = shop.app.url_map.bind("localhost")
    rules = [rule for rule in shop.app.url_map.iter_rules() if "<int:" in rule.rule]
    assert rules
    for rule, number in itertools.product(rules, (1, 2**31 - 1, 0, 2**31, 2**63, "9" * 5000)):
        path = re.sub("<[^>]+>", str(number), rule.rule)
        method = min((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if number in (1, 2**31 - 1):
            assert adapter.match(path, method)[0] == rule.endpoint
        else:
            with pytest.raises(NotFound):
                adapter.match(path, method)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/ops/orders/query", {"number": ["1", "a\0b"]}),
        ("/ops/alerts/1/resolve", {"reason": "a\0b"}),
        ("/cart/lines", {"a\0b": "1"}),
    ],
)
def test_a_nul_in_any_value_of_a_form_is_refused(shop: Shop, path: str, form: dict[str, object]) -> None:
    support = visitor_as(shop, "support")
    support.get("/ops")
    assert support.post(path, form).status_code == 422
    assert support.get("/ops/orders?q=1&q=a%00b").status_code == 404


def test_staff_come_to_the_console_after_the_sign_in_and_customers_to_their_account(shop: Shop) -> None:
    visitor_as(shop, "support"), visitor_as(shop)
    assert sign_in(Visitor(shop.app), "support@example.com") == "/ops"
    assert sign_in(Visitor(shop.app), "support@example.com", next="/cart") == "/cart"
    assert sign_in(Visitor(shop.app), "customer@example.com") == "/account"


def test_the_shop_links_to_the_console_for_staff_alone(shop: Shop) -> None:
    staff, customer = visitor_as(shop, "merchandiser"), visitor_as(shop)
    for path in ("/", "/account"):
        assert 'href="/ops"' in staff.get(path).text
        assert "/ops" not in customer.get(path).text


@pytest.mark.parametrize("role", Role)
def test_the_menu_shows_what_the_reader_may_open(shop: Shop, role: Role) -> None:
    page = visitor_as(shop, role).get("/ops").text
    assert f"with the role {role}." in page
    with shop.app.test_request_context():
        for link in LINKS:
            shown = f'href="{shop.app.url_for(link.endpoint)}"'
            assert (shown in page.partition("<main")[0]) == (link.permission in PERMISSIONS[role])


def test_the_menu_is_in_groups_and_leaves_out_empty_ones() -> None:
    orders = Link("Orders", "ops.orders.show", Permission.ORDER_READ)
    payouts = Link("Payouts", "ops.payouts.show", Permission.PAYOUT_READ, Group.MONEY)
    audit = Link("Audit log", "ops.audit.show", Permission.AUDIT_READ, Group.SYSTEM)
    assert menu([audit, payouts, orders], {Permission.ORDER_READ, Permission.AUDIT_READ}) == [
        (Group.WORK, [orders]),
        (Group.SYSTEM, [audit]),
    ]


def test_errors_are_shown_in_the_console(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    answer = support.get("/ops/orders/NO-SUCH/ledgers.json", headers={"Accept": "text/html"})
    assert (answer.status_code, title(answer)) == (404, "Page not found · Settled console")
    assert 'aria-label="Console"' in answer.text
    assert 'aria-label="Console"' not in visitor_as(shop).get("/ops").text


def test_the_console_is_in_english_whatever_the_language_of_the_account(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    support.get("/?lang=zh-Hant")
    assert "管理後台" in support.get("/").text
    answer = support.get("/ops")
    assert '<html lang="en">' in answer.text and answer.headers["Content-Language"] == "en"
