"""The page of a customer in the console: what it shows, and the acts on the account."""

from __future__ import annotations

import html
import re

import pytest

from shop.accounts import sessions
from shop.accounts.models import User
from shop.core import audit_search
from shop.core.audit import SubjectKind
from shop.core.db import db
from shop.core.errors import Away
from shop.order_search import of_customer
from tests.ops.conftest import PASSWORD, visitor_as
from tests.shop_fixtures import PEN, Shop
from tests.web.conftest import Visitor

EMAIL = "customer@example.com"


@pytest.fixture
def customer(shop: Shop) -> Visitor:
    """A customer who has signed in, with the address EMAIL."""
    return visitor_as(shop)


@pytest.fixture
def account(customer: Visitor) -> int:
    db.session.rollback()
    return db.session.scalars(db.select(User.id).where(User.email == EMAIL)).one()


def page(visitor: Visitor, account: int) -> str:
    return html.unescape(visitor.get(f"/ops/customers/{account}").text)


def act(visitor: Visitor, account: int, name: str, **fields: str) -> tuple[int, str]:
    visitor.get(f"/ops/customers/{account}")
    version = visitor.field("version")
    answer = visitor.post(f"/ops/customers/{account}/{name}", {"version": version, "reason": "she called"} | fields)
    return answer.status_code, html.unescape(answer.text)


def acts_on(account: int) -> list[tuple[str, str]]:
    db.session.rollback()
    filters = audit_search.Filters(subject_kind=SubjectKind.ACCOUNT, subject_id=str(account))
    return [(entry.act, entry.reason) for entry in audit_search.find(filters).rows if entry.reason]


def test_the_page_shows_orders_credit_and_sign_ins(shop: Shop, account: int) -> None:
    order = shop.order((PEN, 1), customer=account)
    page_of_order = visitor_as(shop, "support").get(f"/ops/orders/{order.number}").text
    assert f'href="/ops/customers/{account}"' in page_of_order
    rich = shop.customer(credit=50000)
    finance = visitor_as(shop, "finance")
    shown = page(finance, account)
    assert f'href="/ops/orders/{order.number}"' in shown and "No entries." in shown
    assert len(re.findall("<td[^>]*><time", shown)) >= 2 and "No active sign-ins." not in shown, (
        "the order, and the sign-in"
    )
    assert "+NT$500" in page(finance, rich) and "No active sign-ins." in page(finance, rich)


def test_a_customer_is_found_by_the_beginning_of_the_address(shop: Shop, account: int) -> None:
    support = visitor_as(shop, "support")
    answer = support.get("/ops/search?q=Customer@")
    assert (answer.status_code, answer.location) == (303, f"/ops/customers/{account}")
    order = shop.order(customer=account, email=EMAIL)
    found = support.get("/ops/search?q=customer").text
    assert f'href="/ops/customers/{account}"' in found and order.number in found


def test_all_sign_ins_of_a_customer_end(shop: Shop, customer: Visitor, account: int) -> None:
    support = visitor_as(shop, "support")
    assert customer.get("/account").status_code == 200
    assert act(support, account, "sign-out", reason="")[0] == 422
    assert act(support, account, "sign-out")[0] == 303
    assert customer.get("/account").status_code == 303 and "No active sign-ins." in page(support, account)
    assert acts_on(account) == [("account.signed_out_everywhere", "she called")]


def test_wrong_passwords_are_cleared_so_that_the_customer_can_sign_in(shop: Shop, account: int) -> None:
    support, other = visitor_as(shop, "support"), Visitor(shop.app)
    status, refused = act(support, account, "unlock")
    assert status == 409 and "so nothing delays its sign-in" in refused
    for _ in range(6):
        other.get("/sign-in")
        other.post("/sign-in", {"email": EMAIL, "password": "a wrong password"})
    other.get("/sign-in")
    assert other.post("/sign-in", {"email": EMAIL, "password": PASSWORD}).status_code == 429
    assert "Sign-in is delayed until" in page(support, account)
    assert act(support, account, "unlock")[0] == 303
    assert other.post("/sign-in", {"email": EMAIL, "password": PASSWORD}).status_code == 303
    assert acts_on(account) == [("account.sign_in_unlocked", "she called")]


