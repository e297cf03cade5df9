"""Saved views of the list of orders in the console."""

from __future__ import annotations

import html
import re

import pytest

from shop.core.audit import Act
from shop.core.audit_search import Filters, find
from shop.core.db import db
from shop.order_search import filters as filters_of
from shop.order_search import views
from shop.order_search.models import SavedView
from tests.ops.conftest import visitor_as
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

PAGE = "/ops/orders/views"
PAID = filters_of.parse({"state": ["PAID"]}, ())


def person(shop: Shop, role: str) -> Visitor:
    """A member of staff who has opened the page of the views."""
    visitor = visitor_as(shop, role)
    visitor.get(PAGE)
    return visitor


def view_id() -> int:
    db.session.rollback()
    return db.session.scalars(db.select(SavedView.id)).one()


def links(page: str) -> list[str]:
    """Addresses of the views that a page of the list offers."""
    return [html.unescape(one) for one in re.findall(r'<a class="chip[^"]*" href="([^"]+)"', page)]


def test_filters_are_saved_under_a_name_that_all_staff_open(shop: Shop) -> None:
    support, finance = person(shop, "support"), person(shop, "finance")
    address = "/ops/orders?currency=TWD&state=PAID"
    assert "Save these filters as" in support.get(address).text
    saved = support.post(f"{PAGE}?state=PAID&currency=TWD", {"name": " Paid  in Taiwan "})
    assert (saved.status_code, saved.location) == (303, address)
    page = finance.get(address).text
    assert links(page) == [address] and 'aria-current="page">Paid in Taiwan' in page
    assert "Save these filters as" not in page and "Paid in Taiwan" in finance.get("/ops/orders").text
    [entry] = find(Filters(acts=[Act.VIEW_SAVED])).rows
    assert entry.after == {"name": "Paid in Taiwan", "query": "currency=TWD&state=PAID"}


def test_a_view_is_changed_by_the_person_who_saved_it_and_by_admins_alone(shop: Shop) -> None:
    support, other, admin = person(shop, "support"), person(shop, "finance"), person(shop, "admin")
    support.post(f"{PAGE}?state=PAID", {"name": "Mine"})
    here = f"{PAGE}/{view_id()}"
    refused = other.post(f"{here}/name", {"name": "Yours"}), other.post(f"{here}/delete")
    assert [one.status_code for one in refused] == [403, 403] and "Only the person who saved" in refused[0].text
    assert "Rename" not in other.get(PAGE).text
    assert support.post(f"{here}/name", {"name": "Ours"}).status_code == 303
    assert "Ours" in other.get(PAGE).text and "Rename" in admin.get(PAGE).text
    assert admin.post(f"{here}/delete").status_code == 303
    assert "No views are saved." in admin.get(PAGE).text
    assert support.post(f"{here}/delete").status_code == 404
    db.session.rollback()
    deleted, renamed = (find(Filters(acts=[act])).rows[0] for act in (Act.VIEW_DELETED, Act.VIEW_RENAMED))
    assert deleted.before == {"name": "Ours", "query": "state=PAID"} and renamed.before == {"name": "Mine"}


@pytest.mark.parametrize(
    ("query", "name", "status", "message"),
    [
        ("state=PAID", "", 422, "Enter a name of at most 60 characters."),
        ("state=PAID", "x" * 61, 422, "Enter a name of at most 60 characters."),
        ("state=PAID", "a\x07", 422, "Enter a name of at most 60 characters."),
        ("", "All", 422, "Set a filter first."),
        ("state=PAID", "LATE ONES", 409, "There is a view with the name LATE ONES."),
        ("colour=red", "Red", 422, "Filters are state, payment"),
    ],
)
def test_a_view_that_cannot_be_saved_is_refused(shop: Shop, query: str, name: str, status: int, message: str) -> None:
    support = person(shop, "support")
    support.post(f"{PAGE}?flag=late", {"name": "Late ones"})
    answer = support.post(f"{PAGE}?{query}", {"name": name})
    assert answer.status_code == status and message in html.unescape(answer.text)
    assert shop.count(SavedView) == 1


def test_a_view_cannot_get_the_name_of_another(shop: Shop) -> None:
    support = person(shop, "support")
    for name in ("One", "Two"):
        assert support.post(f"{PAGE}?state=PAID", {"name": name}).status_code == 303
    two = db.session.scalars(db.select(SavedView.id).where(SavedView.name == "Two")).one()
    answer = support.post(f"{PAGE}/{two}/name", {"name": "one"})
    assert answer.status_code == 409 and "There is a view with the name one." in answer.text
    assert support.post(f"{PAGE}/{two}/name", {"name": "TWO"}).status_code == 303


def test_concurrent_requests_save_no_more_views_than_the_limit(
    shop: Shop, race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST", 3)
    by = shop.sam
    saved = race(lambda number: views.save(f"View {number}", PAID, by=by).slot)
    assert sorted(one for one in saved if isinstance(one, int)) == [1, 2, 3]
    assert shop.count(SavedView) == 3
