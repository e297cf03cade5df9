"""Webhooks of Stripe: signatures, endings, events, and retries."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import stripe

from mock_acquirer.dialects.stripe import sign
from tests.acquirer.conftest import Hook, Receiver
from tests.acquirer.stripe.client import SECRET, Merchant, read


def test_the_vector_of_the_design_comes_out() -> None:
    signed = sign(["whsec_test"], "evt_1", datetime.fromtimestamp(1614265330, UTC), b'{"test": 2432232314}')
    mac = "98a6304ac7cd966786ee1b93ad76319d9cd63829827fa0f93cb3e367cf67086d"
    assert signed.headers == {"stripe-signature": f"t=1614265330,v1={mac}"}


def test_the_library_reads_what_arrives_and_refuses_what_was_changed(merchant: Merchant, receiver: Receiver) -> None:
    session = merchant.open()
    merchant.approve(session)
    merchant.world.settle()
    events = [read(hook) for hook in receiver.hooks]
    assert [event.type for event in events] == ["charge.succeeded", "checkout.session.completed"]
    charge, completed = (event.data.object for event in events)
    assert (charge.object, charge.metadata["reference"], charge.amount_captured) == ("charge", "P-1", 120000)
    assert (completed.id, completed.payment_status, completed.client_reference_id) == (session.id, "paid", "P-1")
    hook = receiver.hooks[0]
    for body in (hook.body.replace(b"120000", b"120001"), hook.body + b" "):
        with pytest.raises(stripe.SignatureVerificationError):
            read(Hook(hook.headers, body))


@pytest.mark.parametrize("bend", ["missing", "wrong_key", "old_key", "malformed", "stale_time", "tampered"])
def test_the_library_refuses_every_bad_signature_and_accepts_the_retry(
    merchant: Merchant, receiver: Receiver, bend: str
) -> None:
    def answer(hook: Hook) -> tuple[int, dict[str, str], bytes]:
        try:
            read(hook)
        except (stripe.SignatureVerificationError, ValueError):
            return 400, {}, b"no"
        return 200, {}, b""

    receiver.answer = answer
    merchant.world.faults(hook=[{"match": "payment.captured", "sign": bend, "times": 1}])
    session = merchant.open()
    merchant.approve(session)
    merchant.world.settle()
    merchant.world.advance("PT10S")
    deliveries = merchant.world.record({"id": session.id})["deliveries"]
    attempts = next(one["attempts"] for one in deliveries if one["event"]["type"] == "payment.captured")
    assert [attempt["outcome"] for attempt in attempts] == ["refused", "delivered"]


def test_while_a_secret_is_rotated_both_sign(merchant: Merchant, receiver: Receiver) -> None:
    fresh = merchant.world.sim("POST", "/keys/rotate", {"dialect": "stripe", "overlap": "PT1H"})["secret"]
    merchant.approve(merchant.open())
    merchant.world.settle()
    hook = receiver.hooks[0]
    for secret in (fresh, SECRET):
        stripe.Webhook.construct_event(hook.body, hook.headers["stripe-signature"], secret)  # type: ignore[no-untyped-call]


ENDINGS: dict[str, tuple[str, str]] = {
    "cancel": ("requested_by_customer", "checkout.session.expired"),
    "fail": ("automatic", "checkout.session.expired"),
}


@pytest.mark.parametrize("act", ENDINGS)
def test_an_unpaid_end_is_sent_with_its_reason(merchant: Merchant, receiver: Receiver, act: str) -> None:
    session = merchant.open()
    merchant.world.sim("POST", f"/payments/{session.id}/{act}", {})
    merchant.world.settle()
    cancelled, expired = (read(hook) for hook in receiver.hooks)
    reason, kind = ENDINGS[act]
    assert (cancelled.type, cancelled.data.object.cancellation_reason) == ("payment_intent.canceled", reason)
    assert (expired.type, expired.data.object.status) == (kind, "expired")


def test_money_after_the_end_is_an_asynchronous_success(merchant: Merchant, receiver: Receiver) -> None:
    now = int(datetime.now(UTC).timestamp())
    session = merchant.open(expires_at=now + 1900)
    merchant.world.sim("PUT", f"/payments/{session.id}/faults", {"pay": {"late_after_expiry": "PT10M"}})
    assert merchant.approve(session).payment_intent.status == "processing"
    merchant.world.advance("PT1H")
    types = [read(hook).type for hook in receiver.hooks]
    assert types[-1] == "checkout.session.async_payment_succeeded" and "checkout.session.expired" in types
    assert merchant.shown(session).payment_status == "paid"


def test_a_second_charge_is_sent_and_listed(merchant: Merchant, receiver: Receiver) -> None:
    session = merchant.open()
    paid = merchant.approve(session, card="4000009100000044")
    merchant.world.settle()
    types = [read(hook).type for hook in receiver.hooks]
    assert sorted(types) == ["charge.succeeded", "charge.succeeded", "checkout.session.completed"]
    charges = merchant.api.charges.list({"payment_intent": paid.payment_intent.id}).data
    assert len({charge.id for charge in charges}) == 2 and paid.payment_intent.amount_received == 240000


def test_events_are_listed_narrowed_and_the_same_as_delivered(merchant: Merchant, receiver: Receiver) -> None:
    merchant.approve(merchant.open())
    merchant.world.settle()
    listed = merchant.api.events.list({"limit": 1}).auto_paging_iter()
    assert {event.id for event in listed} == {read(hook).id for hook in receiver.hooks}
    (one,) = merchant.api.events.list({"type": "charge.succeeded"}).data
    assert merchant.api.events.retrieve(one.id).to_dict() == next(
        json.loads(hook.body) for hook in receiver.hooks if hook.event["id"] == one.id
    )
    assert merchant.api.events.list({"type": "charge%"}).data == []


def test_an_unacknowledged_webhook_is_retried_for_three_days(merchant: Merchant, receiver: Receiver) -> None:
    receiver.answer = (500, {}, b"")
    session = merchant.open()
    merchant.approve(session)
    merchant.world.advance("P5D")
    deliveries = merchant.world.record({"id": session.id})["deliveries"]
    assert [(len(one["attempts"]), one["state"]) for one in deliveries] == [(13, "given_up")] * 2
    first, last = (deliveries[0]["attempts"][at]["at"] for at in (0, -1))
    days = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds() / 86400
    assert 2.3 < days < 3.7
