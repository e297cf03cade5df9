"""Clock process: finds due rows and hands them to the workers; without workers it does the work itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import current_app

from shop.alerts.models import Alert
from shop.core import clock, heartbeat, task_queue
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.inventory import stock
from shop.jobs import clock as clock_module
from shop.jobs import schedule, work
from shop.jobs.clock import Clock
from shop.jobs.schedule import Work
from shop.mail import outgoing
from shop.mail.states import MailState
from shop.orders.models import Order
from shop.payments.records.models import Payment
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import PEN, Shop


class Wall:
    """The clock process's own time, advanced by the test."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def turn(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(clock_module, "time", wall)
    return wall


def jobs() -> list[tuple[str, list[Any]]]:
    """Jobs in the queue but those of mail, which every order has: kind and items."""
    found = [(job.args[0], job.args[1]) for job in task_queue.queue().get_jobs()]
    return [(kind, items) for kind, items in found if kind != "mail"]


def paid_there(shop: Shop, number: int = 1) -> list[Order]:
    """Orders paid at the acquirer without a webhook; their payments are due."""
    shop.restock(PEN)
    orders = [shop.order((PEN, 1)) for _ in range(number)]
    for order in orders:
        shop.acquirer.capture(shop.payment(order).id)
    shop.wait(seconds=11)
    return orders


def queries(shop: Shop) -> int:
    return len([operation for operation, _ in shop.acquirer.calls if operation == "query"])


def make_due(shop: Shop, order: Order) -> str:
    payment = shop.payment(order)
    shop.make_due(payment)
    return payment.id


# --- with workers ---


def test_what_is_due_is_handed_to_the_workers_and_done_by_them(shop: Shop, worker: Callable[[], None]) -> None:
    orders = paid_there(shop, 3)
    Clock().tick()
    assert [(kind, sorted(ids)) for kind, ids in jobs()] == [("poll", sorted(shop.payment(o).id for o in orders))]
    assert queries(shop) == 0, "the clock has asked nobody itself"
    worker()
    assert {shop.state(order) for order in orders} == {"PAID"}
    assert jobs() == []


def test_mails_are_handed_to_the_workers_too(shop: Shop, worker: Callable[[], None]) -> None:
    shop.order((PEN, 1))
    Clock().tick()
    [queued] = outgoing.newest(10)
    assert queued.state == MailState.QUEUED
    worker()
    db.session.rollback()
    assert [mail.state for mail in outgoing.newest(10)] == [MailState.SENT]


def test_much_work_is_handed_over_in_batches(shop: Shop) -> None:
    with transaction():
        stock.receive(PEN, 60)
    orders = [shop.order((PEN, 1)) for _ in range(schedule.BATCH + 3)]
    shop.wait(seconds=11)
    Clock().tick()
    assert sorted(len(ids) for _, ids in jobs()) == [3, schedule.BATCH]
    assert len({item for _, ids in jobs() for item in ids}) == len(orders)


def test_each_item_is_handed_over_once_and_not_every_second(shop: Shop, wall: Wall) -> None:
    paid_there(shop)
    own = Clock()
    for _ in range(4):
        own.tick()
        wall.turn(1)
    assert len(jobs()) == 1


def test_a_job_that_was_lost_is_handed_over_again_after_five_seconds(shop: Shop, wall: Wall) -> None:
    paid_there(shop)
    own = Clock()
    own.tick()
    task_queue.queue().empty()
    wall.turn(4)
    own.tick()
    assert jobs() == []
    wall.turn(2)
    own.tick()
    assert len(jobs()) == 1


def test_a_job_that_runs_twice_does_nothing_the_second_time(shop: Shop, worker: Callable[[], None]) -> None:
    (order,) = paid_there(shop)
    Clock().tick()
    ((kind, ids),) = jobs()
    worker()
    requested, moved = queries(shop), shop.moves(order)
    work.batch(kind, ids)
    assert (queries(shop), shop.moves(order), shop.captures(order)) == (requested, moved, ["pays_order"])


def test_two_clocks_and_two_workers_poll_once(shop: Shop, worker: Callable[[], None]) -> None:
    paid_there(shop, 2)
    Clock().tick()
    Clock().tick()
    worker()
    worker()
    assert queries(shop) == 2


def test_what_a_worker_has_done_and_is_due_again_is_handed_over_again_and_not_done_by_the_clock(
    shop: Shop, wall: Wall, worker: Callable[[], None]
) -> None:
    order = shop.order()
    shop.wait(seconds=11)
    own = Clock()
    own.tick()
    worker()
    wall.turn(1)
    own.tick()
    assert queries(shop) == 1
    wall.turn(20)
    make_due(shop, order)
    own.tick()
    assert (queries(shop), len(jobs())) == (1, 1)
    worker()
    assert queries(shop) == 2


def test_batches_that_begin_alike_are_both_handed_over(shop: Shop, wall: Wall) -> None:
    orders = [shop.order((PEN, 1)) for _ in range(3)]
    first, second, third = sorted(shop.payment(order).id for order in orders)
    shop.wait(seconds=11)
    not_now(third)
    own = Clock()
    own.tick()
    wall.turn(6)
    not_now(second)
    with transaction():
        db.session.get_one(Payment, third).next_check_at = clock.now()
    own.tick()
    assert {item for _, ids in jobs() for item in ids} == {first, second, third}