def test_an_admin_disables_and_enables_the_account_of_a_customer(shop: Shop, customer: Visitor, account: int) -> None:
    admin, support = visitor_as(shop, "admin"), visitor_as(shop, "support")
    assert "Disable account" not in page(support, account) and act(support, account, "disable")[0] == 403
    assert act(admin, account, "disable")[0] == 303 and customer.get("/account").status_code == 303
    status, shown = act(admin, account, "disable")
    assert status == 409 and "admin@example.com disabled it" in shown
    assert act(admin, account, "enable")[0] == 303 and "active" in page(admin, account)
    assert acts_on(account) == [("account.enabled", "she called"), ("account.disabled", "she called")]


def test_an_account_of_staff_does_not_exist_for_those_who_may_not_read_such_accounts(shop: Shop) -> None:
    support, admin = visitor_as(shop, "support"), visitor_as(shop, "admin")
    visitor_as(shop, "merchandiser")
    db.session.rollback()
    colleague = db.session.scalars(db.select(User.id).where(User.email == "merchandiser@example.com")).one()
    assert support.get(f"/ops/customers/{colleague}").status_code == 404
    assert act(support, colleague, "sign-out")[0] == act(support, colleague, "unlock")[0] == 404
    assert "merchandiser@example.com</a>" not in support.get("/ops/search?q=merchandiser").text
    assert f'href="/ops/users/{colleague}"' in page(admin, colleague)
    assert admin.get("/ops/search?q=merchandiser").location == f"/ops/customers/{colleague}"
    assert acts_on(colleague) == []


def test_acts_of_staff_on_a_customer_are_shown_to_readers_of_the_audit_log(shop: Shop, account: int) -> None:
    support, finance = visitor_as(shop, "support"), visitor_as(shop, "finance")
    act(support, account, "sign-out")
    assert "she called" in page(finance, account)
    shown = page(support, account)
    assert "she called" not in shown and "Newest acts" not in shown


def test_orders_of_a_customer_come_in_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    account, support = shop.customer(), visitor_as(shop, "support")
    orders = [shop.order((PEN, 1), customer=account).number for _ in range(5)]
    monkeypatch.setattr(of_customer.find, "__kwdefaults__", {"limit": 2})
    seen, path = [], f"/ops/customers/{account}"
    while path:
        shown = support.get(path).text
        seen += re.findall(r'href="/ops/orders/([^"]+)">\1<', shown)
        following = re.search(r'href="([^"]+)" rel="next"', shown)
        path = html.unescape(following[1]) if following else ""
    assert seen == orders[::-1] and 'rel="prev"' in shown


@pytest.mark.parametrize("account", ["7", "99999999999999999999"])
def test_a_customer_who_does_not_exist_is_not_found(shop: Shop, account: str) -> None:
    support = visitor_as(shop, "support")
    answer = support.get(f"/ops/customers/{account}")
    assert answer.status_code == 404
    assert account != "7" or "Search by the e-mail address" in answer.text
    assert support.post(f"/ops/customers/{account}/sign-out", {"reason": "x"}).status_code == 404
    assert support.get(f"/ops/customers/{shop.customer()}?colour=red").status_code == 422


def test_the_sign_ins_of_an_account_end_also_when_they_cannot_be_read(
    shop: Shop, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: int) -> None:
        raise Away("sign_in_unavailable", "Redis is away.")

    support = visitor_as(shop, "support")
    monkeypatch.setattr(sessions, "of_user", away)
    assert "because Redis cannot be reached" in page(support, account)
    assert act(support, account, "sign-out")[0] == 303
    db.session.rollback()
    assert db.session.get_one(User, account).session_epoch == 1
