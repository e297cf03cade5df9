"""Retries from the webhook inbox of the console: forms, counts, refusals, and the same by command."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from click.testing import Result

from shop.core import clock
from shop.core.audit import Act
from shop.core.audit_search import Filters, find
from shop.core.db import db, transaction
from shop.payments.records.models import WebhookEventRow
from shop.payments.webhooks import retry
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def support(shop: Shop) -> Visitor:
    return visitor_as(shop, "support")


@pytest.fixture
def orphans(shop: Shop) -> list[int]:
    """Three webhooks that wait for the next attempt."""
    for number in range(3):
        shop.deliver_webhook(f"P0000000000000000N{number:02}", f"evt-{number}")
    with transaction():  # no slow machine reaches the next attempts
        db.session.execute(db.update(WebhookEventRow).values(due_at=clock.now() + timedelta(hours=1)))
    return list(db.session.scalars(db.select(WebhookEventRow.id).order_by(WebhookEventRow.id)))


def due() -> list[int]:
    db.session.rollback()
    which = db.select(WebhookEventRow.id).where(WebhookEventRow.due_at <= clock.now())
    return list(db.session.scalars(which.order_by(WebhookEventRow.id)))


def test_a_webhook_is_retried_from_its_page_which_then_names_the_person(orphans: list[int], support: Visitor) -> None:
    path = f"/ops/webhooks/{orphans[1]}"
    assert ">Retry</button>" in support.get(path).text
    answer = support.post(f"{path}/retry", {"reason": "the order exists now"})
    assert (answer.status_code, answer.location, due()) == (303, path, [orphans[1]])
    page = support.get(path).text
    assert "The webhook is due now." in page and "the order exists now" in page and "support@example.com</td>" in page


def test_a_retry_without_a_reason_is_422_and_one_too_late_409(shop: Shop, orphans: list[int], support: Visitor) -> None:
    path = f"/ops/webhooks/{orphans[0]}"
    support.get(path)
    answer = support.post(f"{path}/retry", {"reason": " "})
    assert answer.status_code == 422 and "Enter a reason." in answer.text and due() == []
    assert support.post(f"{path}/retry", {"reason": "again"}).status_code == 303
    late = support.post(f"{path}/retry", {"reason": "again"})
    assert late.status_code == 409 and "due already. support@example.com has retried it." in late.text
    shop.sweep()
    shop.turn(days=2)
    shop.sweep()
    done = support.post(f"{path}/retry", {"reason": "again"})
    assert done.status_code == 409 and "This webhook is done. It is not applied again." in done.text
    assert ">Retry</button>" not in support.get(path).text


def test_a_refused_webhook_has_no_retry(shop: Shop, support: Visitor) -> None:
    shop.receive({}, b"{}")
    page = support.get("/ops/webhooks/refused-1").text
    assert ">Retry</button>" not in page
    answer = support.post("/ops/webhooks/refused-1/retry", {"reason": "again"})
    assert answer.status_code == 409 and "Ask the acquirer to send it again." in answer.text
    assert support.post("/ops/webhooks/refused-2/retry", {"reason": "again"}).status_code == 404


def test_a_retry_by_filter_shows_the_count_first_and_takes_it_with_the_confirmation(
    orphans: list[int], support: Visitor
) -> None:
    listed = support.get("/ops/webhooks?event=evt-0&event=evt-2").text
    assert 'href="/ops/webhooks/retry?event=evt-0&amp;event=evt-2"' in listed
    page = support.get("/ops/webhooks/retry?event=evt-0&event=evt-2").text
    assert "2 webhooks match and can be retried." in page and support.field("count") == "2" and due() == []
    answer = support.post("/ops/webhooks/retry?event=evt-0&event=evt-2", {"reason": "a fix", "count": "2"})
    assert (answer.status_code, answer.location) == (303, "/ops/webhooks?event=evt-0&event=evt-2")
    assert due() == [orphans[0], orphans[2]]
    assert "2 webhooks are due now." in support.get(answer.location or "").text
    assert len(find(Filters(acts=[Act.WEBHOOK_RETRIED])).rows) == 2


def test_a_count_that_has_changed_is_409_with_the_new_number_in_the_form(orphans: list[int], support: Visitor) -> None:
    support.get("/ops/webhooks/retry")
    answer = support.post("/ops/webhooks/retry", {"reason": "a fix", "count": "2"})
    assert answer.status_code == 409 and "2 webhooks matched when you opened this page, and now 3." in answer.text
    assert support.field("count") == "3" and "a fix</textarea>" in answer.text and due() == []


@pytest.mark.parametrize("count", ["", "-1", "x", "9" * 30, "٣"])
def test_a_count_that_is_none_is_422(orphans: list[int], support: Visitor, count: str) -> None:
    support.get("/ops/webhooks/retry")
    answer = support.post("/ops/webhooks/retry", {"reason": "a fix", "count": count})
    assert answer.status_code == 422 and "no valid count" in answer.text and due() == []


def test_more_than_the_limit_is_retried_in_steps(
    orphans: list[int], support: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "AT_ONCE", 2)
    assert "The oldest 2 of them are retried now." in support.get("/ops/webhooks/retry").text
    answer = support.post("/ops/webhooks/retry", {"reason": "a fix", "count": "3"})
    assert "1 more match and can be retried next." in support.get(answer.location or "").text


@pytest.mark.parametrize("query", ["state=refused", "state=done", "outcome=bad_signature"])
def test_a_filter_without_webhooks_to_retry_has_no_form(orphans: list[int], support: Visitor, query: str) -> None:
    page = support.get(f"/ops/webhooks/retry?{query}").text
    assert "No webhook that matches these filters can be retried." in page and ">Confirm<" not in page
    answer = support.post(f"/ops/webhooks/retry?{query}", {"reason": "a fix", "count": "0"})
    assert answer.status_code == 409 and due() == []


def test_an_unknown_filter_is_422_for_a_retry_too(orphans: list[int], support: Visitor) -> None:
    assert support.get("/ops/webhooks/retry?colour=red").status_code == 422
    assert support.post("/ops/webhooks/retry?colour=red", {"reason": "a", "count": "3"}).status_code == 422


def test_who_may_only_read_the_inbox_sees_no_retry(shop: Shop, orphans: list[int]) -> None:
    admin = visitor_as(shop, "admin")
    for path in ("/ops/webhooks", f"/ops/webhooks/{orphans[0]}"):
        assert ">Retry" not in admin.get(path).text
    assert admin.post(f"/ops/webhooks/{orphans[0]}/retry", {"reason": "a"}).status_code == 403
    assert due() == []


# --- commands ---


def command(shop: Shop, *arguments: str) -> Result:
    done = shop.app.test_cli_runner().invoke(args=["webhooks", *arguments], catch_exceptions=False)
    db.session.rollback()
    return done


def test_the_command_lists_webhooks_with_the_filters_of_the_page(shop: Shop, orphans: list[int]) -> None:
    lines = command(shop, "list", "--outcome", "orphan", "--event", "evt-1").stdout.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"{orphans[1]} ") and "waiting: Unknown payment" in lines[0]
    found = json.loads(command(shop, "list", "--state", "waiting", "--json").stdout)
    assert [one["key"] for one in found] == [str(each) for each in reversed(orphans)]
    unknown = command(shop, "list", "--state", "lost")
    assert unknown.exit_code == 1 and "Values are done, waiting, failing, refused." in unknown.output


def test_the_command_retries_a_filter_after_the_count_was_printed(shop: Shop, orphans: list[int]) -> None:
    printed = command(shop, "retry-matching", "--outcome", "orphan", "--reason", "a fix").stdout
    assert "Repeat this with --count 3" in printed and due() == []
    moved = command(shop, "retry-matching", "--outcome", "orphan", "--reason", "a fix", "--count", "2")
    assert moved.exit_code == 1 and "and now 3. Nothing was changed." in moved.output
    done = command(shop, "retry-matching", "--outcome", "orphan", "--reason", "a fix", "--count", "3")
    assert "Webhooks that are due now: 3. Others that match: 0." in done.stdout and due() == orphans


def test_the_command_refuses_what_the_page_refuses(shop: Shop, orphans: list[int]) -> None:
    assert command(shop, "retry", str(orphans[0]), "--reason", "a fix").exit_code == 0
    again = command(shop, "retry", str(orphans[0]), "--reason", "a fix")
    assert again.exit_code == 1 and "due already. operator has retried it." in again.output
    assert command(shop, "retry", "4711", "--reason", "a fix").exit_code == 1
    assert command(shop, "retry", str(orphans[1])).exit_code == 2
