"""Webhook inbox of the console: list, filters, keyset pages, and the page of a webhook."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from shop.core import clock, redacted
from shop.core.db import db, transaction
from shop.payments.records.models import RefusedWebhook, WebhookEventRow
from shop.payments.webhooks import conditions
from tests.ops.conftest import visitor_as
from tests.parts.statements import statements
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor, title

UNKNOWN = "P000000000000N0B0DYS"
HISTORY = {"applied": "evt-applied", "orphan": "evt-orphan", "hint": "evt-hint"}


@pytest.fixture
def support(shop: Shop) -> Visitor:
    return visitor_as(shop, "support")


@pytest.fixture
def inbox(shop: Shop) -> str:
    """Fill the inbox: one applied, one orphan, one hint and one forged webhook; the payment id of the first."""
    payment = shop.payment(shop.order())
    shop.acquirer.capture(payment.id)
    shop.deliver_webhook(payment, HISTORY["applied"])
    shop.deliver_webhook(payment, HISTORY["applied"])
    shop.deliver_webhook(UNKNOWN, HISTORY["orphan"])
    shop.deliver_webhook(payment, HISTORY["hint"], trust="unsigned")
    shop.receive({"x-signature": "bad", "stripe-signature": "t=1,v1=5ec2e7"}, b'{"id": "forged"}')
    db.session.rollback()
    return payment.id


def keys(page: str) -> list[str]:
    """The keys of the webhooks in the list, in order."""
    return re.findall(r'<th scope="row"><a href="/ops/webhooks/([^"]+)">', page)


def stored(event: str) -> str:
    return str(db.session.scalars(db.select(WebhookEventRow.id).where(WebhookEventRow.dedupe_key == event)).one())


def test_the_inbox_lists_stored_and_refused_webhooks_with_their_outcome_in_words(inbox: str, support: Visitor) -> None:
    page = support.get("/ops/webhooks").text
    newest_first = [stored(HISTORY[name]) for name in ("hint", "orphan", "applied")]
    assert [key for key in keys(page) if key.isdigit()] == newest_first
    assert keys(page)[0].startswith("refused-")
    for sentence in ("Unknown payment", "Not trusted because it has no signature", "received 1 more time"):
        assert sentence in page
    assert "Not trusted because the signature is not valid" in page and "payment captured" in page
    assert inbox in page and "4 webhooks" in page


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("outcome=applied", ["applied"]),
        ("outcome=applied&outcome=orphan", ["orphan", "applied"]),
        ("outcome=orphan&outcome=bad_signature", ["refused", "orphan"]),
        ("state=done", ["hint", "applied"]),
        ("state=waiting", ["orphan"]),
        ("state=waiting&state=refused", ["refused", "orphan"]),
        ("state=failing", []),
        ("state=refused&outcome=applied", []),
        ("provider=fakepay", ["refused", "hint", "orphan", "applied"]),
        ("provider=otherpay", []),
        (f"payment={UNKNOWN}", ["orphan"]),
        ("event=evt-applied&event=evt-hint", ["hint", "applied"]),
        ("from=2001-01-01&to=2001-12-31", []),
        ("from=2001-01-01&to=2100-12-31", ["refused", "hint", "orphan", "applied"]),
    ],
)
def test_a_filter_shows_what_matches_it_alone(inbox: str, support: Visitor, query: str, events: list[str]) -> None:
    if "state=done" in query or "state=waiting" in query:
        with transaction():  # the hint is applied once more later
            row = db.session.get_one(WebhookEventRow, int(stored(HISTORY["hint"])))
            row.due_at, row.done_at = None, clock.now()
    names = {stored(event): name for name, event in HISTORY.items()}
    page = support.get(f"/ops/webhooks?{query}")
    assert [names.get(key, "refused") for key in keys(page.text)] == events
    assert events or "No webhook matches these filters." in page.text


def test_empty_fields_of_the_form_are_left_out_of_the_address(support: Visitor) -> None:
    answer = support.get("/ops/webhooks?event=evt-1&payment=&outcome=&from=")
    assert (answer.status_code, answer.location) == (303, "/ops/webhooks?event=evt-1")


def test_a_payment_is_found_by_its_id_and_an_error_by_the_state(shop: Shop, inbox: str, support: Visitor) -> None:
    found = keys(support.get(f"/ops/webhooks?payment={inbox}").text)
    assert found == [stored(HISTORY["hint"]), stored(HISTORY["applied"])]
    with transaction():
        db.session.get_one(WebhookEventRow, int(stored(HISTORY["orphan"]))).error = "ValueError: broken"
    page = support.get("/ops/webhooks?state=failing").text
    assert keys(page) == [stored(HISTORY["orphan"])] and "because of an error: ValueError: broken" in page


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("colour=red", "Filters are provider, outcome, state, payment, event, field, from, to."),
        ("state=lost", "Values are done, waiting, failing, refused."),
        ("outcome=unavailable", "Values are applied, duplicate, stale,"),
        ("provider=nopay", "Values are fakepay,"),
        ("from=yesterday", "needs a day, such as 2026-12-24."),
        ("from=0001-01-01", "needs a day, such as 2026-12-24."),
        ("from=2026-12-24&to=2026-12-23", "after the last one"),
        ("from=2026-12-24&from=2026-12-25", "takes one value"),
        ("event=%C2%85", "needs an id"),
        (f"payment={'x' * 201}", "needs an id"),
        ("field=data.object.id", "such as data.object.id=pi_1"),
        ("field=$..id=1", "such as data.object.id=pi_1"),
        ("field=a.b=%07", "such as data.object.id=pi_1"),
        ("field=a=1&field=b=2", "takes one value"),
        ("field=data.client_secret=cs_1", "does not search for secrets"),
        ("after=x", "Go to the first page."),
        ("after=99999999999999999999-0-1", "Go to the first page."),
        ("after=1-0-1&before=1-0-1", "one of after, before and page=last"),
        ("page=2", "one of after, before and page=last"),
    ],
)
def test_an_unknown_filter_or_value_is_422_with_the_known_ones(support: Visitor, query: str, message: str) -> None:
    answer = support.get(f"/ops/webhooks?{query}")
    assert answer.status_code == 422 and message in answer.text


def test_an_extreme_position_is_no_error(inbox: str, support: Visitor) -> None:
    assert support.get("/ops/webhooks?after=99999999999999999-1-999999999999999999").status_code == 200
    assert support.get("/ops/webhooks?before=99999999999999999-1-999999999999999999").status_code == 200


def test_the_pages_show_each_webhook_once_in_both_directions(
    shop: Shop, support: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored and refused webhooks that were received at the same moment included."""
    at = clock.now() - timedelta(hours=1)
    with transaction():
        for number in range(130):
            moment = at - timedelta(seconds=number // 4)
            common = {"provider": "fakepay", "body": b"{}", "headers": {}, "received_at": moment}
            if number % 2:
                db.session.add(RefusedWebhook(**common, outcome="malformed", reason="no JSON"))
            else:
                of_stored = {"dedupe_key": f"evt-{number}", "body_hash": "-", "trust": "signed", "done_at": at}
                db.session.add(WebhookEventRow(**common, **of_stored, outcome="stale"))
    everything, path, pages = [], "/ops/webhooks", 0
    while path:
        page = support.get(path).text
        everything += keys(page)
        path, pages, last = follow(page, "next"), pages + 1, page
    assert (len(everything), len(set(everything)), pages) == (130, 130, 6)
    backwards, page = keys(last), last
    while path := follow(page, "prev"):
        page = support.get(path).text
        backwards = keys(page) + backwards
    assert backwards == everything
    final = support.get(follow(page, "last")).text
    assert keys(final) == everything[-25:] and not follow(final, "next")


FIELDS = [
    (b'{"id": "a", "data": {"object": {"id": "pi_1", "amount": 120000, "paid": true}}}', "a"),
    (b'{"id": "b", "captures": [["c1", 5], ["c2", 7]], "0": {"id": "pi_1"}}', "b"),
    (b'{"id": "c", "name": "\xe5\x90\x8d", "note": null, "data": {"object": "pi_1"}}', "c"),
    (b"id=d&data.object.id=pi_1", "d"),
    (b"\xff\xfe{", "e"),
    (b'{"id": "f", "text": "\\u0000", "data": {"object": {"id": "pi_1"}}', "f"),
]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_field_of_a_json_body_is_a_filter_on_both_databases(
    shop: Shop, support: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        for number, (body, key) in enumerate(FIELDS):
            at = clock.now() - timedelta(minutes=number)
            of_stored = {"dedupe_key": key, "body_hash": "-", "trust": "signed", "outcome": "stale", "done_at": at}
            db.session.add(WebhookEventRow(provider="fakepay", body=body, headers={}, received_at=at, **of_stored))
    names = {stored(key): key for _, key in FIELDS}

    def found(field: str, more: str = "") -> list[str]:
        page = support.get(f"/ops/webhooks?field={field}{more}")
        assert page.status_code == 200
        return [names[key] for key in keys(page.text)]

    assert (found("data.object.id=pi_1"), found("data.object.amount=120000")) == (["a"], ["a"])
    assert (found("data.object.paid=true"), found("captures.1.0=c2"), found("name=名")) == (["a"], ["b"], ["c"])
    assert (found("data.object.id=pi_2"), found("note=null"), found("id=d")) == ([], [], [])
    assert found("id=a", "&provider=otherpay") == [] and found("id=a", "&state=refused") == []
    with statements() as sent:
        support.get("/ops/webhooks?field=id=b&provider=fakepay")
    assert len(sent) <= 4
    monkeypatch.setattr(conditions, "SEARCHED", 1)
    assert (found("id=a"), found("id=b"), found("id=b", "&event=b")) == (["a"], [], ["b"])
    page = support.get("/ops/webhooks?field=id=a").text
    assert "the newest 1 were searched" in page and 'name="q" value=""' in page


def test_the_tail_brings_what_came_after_the_top_row_and_matches_the_filters(
    shop: Shop, inbox: str, support: Visitor
) -> None:
    page = support.get("/ops/webhooks?provider=fakepay").text
    assert re.search(r'<p class="row" data-live hidden>', page), "off without JavaScript"
    tail = tail_of(page)
    assert tail.startswith("/ops/webhooks/newer?provider=fakepay&before=")
    assert support.get(tail).status_code == 204
    shop.deliver_webhook(inbox, "evt-new")
    headers, body = shop.acquirer.webhook(inbox, "evt-other")
    shop.receive(headers, body, "otherpay")
    newer = support.get(tail).text
    assert keys(newer) == [stored("evt-new")] and "<html" not in newer
    assert support.get(tail_of(newer)).status_code == 204


def tail_of(page: str) -> str:
    found = re.search(r'id="tail" hx-get="([^"]+)"', page)
    return found[1].replace("&amp;", "&") if found else ""


def test_what_became_of_a_webhook_stands_once_in_its_row_with_its_duration(inbox: str, support: Visitor) -> None:
    page = support.get("/ops/webhooks?outcome=applied").text
    row = page[page.index('<tbody class="live">') : page.index("</tbody>")]
    assert row.lower().count("applied") == 1
    assert re.search(r'<td[^>]* class="amount">\d+</td>\s*</tr>', row), "milliseconds"


def follow(page: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', page)
    return found[1].replace("&amp;", "&") if found else ""


def test_a_page_of_the_inbox_takes_at_most_four_statements(inbox: str, support: Visitor) -> None:
    support.get("/ops/webhooks")
    for query in ("", "?outcome=orphan&state=waiting", "?page=last", f"?payment={inbox}"):
        with statements() as sent:
            assert support.get(f"/ops/webhooks{query}").status_code == 200
        assert len(sent) <= 4, "\n".join(sent)


def test_the_page_of_a_webhook_shows_its_content_and_what_it_changed(shop: Shop, inbox: str, support: Visitor) -> None:
    page = support.get(f"/ops/webhooks/{stored(HISTORY['applied'])}").text
    for shown in ("What it changed", "payment.captured", "WAITING_PAYMENT → PAID", "captures.0.1", "120000", inbox):
        assert shown in page
    untouched = support.get(f"/ops/webhooks/{stored(HISTORY['orphan'])}").text
    assert "It changed no payment and no order." in untouched and '<h2 id="raw">Raw body</h2>' in untouched


def test_a_refused_webhook_shows_the_reason_and_no_signature(inbox: str, support: Visitor) -> None:
    [key] = keys(support.get("/ops/webhooks?state=refused").text)
    page = support.get(f"/ops/webhooks/{key}").text
    assert "Not trusted because the signature is not valid" in page and "forged" in page
    assert "5ec2e7" not in page and "[redacted]" in page
    assert "What it changed" not in page


def test_secrets_signatures_and_card_numbers_in_a_body_are_redacted(shop: Shop, support: Visitor) -> None:
    shop.receive({}, b'{"card": "4242 4242 4242 4242", "client_secret": "cs_abc", "a": "whsec_abc"}')
    shop.receive({}, b"RtnCode=1&CheckMacValue=ABCDEF0123")
    pages = [support.get(f"/ops/webhooks/{key}").text for key in keys(support.get("/ops/webhooks").text)]
    shown = "".join(pages)
    assert "RtnCode" in shown and "[card number]" in shown
    for secret in ("4242 4242", "cs_abc", "whsec_abc", "ABCDEF0123"):
        assert secret not in shown


def test_a_secret_is_redacted_by_its_name_with_every_kind_of_value(shop: Shop, support: Visitor) -> None:
    odd = (
        b'{"\\u0073ecret": "hush-1", "token": 42421, "secret": {"v": "hush-2"}, "password": ["hush-3"], "kept": "seen"}'
    )
    bodies = [
        odd,
        b'[{"a": {"api_key": "a\\"hush-4"}, "a": 1}, 4242424242424242, "\\u0034242424242424242"]',
        b'{"a": "{\\"secret\\": \\"hush-5\\"}"}',
        b'{"\\u0073ecret": "hush-6", cut off',
        b"%73ecret=hush-7&card=4242%204242%204242%204242",
        b"[" * 40 + b'"token", "hush-8"' + b"]" * 40,
    ]
    for body in bodies:
        shop.receive({}, body)
    pages = [support.get(f"/ops/webhooks/{key}").text for key in keys(support.get("/ops/webhooks").text)]
    shown = "".join(pages)
    assert len(pages) == len(bodies) and "seen" in shown
    assert not [secret for secret in ("hush-", "42421", "4242424242", "4242 4242", "4242%20") if secret in shown]


def test_a_long_body_is_redacted_in_linear_time_and_has_a_limited_number_of_fields() -> None:
    for unit in ('"token', "token=", "4242 ", "\\u0073", '{"a":', "a=1&"):
        assert redacted.body((unit * 10_000).encode()) is not None
    fields = redacted.fields(json.dumps({"a" * 30_000: [1] * 10_000}).encode())
    assert len(fields) == redacted.MOST_FIELDS and len(fields[0][0]) < 110


@pytest.mark.parametrize("key", ["0", "7", "999999999999999999999", "refused-7", "refused-", "-1", "x" * 300, "٣"])
def test_a_webhook_that_does_not_exist_is_404(support: Visitor, key: str) -> None:
    answer = support.get(f"/ops/webhooks/{key}")
    assert (answer.status_code, title(answer)) == (404, "Page not found · Settled console")
    assert "Search the inbox" in answer.text


def test_bodies_that_no_parser_expects_are_shown(shop: Shop, support: Visitor) -> None:
    bodies = [
        b"",
        b"\xff\xfe\x00",
        b"[" * 3000,
        b"null",
        b'{"a": []}',
        b'{"a": "\\ud800", "\\udfff": "secret"}',
        b"=&=",
        '{"名": "<b>x</b>"}'.encode(),
    ]
    for body in bodies:
        shop.receive({"x-signature": "good"}, body)
    found = keys(support.get("/ops/webhooks").text)
    assert len(found) == len(bodies)
    for key in found:
        answer = support.get(f"/ops/webhooks/{key}")
        assert answer.status_code == 200 and "<b>x</b>" not in answer.text
