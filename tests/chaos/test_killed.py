"""kill -9 in the middle of the work: the next process finishes it, and nothing is done twice."""

from __future__ import annotations

import signal
import threading

import httpx
import pytest

from shop.core.db import db
from shop.orders.models import Order
from shop.payments.records.models import Payment
from tests.chaos.conftest import Deployment
from tests.parts.processes import Process
from tests.parts.waiting import until

SLOW = [{"op": "query", "do": "lag", "for": "PT1S", "times": 1000}]
LEASE = 31
"""Seconds after which the claim of a dead process expires."""


def wait_until_it_queries(deployment: Deployment, orders: list[Order], process: Process) -> None:
    """Wait until the process is in the middle of its work: some polls have been sent, and the responses are slow."""
    until(lambda: deployment.requested(orders) or not process.alive(), within=30, what="the first question")
    assert process.alive(), process.text[-3000:]


@pytest.mark.full
@pytest.mark.sample(1)
def test_a_clock_killed_in_the_middle_of_its_work_is_replaced_and_every_order_is_paid_once(
    deployment: Deployment,
) -> None:
    """Case 24."""
    orders = deployment.paid_there(10)
    deployment.shop.wait(seconds=11)
    deployment.acquirer.faults(api=SLOW)
    alone = deployment.clock(REDIS_URL="")
    wait_until_it_queries(deployment, orders, alone)
    alone.kill()
    assert "WAITING_PAYMENT" in deployment.states(orders), "it was killed before it was done"
    deployment.acquirer.faults()
    deployment.shop.wait(seconds=LEASE)
    deployment.clock(REDIS_URL="")
    deployment.until_all_are("PAID", orders)
    assert all(deployment.shop.captures(order) == ["pays_order"] for order in orders)
    assert deployment.check() == "clean"


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.sample(1)
def test_a_worker_killed_in_the_middle_of_a_job_loses_nothing(deployment: Deployment) -> None:
    """Case 24: the job is gone, the row is due again."""
    orders = deployment.paid_there(10)
    deployment.shop.wait(seconds=11)
    deployment.acquirer.faults(api=SLOW)
    worker = deployment.worker()
    deployment.clock()
    wait_until_it_queries(deployment, orders, worker)
    worker.kill()
    deployment.acquirer.faults()
    deployment.worker()
    deployment.shop.wait(seconds=LEASE)
    deployment.until_all_are("PAID", orders)
    assert all(deployment.shop.captures(order) == ["pays_order"] for order in orders)
    assert deployment.check() == "clean"


@pytest.mark.full
def test_a_clock_that_hangs_in_the_middle_of_its_work_and_wakes_up_later_does_nothing_twice(
    deployment: Deployment,
) -> None:
    """Case 24, and two clocks at once."""
    orders = deployment.paid_there(10)
    deployment.shop.wait(seconds=11)
    deployment.acquirer.faults(api=SLOW)
    one = deployment.clock(REDIS_URL="")
    wait_until_it_queries(deployment, orders, one)
    one.signal(signal.SIGSTOP)
    deployment.acquirer.faults()
    deployment.shop.wait(seconds=LEASE)
    other = deployment.clock(REDIS_URL="")
    deployment.until_all_are("PAID", orders)
    one.signal(signal.SIGCONT)
    for clock in (one, other):
        clock.signal(signal.SIGTERM)
        assert clock.wait(within=15) == 0, "it ends after its present look"
    assert all(deployment.shop.captures(order) == ["pays_order"] for order in orders)
    assert all(deployment.shop.moves(order) == ["PENDING", "WAITING_PAYMENT", "PAID"] for order in orders)
    deployment.shop.sweep()
    assert deployment.check() == "clean"


@pytest.mark.full
@pytest.mark.sample(1)
def test_a_shop_killed_while_it_opens_a_payment_has_the_order_as_a_whole_when_it_is_back(
    deployment: Deployment,
) -> None:
    """Case 24, and case 3: the same form sent again shows the same order."""
    web, visitor = deployment.web(), deployment.visitor()
    visitor.fill_cart()
    form = visitor.checkout_form()
    deployment.acquirer.faults(api=[{"op": "start", "do": "lag", "for": "PT3S", "times": 1}])
    answers: list[object] = []

    def press() -> None:
        try:
            answers.append(visitor.client.post("/checkout", data=form))
        except httpx.HTTPError as error:
            answers.append(error)

    pressing = threading.Thread(target=press)
    pressing.start()
    until(lambda: states_of_payments() == ["CREATED"], what="the payment to be written")
    web.kill()
    pressing.join(20)
    assert isinstance(answers[0], httpx.HTTPError), answers
    deployment.acquirer.faults()
    deployment.web()
    again = visitor.client.post("/checkout", data=form)
    assert again.status_code == 303
    order = deployment.order(again.headers["Location"])
    deployment.clock(REDIS_URL="")
    deployment.shop.wait(seconds=11)
    until(lambda: states_of_payments() == ["OPEN"], within=20, what="the payment to be open")
    assert deployment.acquirer.known(deployment.shop.payment(order).id) == 1
    deployment.acquirer.approve(deployment.shop.payment(order).id)
    deployment.until_all_are("PAID", [order])
    assert visitor.heading(again.headers["Location"]) == "Payment received"
    until(lambda: deployment.check() == "clean", what="flask check to be clean")


def states_of_payments() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(db.select(Payment.state)))