def not_now(payment_id: str) -> None:
    with transaction():
        db.session.get_one(Payment, payment_id).next_check_at = None


# --- without ---


def test_what_no_worker_takes_is_done_by_the_clock_after_ten_seconds(shop: Shop, wall: Wall) -> None:
    (order,) = paid_there(shop)
    own = Clock()
    own.tick()
    wall.turn(6)
    own.tick()
    assert shop.state(order) == "WAITING_PAYMENT"
    wall.turn(6)
    own.tick()
    assert shop.state(order) == "PAID"


def test_without_redis_the_clock_does_everything_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 25."""
    (order,) = paid_there(shop)
    monkeypatch.setitem(shop.app.config, "REDIS_URL", "")
    monkeypatch.setattr(shop.app.extensions["settled_redis"], "client", None)
    Clock().tick()
    assert shop.state(order) == "PAID"


def test_when_redis_becomes_unavailable_the_clock_does_everything_at_once(shop: Shop, own_redis: RedisServer) -> None:
    """Case 25."""
    (order,) = paid_there(shop)
    current_app.config["REDIS_URL"] = own_redis.url
    current_app.extensions.pop("settled_queue", None)
    current_app.extensions["settled_redis"].client = None
    own = Clock()
    own_redis.kill()
    own.tick()
    assert shop.state(order) == "PAID"


def test_slow_work_delays_no_poll_and_its_kinds_take_turns(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shop.app.config, "REDIS_URL", "")
    monkeypatch.setattr(shop.app.extensions["settled_redis"], "client", None)
    free, done = threading.Event(), []

    def slow(name: str) -> Callable[[int], None]:
        return lambda item: (free.wait(20), done.append(f"{name} {item}"), None)[-1]

    rows = (
        Work("long", lambda: [1], slow("long"), shared=True, is_slow=True),
        Work("longer", lambda: [1], slow("longer"), shared=True, is_slow=True),
        Work("quick", lambda: [1], lambda _: done.append("quick"), shared=True),
    )
    monkeypatch.setattr(clock_module, "WORK", rows)
    monkeypatch.setattr(work, "BY_KIND", {row.kind: row for row in rows})
    own = Clock()
    for _ in range(3):
        own.tick()
    assert done == ["quick"] * 3, "slow work is being done"
    free.set()
    own.slow_work.wait(5)
    assert done[3:] == ["long 1", "longer 1"], "each once, though it was due three times"


def test_slow_kinds_are_those_of_long_turns_and_of_other_hosts() -> None:
    slow = {row.kind for row in schedule.WORK if row.is_slow}
    assert slow == {"mail", "outgoing_webhooks", "chat", "export", "import", "settlement", "integrity"}
    assert all(row.shared for row in schedule.WORK if row.is_slow)
    assert {row.kind for row in schedule.WORK if row.seconds > 60} <= slow


# --- properties ---


def test_work_that_cannot_be_found_stops_no_other_work_and_not_the_clock(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> list[Any]:
        raise RuntimeError("a mistake of ours")

    def misspelt() -> list[Any]:
        db.session.execute(db.text("SELECT nothing FROM nowhere"))
        return []

    done: list[int] = []
    rows = (Work("lost", lost, print), Work("misspelt", misspelt, print), Work("fine", lambda: [1], done.append))
    monkeypatch.setattr(clock_module, "WORK", rows)
    monkeypatch.setattr(work, "BY_KIND", {row.kind: row for row in rows})
    Clock().tick()
    assert done == [1]


def test_the_clock_writes_heartbeats(shop: Shop) -> None:
    assert heartbeat.age("clock") is None
    Clock().tick()
    age = heartbeat.age("clock")
    assert age is not None
    assert age < 5


def test_after_a_sweep_nothing_is_due(shop: Shop) -> None:
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(1, "TWD"))
    shop.deliver_webhook(shop.payment(order))
    shop.turn(minutes=2)
    assert shop.count(Alert) > 0
    assert [row.kind for row in schedule.WORK if row.due()] == []


def test_a_sweep_prints_how_much_it_has_done(shop: Shop) -> None:
    paid_there(shop, 2)
    done = shop.sweep()
    assert (done["poll"], done["inbox"], done["saga"], done["closing"]) == (2, 0, 0, 0)
    assert done["outbox"] >= 1
    assert shop.app.test_cli_runner().invoke(args=["sweep"]).output.startswith("inbox 0, saga 0, poll 0")


def test_log_lines_of_our_own_errors_contain_no_values(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def misspelt() -> list[Any]:
        return list(db.session.execute(db.text("SELECT :token FROM nowhere"), {"token": "a-secret-token"}))

    rows = (Work("misspelt", misspelt, print), Work("worse", lambda: [1], lambda _: misspelt()))
    monkeypatch.setattr(clock_module, "WORK", rows)
    monkeypatch.setattr(work, "BY_KIND", {row.kind: row for row in rows})
    Clock().tick()
    message = capfd.readouterr().err
    assert "clock.failed" in message
    assert "work.failed" in message
    assert "a-secret-token" not in message
