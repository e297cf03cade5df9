"""Announcements in the console, and above the pages of the shop."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from time import monotonic

import pytest

from shop.accounts.permissions import Role
from shop.announcements import announcements
from shop.announcements.announcements import Content
from shop.announcements.models import Announcement
from shop.core import audit_search, clock, kept_briefly
from shop.core.audit import Subject, SubjectKind
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from tests.ops.conftest import visitor_as
from tests.ops.setting_forms import form_of
from tests.shop_fixtures import Shop
from tests.web.conftest import HTMX, Visitor
from tests.web.test_page_statements import sent_for

NEW = {"text": "Closed until 5 January", "text.zh-Hant": "元旦休息", "link": "/returns", "version": "0"}
NUMBER = re.compile(r"/ops/announcements/([0-9]+)\"")


@pytest.fixture
def mia(shop: Shop) -> Visitor:
    visitor = visitor_as(shop, "merchandiser")
    visitor.get("/ops/announcements/new")
    return visitor


def created(mia: Visitor, **changed: str) -> str:
    """Address of the page of a new announcement."""
    mia.get("/ops/announcements/new")
    assert mia.post("/ops/announcements/new", {**NEW, **changed}).status_code == 303
    found = NUMBER.search(mia.get("/ops/announcements").text)
    assert found
    return f"/ops/announcements/{found[1]}"


def bar(visitor: Visitor, path: str = "/") -> str:
    """The announcements above a page."""
    found = re.search(r'<aside class="announcements.*?</aside>', visitor.get(path).text, re.S)
    return html.unescape(found[0]) if found else ""


def test_a_text_is_shown_in_the_language_of_the_page_from_its_start_to_its_end(shop: Shop, mia: Visitor) -> None:
    now = clock.now()
    times = {"starts_at": now + timedelta(minutes=10), "ends_at": now + timedelta(minutes=20)}
    address = created(mia, **{name: f"{at:%Y-%m-%dT%H:%M}" for name, at in times.items()})
    visitor = Visitor(shop.app)
    assert bar(visitor) == "" and "scheduled" in mia.get("/ops/announcements").text
    shop.turn(minutes=15)
    assert "Closed until 5 January" in bar(visitor) and 'href="/returns"' in bar(visitor)
    assert "元旦休息" in bar(visitor, "/cart?lang=zh-Hant")
    japanese = bar(visitor, "/?lang=ja")
    assert 'lang="en">Closed until 5 January' in japanese, "the English text says that it is English"
    shop.turn(minutes=10)
    assert bar(visitor) == "" and "ended" in mia.get(address).text


def test_it_is_dismissed_in_one_browser_until_it_changes(shop: Shop, mia: Visitor) -> None:
    address = created(mia)
    visitor, other = Visitor(shop.app), Visitor(shop.app)
    page = visitor.get("/?category=test")
    path = re.search(r'action="(/announcements/[0-9]+/dismiss)"', page.text)
    assert path and 'name="next" value="/?category=test"' in page.text
    answer = visitor.post(path[1], {"version": "1", "next": "/?category=test"})
    assert (answer.status_code, answer.location) == (303, "/?category=test")
    assert bar(visitor) == "" and bar(other) != ""
    assert other.post(path[1], {"version": "1"}, headers=HTMX).text == ""
    assert bar(other) == ""
    assert mia.post(address, {**form_of(mia, address), "text": "Closed until 6 January"}).status_code == 303
    assert "6 January" in bar(visitor)


@pytest.mark.parametrize("form", [{}, {"version": "x"}, {"version": "9" * 30}, {"version": "-1"}, {"version": "１"}])
def test_a_button_with_another_version_dismisses_nothing(shop: Shop, mia: Visitor, form: dict[str, object]) -> None:
    created(mia)
    visitor = Visitor(shop.app)
    number = re.search(r"/announcements/([0-9]+)/dismiss", visitor.get("/").text)
    assert number
    answer = visitor.post(f"/announcements/{number[1]}/dismiss", {**form, "next": "//evil.example"})
    assert (answer.status_code, answer.location) == (303, "/")
    assert bar(visitor) != ""


def test_a_browser_keeps_ten_marks_and_a_forged_cookie_fails_no_page(shop: Shop, mia: Visitor) -> None:
    created(mia)
    visitor = Visitor(shop.app)
    visitor.get("/")
    for number in range(1, 14):
        assert visitor.post(f"/announcements/{number}/dismiss", {"version": "1"}).status_code == 303
    with visitor.client.session_transaction() as session:
        assert len(session["dismissed"]) == 10
        session["dismissed"] = {"not": "a list"}
    assert bar(visitor) != ""


@pytest.mark.parametrize(
    ("field", "typed", "shown"),
    [
        ("text", "", "Enter a text in English."),
        ("text", "x" * 301, "Enter at most 300 characters; these are 301."),
        ("text.ja", "\x1b[31m", "control characters"),
        ("link", "javascript:alert(1)", "Enter a path of this shop"),
        ("link", "//evil.example", "Enter a path of this shop"),
        ("link", "http://example.com", "Enter a path of this shop"),
        ("link", "https://example.com\\@evil.example", "Enter a path of this shop"),
        ("link", "https://user@evil.example", "Enter a path of this shop"),
        ("starts_at", "tomorrow", "Enter a date and a time"),
        ("ends_at", "0000-00-00T00:00", "Enter a date and a time"),
        ("where", "checkout", "The form has no field 'where'."),
    ],
)
def test_a_field_that_cannot_be_used_is_named_and_nothing_is_saved(
    shop: Shop, mia: Visitor, field: str, typed: str, shown: str
) -> None:
    answer = mia.post("/ops/announcements/new", {**NEW, field: typed})
    assert answer.status_code == 422
    assert shown in html.unescape(answer.text)
    assert shop.count(Announcement) == 0


def test_an_end_before_the_start_is_refused(shop: Shop, mia: Visitor) -> None:
    times = {"starts_at": "2027-01-05T00:00", "ends_at": "2027-01-05T00:00"}
    assert "The end must be after the start." in mia.post("/ops/announcements/new", {**NEW, **times}).text
    assert shop.count(Announcement) == 0


def test_markup_in_a_text_stays_text(shop: Shop, mia: Visitor) -> None:
    created(mia, text="<script>alert(1)</script> שלום 🎉")
    page = Visitor(shop.app).get("/").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; שלום 🎉" in page


def test_a_stale_form_and_a_stale_deletion_are_refused(shop: Shop, mia: Visitor) -> None:
    address = created(mia)
    first, second = form_of(mia, address), form_of(mia, address)
    assert mia.post(address, {**first, "text": "Open again"}).status_code == 303
    answer = mia.post(address, {**second, "link": ""})
    assert answer.status_code == 409 and "<strong>Text</strong>: “Open again”" in answer.text
    assert mia.post(f"{address}/delete", {"version": "1"}).status_code == 409
    assert mia.post(f"{address}/delete", {"version": "2"}).status_code == 303
    assert shop.count(Announcement) == 0 and mia.get(address).status_code == 404
    subject = Subject(SubjectKind.ANNOUNCEMENT, address.rpartition("/")[2])
    removed, changed, made = audit_search.find(audit_search.Filters(subjects=[subject]), limit=5).rows
    assert removed.before and removed.before["texts"]["en"] == "Open again"
    assert changed.before and changed.before["texts"]["en"] == NEW["text"]
    assert made.after and made.after["link"] == "/returns"


def test_three_are_shown_and_fifty_are_kept(shop: Shop, mia: Visitor) -> None:
    mo = shop.colleague("mo", Role.MERCHANDISER)
    for number in range(announcements.MOST):
        announcements.create(Content({"en": f"Note {number}"}), by=mo)
    with pytest.raises(Refusal) as refused:
        announcements.create(Content({"en": "One more"}), by=mo)
    assert refused.value.code == "too_many_announcements"
    assert re.findall("Note [0-9]+", bar(Visitor(shop.app))) == ["Note 49", "Note 48", "Note 47"]
    assert len(sent_for(mia, "/ops/announcements")) <= 4


def test_pages_read_them_once_a_second_and_then_show_the_change_of_another_process(
    shop: Shop, mia: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(mia)
    visitor, now = Visitor(shop.app), monotonic()
    monkeypatch.setattr(kept_briefly, "monotonic", lambda: now)
    visitor.get("/")
    with transaction():
        db.session.scalars(db.select(Announcement)).one().texts = {"en": "Open again"}
    assert not [one for one in sent_for(visitor, "/") if "announcements" in one]
    monkeypatch.setattr(kept_briefly, "monotonic", lambda: now + kept_briefly.FRESH)
    assert "Open again" in bar(visitor)
