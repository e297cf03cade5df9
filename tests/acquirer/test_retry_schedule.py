"""Three days of retries on an advanced clock: standard verifiers accept every signature."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks import Webhook
from stripe import Webhook as StripeWebhook

from mock_acquirer import clock, dialects, engine
from tests.acquirer.conftest import RETURN, SECRET, Hook, Receiver, World

ANSWER_WITHIN = 30.0  # seconds; well below one on an idle machine


def by_standard_webhooks(hook: Hook) -> Any:
    return Webhook(SECRET).verify(hook.body, hook.headers)


def by_stripe(hook: Hook) -> Any:
    return StripeWebhook.construct_event(hook.body, hook.headers["stripe-signature"], "whsec_stripe_demo")


def opened(acquirer: World, dialect: str, hooks: str) -> str:
    with acquirer.app.app_context():
        clock.enter_run("default")
        return engine.open_session(
            engine.Session(
                run="default",
                dialect=dialect,
                merchant="demo",
                reference="P1",
                amount=120000,
                currency="TWD",
                return_url=RETURN,
                webhook_url=hooks,
                expires_at=engine.default_end("default", 1800),
            )
        ).id


@pytest.mark.full
@pytest.mark.parametrize(("dialect", "verify"), [("kpay", by_standard_webhooks), ("stripe", by_stripe)])
def test_three_days_of_retries_are_simulated_at_once_and_every_signature_is_valid(
    acquirer: World, receiver: Receiver, dialect: str, verify: Callable[[Hook], Any]
) -> None:
    receiver.answer = (503, {}, b"")
    payment = {"id": opened(acquirer, dialect, receiver.url)}
    acquirer.approve(payment)
    began = time.monotonic()
    acquirer.advance("P3DT1H")
    assert time.monotonic() - began < ANSWER_WITHIN
    tried = acquirer.record(payment)["deliveries"]
    assert {one["state"] for one in tried} == {"given_up"}
    tries = len(dialects.discover()[dialect].retries)
    assert len(receiver.hooks) == sum(len(one["attempts"]) for one in tried) == tries * len(tried)
    assert all(verify(hook) for hook in receiver.hooks)
    times = [one["at"] for one in tried[-1]["attempts"]]
    walls = [one["wall_at"] for one in tried[-1]["attempts"]]
    assert times == sorted(times) and times[-1][:10] > times[0][:10] and walls[-1][:10] <= times[0][:10]


def test_a_receiver_that_recovers_on_the_second_day_gets_it_once(acquirer: World, receiver: Receiver) -> None:
    receiver.answer = (503, {}, b"")
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.advance("PT12H")
    receiver.answer = (204, {}, b"")
    acquirer.advance("P3D")
    (delivery,) = acquirer.record(payment)["deliveries"]
    outcomes = [one["outcome"] for one in delivery["attempts"]]
    assert (delivery["state"], outcomes.count("delivered"), outcomes[-1]) == ("delivered", 1, "delivered")
    by_standard_webhooks(receiver.hooks[-1])
