"""Queues in the console: numbers by kind, processes, Redis away, and "run now" by kind."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from shop.core import clock, heartbeat, redis
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find
from shop.core.db import db, table, transaction
from shop.core.errors import Refusal
from shop.jobs.schedule import WORK
from shop.mail import deliver
from shop.ops import queues as queues_page
from shop.payments.polling import poll
from shop.payments.records.models import Payment, ProviderHealth, WebhookEventRow
from shop.payments.refunds import send
from shop.queues import queues
from tests.ops.conftest import visitor_as
from tests.parts.statements import statements
from tests.shop_fixtures import PEN, Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def state(kind: str) -> queues.State:
    return next(one for one in queues.states() if one.queue.kind == kind)


def failing(shop: Shop, hours: int = 1) -> None:
    """A webhook whose next attempt is hours away."""
    shop.deliver_webhook("P000000000000N0B0DYS", "evt-orphan")
    with transaction():
        later = {"due_at": clock.now() + timedelta(hours=hours), "error": "unknown payment"}
        db.session.execute(update(table(WebhookEventRow)).values(later))


def test_every_kind_of_due_work_is_on_the_page(shop: Shop) -> None:
    kinds = [queue.kind for queue in queues.QUEUES]
    assert {*kinds, *queues.WITHOUT_ROWS} == {work.kind for work in WORK}
    page = visitor_as(shop, "support").get("/ops/queues").text
    assert all(queue.title in page for queue in queues.QUEUES)
    assert "Run now" not in page, "support reads"


def test_what_waits_is_due_and_failed_is_counted_in_one_statement(shop: Shop) -> None:
    failing(shop)
    shop.order()
    with statements() as sent:
        found = {one.queue.kind: one for one in queues.states()}
    assert len([one for one in sent if "clock_offset" not in one]) == 1
    inbox, closing = found["inbox"], found["closing"]
    assert (inbox.due, inbox.waiting, inbox.failing) == (0, 1, 1) and inbox.oldest
    assert (closing.due, closing.waiting) == (0, 1)
    shop.wait(hours=2)
    assert (state("inbox").due, state("closing").due) == (1, 1)
    shop.sweep()


def test_work_that_waits_is_run_now_with_a_reason_and_an_entry(shop: Shop) -> None:
    failing(shop)
    admin = visitor_as(shop, "admin")
    admin.get("/ops/queues")
    answer = admin.post("/ops/queues/inbox/run", {"reason": ""})
    assert answer.status_code == 422 and state("inbox").due == 0
    assert admin.post("/ops/queues/inbox/run", {"reason": "the fix is out"}).status_code == 303
    assert state("inbox").due == 1
    entry = find().rows[0]
    assert (entry.act, entry.subject_id, entry.reason) == (Act.QUEUE_RUN, "inbox", "the fix is out")
    again = admin.post("/ops/queues/inbox/run", {"reason": "the fix is out"})
    assert again.status_code == 409 and "Nothing of this kind waits" in again.text
    shop.sweep()


@pytest.mark.parametrize("kind", ["closing", "nothing", "outbox"])
def test_orders_are_not_ended_early_and_unknown_kinds_are_refused_with_the_known_ones(shop: Shop, kind: str) -> None:
    admin = visitor_as(shop, "admin")
    admin.get("/ops/queues")
    answer = admin.post(f"/ops/queues/{kind}/run", {"reason": "now"})
    known = "Those are inbox, poll, refund, mail, outgoing_webhooks, chat, settlement."
    assert answer.status_code == 422 and known in answer.text
    assert admin.get("/ops/queues?colour=red").status_code == 422


def test_one_run_is_bounded_and_leaves_alone_what_a_worker_may_be_doing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(deliver.LEASE, poll.LEASE, send.LEASE) <= queues.SOON
    for number in range(3):
        shop.deliver_webhook("P000000000000N0B0DYS", f"evt-{number}")
    for after in (timedelta(minutes=2), timedelta(hours=1)):
        with transaction():
            db.session.execute(update(table(WebhookEventRow)).values(due_at=clock.now() + after))
        monkeypatch.setattr(queues, "AT_ONCE", 2)
        if after < queues.SOON:
            with pytest.raises(Refusal, match="Nothing of this kind waits"):
                queues.run_now("inbox", by=Actor.operator(), reason="now")
    assert queues.run_now("inbox", by=Actor.operator(), reason="now") == 2
    shop.sweep()


def test_a_run_leaves_alone_the_payments_whose_acquirer_wants_a_pause(shop: Shop) -> None:
    one, other, waiting = (shop.payment(shop.order((PEN, 1))) for _ in range(3))
    provider = waiting.provider
    with transaction():
        later = clock.now() + timedelta(hours=1)
        db.session.execute(update(table(Payment)).values(next_check_at=later))
        of_failed = update(table(Payment)).where(table(Payment).c.id.in_([one.id, other.id]))
        db.session.execute(of_failed.values(unavailable_since=clock.now()))
    assert queues.run_now("poll", by=Actor.operator(), reason="now") == 1
    assert state("poll").due == 1
    with transaction():
        db.session.execute(update(table(Payment)).values(next_check_at=later, unavailable_since=None))
        db.session.add(ProviderHealth(provider=provider, failures=1, paused_until=later))
    with pytest.raises(Refusal, match="the acquirer asked to wait"):
        queues.run_now("poll", by=Actor.operator(), reason="now")
    shop.wait(hours=2)
    shop.sweep()


def away(_use: object) -> None:
    raise redis.RedisAway("paused after a failure")


def test_stopped_processes_are_named_and_without_redis_the_page_shows_the_rest(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    support = visitor_as(shop, "support")
    page = support.get("/ops/queues").text
    assert "The clock process is not running: it has never sent a heartbeat." in page
    assert "Waiting jobs" in page
    heartbeat.record("clock")
    heartbeat.record("worker")
    monkeypatch.setattr(queues_page, "redis", SimpleNamespace(attempt=away, RedisAway=redis.RedisAway))
    page = support.get("/ops/queues").text
    assert "process is not running" not in page and "Redis is not reachable" in page
    assert "Due work by kind" in page
