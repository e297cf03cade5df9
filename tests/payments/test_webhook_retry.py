"""Retries of webhooks by staff: one, or those that match filters, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from shop.accounts.permissions import Role
from shop.accounts.rights import Forbidden
from shop.core import clock
from shop.core.audit import Act, SubjectKind
from shop.core.audit_search import Filters as AuditFilters
from shop.core.audit_search import find
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.orders.models import Order
from shop.payments.records.models import Payment, RefusedWebhook, WebhookEventRow
from shop.payments.webhooks import retry
from shop.payments.webhooks.filters import Filters, State
from tests.shop_fixtures import Shop

UTC = ZoneInfo("UTC")
WAITING = Filters(states=(State.WAITING,))


def postpone() -> None:
    """Put the next attempts an hour ahead, so that no slow machine reaches them."""
    with transaction():
        later = db.update(WebhookEventRow).where(WebhookEventRow.due_at.is_not(None))
        db.session.execute(later.values(due_at=clock.now() + timedelta(hours=1)))


def orphans(shop: Shop, number: int) -> list[str]:
    """Keys of webhooks about payments that do not exist; each is retried in an hour."""
    for each in range(number):
        shop.deliver_webhook(f"P0000000000000000N{each:02}")
    postpone()
    orphan = db.select(WebhookEventRow.id).where(WebhookEventRow.outcome == "orphan").order_by(WebhookEventRow.id)
    rows = db.session.scalars(orphan)
    return [str(row) for row in rows.all()]


def due(key: str) -> bool:
    db.session.rollback()
    row = db.session.get_one(WebhookEventRow, int(key), populate_existing=True)
    return row.due_at is not None and row.due_at <= clock.now()


def entries() -> list[tuple[str, str, str]]:
    """(subject, actor, reason) of the entries about retries, newest first."""
    filters = AuditFilters(acts=[Act.WEBHOOK_RETRIED], subject_kind=SubjectKind.WEBHOOK)
    found = [(one.subject_id, one.actor, one.reason) for one in find(filters, limit=100).rows]
    db.session.rollback()
    return found


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refusal:
        call()
    return refusal.value.code


def at_once(shop: Shop, *calls: Callable[[], object]) -> list[object]:
    """Make the calls at the same time; the result of each, or the code of its refusal."""
    results: list[object] = []
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        with shop.app.app_context():
            barrier.wait()
            try:
                results.append(call())
            except Refusal as refusal:
                results.append(refusal.code)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_retry_makes_a_webhook_due_now_and_is_audited_with_its_reason(shop: Shop) -> None:
    [key] = orphans(shop, 1)
    assert not due(key)
    retry.retry(key, by=shop.sam, reason="  the order\u200b exists now ")
    assert due(key) and entries() == [(key, str(shop.sam), "the order exists now")]
    [entry] = find(AuditFilters(acts=[Act.WEBHOOK_RETRIED])).rows
    assert entry.before and entry.after and entry.before["due_at"] > entry.after["due_at"]
    shop.is_sound()


def test_a_retry_applies_the_webhook_with_the_next_sweep(shop: Shop) -> None:
    [key] = orphans(shop, 1)
    retry.retry(key, by=shop.sam, reason="try again")
    shop.sweep()
    db.session.rollback()
    assert db.session.get_one(WebhookEventRow, int(key), populate_existing=True).tries > 1


def test_a_webhook_that_is_done_or_refused_or_unknown_is_not_retried(shop: Shop) -> None:
    order = shop.paid_order()
    [done] = [str(row) for row in db.session.scalars(db.select(WebhookEventRow.id))]
    shop.receive({}, b"{}")
    [kept] = db.session.scalars(db.select(RefusedWebhook.id))
    for key, code in ((done, "webhook_done"), (f"refused-{kept}", "webhook_refused"), ("4711", "unknown_webhook")):
        assert refused(lambda key=key: retry.retry(key, by=shop.sam, reason="again")) == code  # type: ignore[misc]
    assert entries() == [] and shop.state(order) == "PAID"
    shop.is_sound()


@pytest.mark.parametrize(
    ("reason", "code"), [("", "reason_needed"), (" \u200b", "reason_needed"), ("\x00", "bad_reason")]
)
def test_a_retry_needs_a_reason(shop: Shop, reason: str, code: str) -> None:
    [key] = orphans(shop, 1)
    assert refused(lambda: retry.retry(key, by=shop.sam, reason=reason)) == code
    assert refused(lambda: retry.retry_matching(WAITING, UTC, seen=1, by=shop.sam, reason=reason)) == code
    assert not due(key) and entries() == []


def test_a_retry_needs_the_permission_when_it_is_decided(shop: Shop) -> None:
    [key], [packer] = orphans(shop, 1), shop.staff("packer", role=Role.MERCHANDISER)
    with pytest.raises(Forbidden):
        retry.retry(key, by=packer, reason="again")
    with pytest.raises(Forbidden):
        retry.retry_matching(WAITING, UTC, seen=1, by=packer, reason="again")
    assert not due(key) and entries() == []


def test_of_two_people_who_retry_at_once_one_reads_who_was_first(shop: Shop) -> None:
    [key], people = orphans(shop, 1), (shop.sam, shop.kim)
    results = at_once(shop, *(lambda by=by: retry.retry(key, by=by, reason="again") for by in people))  # type: ignore[misc]
    assert sorted(map(str, results)) == ["None", "already_due"]
    [(_, first, _)] = entries()
    name = "sam" if first == str(shop.sam) else "kim"
    with pytest.raises(Refusal, match=rf"due already\. {name}@example\.com has retried it\."):
        retry.retry(key, by=shop.sam, reason="again")


def test_a_retry_by_filter_makes_those_due_that_match_with_an_entry_each(shop: Shop) -> None:
    keys = orphans(shop, 3)
    shop.paid_order()
    assert retry.count_matching(Filters(), UTC) == 3
    done = retry.retry_matching(WAITING, UTC, seen=3, by=shop.sam, reason="the import was late")
    assert (done.count, done.left) == (3, 0) and all(map(due, keys))
    assert sorted(subject for subject, _, _ in entries()) == sorted(keys)
    assert refused(lambda: retry.retry_matching(WAITING, UTC, seen=0, by=shop.sam, reason="x")) == "nothing_to_retry"
    shop.is_sound()


def test_a_retry_by_filter_changes_nothing_when_the_count_is_another(shop: Shop) -> None:
    keys = orphans(shop, 2)
    with pytest.raises(Refusal) as refusal:
        retry.retry_matching(WAITING, UTC, seen=5, by=shop.sam, reason="again")
    assert (refusal.value.code, refusal.value.status, refusal.value.details["count"]) == ("count_changed", 409, 2)
    assert not any(map(due, keys)) and entries() == []


def test_a_retry_by_filter_takes_the_oldest_of_many(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "AT_ONCE", 2)
    keys = orphans(shop, 3)
    done = retry.retry_matching(WAITING, UTC, seen=3, by=shop.sam, reason="again")
    assert (done.count, done.left, [due(key) for key in keys]) == (2, 1, [True, True, False])


def test_of_two_people_who_retry_the_same_filter_at_once_one_gets_the_new_number(shop: Shop) -> None:
    keys, people = orphans(shop, 4), (shop.sam, shop.kim)
    results = at_once(
        shop,
        *(
            lambda by=by: retry.retry_matching(WAITING, UTC, seen=4, by=by, reason="again").count  # type: ignore[misc]
            for by in people
        ),
    )
    assert sorted(map(str, results)) == ["4", "count_changed"]
    assert len(entries()) == 4 and all(map(due, keys))


def test_money_that_a_failing_webhook_reports_is_booked_once_after_retries(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: Order = shop.order()
    payment: Payment = shop.payment(order)
    shop.acquirer.capture(payment.id)
    with monkeypatch.context() as broken:
        broken.setattr("shop.payments.updates.decide.decide", lambda *_: 1 / 0)
        shop.deliver_webhook(payment, "evt-1")
    postpone()
    key = str(db.session.scalars(db.select(WebhookEventRow.id)).one())
    assert retry.count_matching(Filters(states=(State.FAILING,)), UTC) == 1
    retry.retry(key, by=shop.sam, reason="the defect is fixed")
    at_once(shop, *(lambda: shop.apply(int(key)) for _ in range(2)))
    assert (shop.state(order), shop.captures(order)) == ("PAID", ["pays_order"])
    assert refused(lambda: retry.retry(key, by=shop.kim, reason="again")) == "webhook_done"
    shop.is_sound()
