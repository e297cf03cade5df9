"""Case 25: Redis stopped, killed, emptied, hung and restarted. Payments do not need it."""

from __future__ import annotations

import time

import pytest

from shop.accounts import signin
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.event_types import Stream
from shop.core.outbox import OutboxRow
from shop.orders.models import Order
from shop.payments.records.models import PaymentUpdateRow
from tests.chaos.conftest import Deployment, Visitor
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until

PASSWORD = "correct horse battery staple"
HURT = {"killed": RedisServer.kill, "hung": RedisServer.pause}
HEAL = {"killed": RedisServer.start, "hung": RedisServer.resume}


def buy(deployment: Deployment, visitor: Visitor) -> Order:
    """Buy and pay; the acquirer's webhook reports the capture."""
    path = visitor.place()
    order = deployment.order(path)
    assert deployment.shop.payment(order).state == "OPEN"
    deployment.acquirer.approve(deployment.shop.payment(order).id)
    deployment.until_all_are("PAID", [order], within=10)
    assert "webhook" in source(deployment, order)
    assert visitor.heading(path) == "Payment received"
    return order


def source(deployment: Deployment, order: Order) -> set[str]:
    db.session.rollback()
    reports = db.select(PaymentUpdateRow.source).where(PaymentUpdateRow.payment_id == deployment.shop.payment(order).id)
    return set(db.session.scalars(reports))


def unpublished() -> int:
    db.session.rollback()
    rows = db.select(db.func.count()).select_from(OutboxRow).where(OutboxRow.published_at.is_(None))
    return db.session.scalar(rows) or 0


@pytest.mark.full
@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("database_url", "how"), [("sqlite", "hung"), ("postgresql", "killed")], indirect=["database_url"]
)
def test_with_redis_away_webhooks_settle_guests_shop_and_pay_and_nothing_is_lost(
    deployment: Deployment, own_redis: RedisServer, how: str
) -> None:
    """Case 25."""
    deployment.web()
    deployment.clock()
    worker = deployment.worker()
    visitor = deployment.visitor()
    orders = [buy(deployment, visitor)]
    HURT[how](own_redis)
    orders.append(buy(deployment, visitor))
    orders.append(buy(deployment, deployment.visitor()))
    refused_a_sign_in(visitor)
    assert healed_without_webhook(deployment, visitor, orders), "the clock asks by itself"
    assert unpublished() > 0
    HEAL[how](own_redis)
    until(lambda: unpublished() == 0, within=30, what="every event to be published")
    published = {number for stream in Stream for number in deployment.shop.published(stream)}
    assert published == set(db.session.scalars(db.select(OutboxRow.id)))
    orders.append(buy(deployment, visitor))
    assert deployment.visitor().client.get("/sign-in").status_code == 200
    assert worker.alive()
    assert all(deployment.shop.captures(order) == ["pays_order"] for order in orders)
    assert deployment.check() == "clean"


def refused_a_sign_in(visitor: Visitor) -> None:
    """A request that needs Redis is refused at once, with Retry-After."""
    signin.create("ada@example.com", "Ada", PASSWORD, [], by=Actor.operator())
    began = time.monotonic()
    answer = visitor.post("/sign-in", "/sign-in", email="ada@example.com", password=PASSWORD)
    assert (answer.status_code, answer.headers.get("Retry-After") is not None) == (503, True)
    assert time.monotonic() - began < 5


def healed_without_webhook(deployment: Deployment, visitor: Visitor, orders: list[Order]) -> bool:
    """The clock pays an order whose webhook is lost, without workers."""
    deployment.acquirer.faults(hook=[{"match": "*", "drop": 100}])
    order = deployment.order(visitor.place())
    deployment.acquirer.approve(deployment.shop.payment(order).id)
    deployment.shop.wait(seconds=31)
    deployment.until_all_are("PAID", [order], within=20)
    deployment.acquirer.faults()
    orders.append(order)
    return "webhook" not in source(deployment, order)


@pytest.mark.full
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_redis_that_was_emptied_has_cost_time_and_nothing_else(
    deployment: Deployment, own_redis: RedisServer
) -> None:
    """Case 25: jobs are gone, rows are not."""
    deployment.web()
    visitor = deployment.visitor()
    orders = [buy(deployment, visitor)]
    unheard = deployment.paid_there(5)
    deployment.shop.wait(seconds=11)
    clock_process = deployment.clock()
    until(lambda: own_redis.client.llen("rq:queue:settled"), within=20, what="a job")
    own_redis.empty()
    deployment.worker()
    deployment.until_all_are("PAID", unheard)
    orders.append(buy(deployment, visitor))
    assert clock_process.alive()
    assert all(deployment.shop.captures(order) == ["pays_order"] for order in orders + unheard)
    assert deployment.check() == "clean"
