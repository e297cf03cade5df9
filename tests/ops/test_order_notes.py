"""Notes of staff on orders: written, withdrawn, and with mentions that colleagues find on their lists."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from shop.core import audit_search
from shop.core.audit import SubjectKind
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.jobs import retention
from shop.order_notes import mentions, notes
from shop.order_notes.mentions import Colleague
from shop.order_notes.models import OrderNote
from shop.orders.models import Order
from tests.ops.conftest import visitor_as
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

STAFF = [
    Colleague(1, "ada@example.com", reads_orders=True),
    Colleague(2, "kim.lee@example.com", reads_orders=True),
    Colleague(3, "kim.lee@example.org", reads_orders=True),
    Colleague(4, "merch@example.com", reads_orders=False),
]


def write(visitor: Visitor, order: Order, text: str, **changed: str) -> tuple[int, str]:
    """Open the order and send its form; status and text of the answer."""
    visitor.get(f"/ops/orders/{order.number}")
    form = {"key": visitor.field("key"), "note": text}
    answer = visitor.post(f"/ops/orders/{order.number}/notes", {**form, **changed})
    return answer.status_code, html.unescape(answer.text)


def test_a_second_note_of_one_form_is_refused_and_kept_in_the_form(shop: Shop) -> None:
    order, visitor = shop.order(), visitor_as(shop, "support")
    assert write(visitor, order, "first", key="k")[0] == write(visitor, order, "first", key="k")[0] == 303
    status, page = write(visitor, order, "second", key="k")
    assert status == 409 and ">second</textarea>" in page and visitor.field("key") != "k"
    assert write(visitor_as(shop, "finance"), order, "first", key="k")[0] == 409
    assert shop.count(OrderNote) == 1


def timeline(visitor: Visitor, order: Order) -> str:
    """The page with the notes alone in its timeline."""
    return html.unescape(visitor.get(f"/ops/orders/{order.number}?source=note").text)


def acts() -> list[str]:
    db.session.rollback()
    return [entry.act for entry in audit_search.find(audit_search.Filters(subject_kind=SubjectKind.NOTE)).rows]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("@ada, please call; see also (@ADA)", [1]),
        ("to:@kim.lee@example.org.", [3]),
        ("she wrote from may@ada and paid 5 @ 20", []),
        ("@ada\n@kim.lee@example.com", [1, 2]),
    ],
)
def test_a_name_after_an_at_sign_mentions_a_colleague(text: str, ids: list[int]) -> None:
    assert [one.id for one in mentions.found(text, STAFF)] == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "@zoe please",
            "no member of staff @zoe. Names are @ada, @kim.lee@example.com, @kim.lee@example.org.",
        ),
        ("@kim.lee please", "Write one of @kim.lee@example.com, @kim.lee@example.org."),
        ("@merch please", "@merch may not read orders"),
    ],
)
def test_a_name_that_reaches_no_colleague_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        mentions.found(text, STAFF)


def test_a_note_is_on_the_timeline_and_written_once(shop: Shop) -> None:
    order, support = shop.order(), visitor_as(shop, "support")
    assert write(support, order, "  She  called.\n<b>Ring back</b>", key="one-form")[0] == 303
    assert write(support, order, "She called.\n<b>Ring back</b>", key="one-form")[0] == 303
    page = timeline(support, order)
    assert '<p class="written">She called.\n<b>Ring back</b></p>' in page and page.count('class="written"') == 1
    assert "support@example.com" in page and acts() == ["note.written"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  \n ", "Write a note first."),
        ("x" * 2001, "at most 2000 characters"),
        ("a\x07b", "at most 2000 characters"),
        ("@zoe please", "There is no member of staff @zoe."),
    ],
)
def test_a_note_that_cannot_be_kept_is_refused_and_stays_in_the_form(shop: Shop, text: str, message: str) -> None:
    order, support = shop.order(), visitor_as(shop, "support")
    status, page = write(support, order, text)
    assert status == 422 and message in page and shop.count(OrderNote) == 0
    assert "@zoe" not in text or ">@zoe please</textarea>" in page


def test_a_mention_is_on_the_list_of_the_colleague_until_it_is_done(shop: Shop) -> None:
    order, support, finance = shop.order(), visitor_as(shop, "support"), visitor_as(shop, "finance")
    write(support, order, "@finance may she have a discount?")
    listed = html.unescape(finance.get("/ops").text)
    [anchor] = re.findall(rf'href="/ops/orders/{order.number}#(note-\d+)"', listed)
    assert "support@example.com: @finance may she have a discount?" in listed
    assert "#note-" not in support.get("/ops").text, "of the colleague alone"
    assert f'id="{anchor}"' in timeline(finance, order)
    path = f"/ops/orders/{order.number}/notes/{anchor.removeprefix('note-')}/done"
    assert f'action="{path}"' in listed and "Mark as done" in listed
    assert [finance.post(path, {"to": "to_do"}).location for _ in range(2)] == ["/ops", "/ops"]
    assert finance.post(path).location == f"/ops/orders/{order.number}"
    assert "#note-" not in finance.get("/ops").text and acts() == ["note.done", "note.written"]


def test_a_note_is_withdrawn_by_its_writer_alone_and_its_text_stays_in_the_audit_log(shop: Shop) -> None:
    order, support, finance = shop.order(), visitor_as(shop, "support"), visitor_as(shop, "finance")
    write(support, order, "@finance her phone is 0912")
    db.session.rollback()
    path = f"/ops/orders/{order.number}/notes/{db.session.scalars(db.select(OrderNote.id)).one()}/withdraw"
    assert "Withdraw" not in timeline(finance, order)
    assert finance.post(path).status_code == 403
    assert [support.post(path).status_code for _ in range(2)] == [303, 303]
    page = timeline(support, order)
    assert "0912" not in page and "withdrawn" in page and "#note-" not in finance.get("/ops").text
    db.session.rollback()
    newest = audit_search.find(audit_search.Filters(subject_kind=SubjectKind.NOTE)).rows[0]
    assert (newest.act, newest.personal and newest.personal["text"]) == ("note.withdrawn", "@finance her phone is 0912")


def test_a_note_is_changed_only_at_the_address_of_its_order(shop: Shop) -> None:
    order, other, support = shop.order(), shop.order(), visitor_as(shop, "support")
    write(support, order, "@support please call")
    db.session.rollback()
    [note] = db.session.scalars(db.select(OrderNote.id))
    for number in ("AAAA-NOPE", other.number):
        for act in ("done", "withdraw"):
            assert support.post(f"/ops/orders/{number}/notes/{note}/{act}").status_code == 404
    assert acts() == ["note.written"] and "please call" in support.get("/ops").text


def test_an_order_has_a_limited_number_of_notes(shop: Shop, race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MOST", 3)
    order, other = shop.order(), shop.order()
    order_id = order.id
    results = race(lambda number: notes.write(order_id, "x", by=shop.sam, form_key=str(number)))
    refused = [one for one in results if isinstance(one, Refusal)]
    assert shop.count(OrderNote) == 3 and {one.code for one in refused} == {"too_many_notes"}
    status, page = write(visitor_as(shop, "support"), order, "one more")
    assert status == 409 and "An order can have 3 notes" in page
    notes.write(other.id, "x", by=shop.sam, form_key="key")


def test_texts_end_with_the_data_of_the_guest_and_with_their_age(shop: Shop) -> None:
    guests, customers = shop.paid_order(), shop.paid_order(customer=shop.customer())
    for order in (guests, customers):
        notes.write(order.id, "@sam lives at 1 Main St", by=shop.sam, form_key="key")
    shop.turn(days=700)
    notes.write(guests.id, "still here?", by=shop.sam, form_key="later")
    notes.write(customers.id, "still here?", by=shop.sam, form_key="later")
    retention.sweep()
    assert (texts(), len(waiting(shop))) == (["@sam lives at 1 Main St"] * 2 + ["still here?"] * 2, 2)
    shop.turn(days=31)
    retention.sweep()
    assert (texts(), waiting(shop)) == (["(erased)", "(erased)", "(erased)", "still here?"], [])


def waiting(shop: Shop) -> list[Any]:
    return list(db.session.execute(notes.waiting_for(shop.sam.user_id)))


def texts() -> list[str]:
    db.session.rollback()
    return sorted(db.session.scalars(db.select(OrderNote.text)), key=lambda text: (text == "still here?", text))


def test_a_note_that_does_not_exist_is_not_found(shop: Shop) -> None:
    order, support = shop.order(), visitor_as(shop, "support")
    support.get(f"/ops/orders/{order.number}")
    for note in ("7", "99999999999999999999"):
        assert support.post(f"/ops/orders/{order.number}/notes/{note}/done").status_code == 404
        assert support.post(f"/ops/orders/{order.number}/notes/{note}/withdraw").status_code == 404
    assert support.post("/ops/orders/NO-SUCH/notes", {"note": "x"}).status_code == 404
