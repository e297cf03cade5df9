"""Webhook signatures, valid and invalid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from mock_acquirer.signing import sign, standard_webhooks
from tests.acquirer.conftest import SECRET, Hook, Receiver, World


def _verifies(hook: Hook, secret: str = SECRET) -> bool:
    try:
        Webhook(secret).verify(hook.body, hook.headers)
    except Exception:  # noqa: BLE001 - whatever the library raises is a no
        return False
    return True


def test_the_official_vector_of_standard_webhooks_comes_out() -> None:
    signed = standard_webhooks(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert signed.headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_time_in_another_zone_signs_the_same_moment() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    elsewhere = moment.astimezone(datetime.now().astimezone().tzinfo)
    same = [standard_webhooks([SECRET], "evt_1", at, b"{}") for at in (moment, elsewhere)]
    assert same[0] == same[1]


def test_the_library_accepts_what_arrives_and_notices_every_change(acquirer: World, receiver: Receiver) -> None:
    acquirer.approve(acquirer.open())
    acquirer.settle()
    (hook,) = receiver.hooks
    assert _verifies(hook)
    assert hook.headers["webhook-id"] == hook.event["id"]
    assert not _verifies(Hook(hook.headers, hook.body + b" "))
    assert not _verifies(Hook(hook.headers | {"webhook-id": "evt_other"}, hook.body))


@pytest.mark.parametrize(
    "bend", ["missing", "wrong_key", "old_key", "malformed", "stale_time", "future_time", "tampered"]
)
def test_each_kind_of_bad_signature_is_refused_by_the_library(acquirer: World, receiver: Receiver, bend: str) -> None:
    acquirer.faults(hook={"match": "payment.captured", "sign": bend})
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    (hook,) = receiver.hooks
    assert not _verifies(hook)
    assert acquirer.fired(payment) == ["hook.sign"]
    assert hook.event["data"]["payment"]["id"] == payment["id"]


def test_bad_times_are_signed_rightly_ten_minutes_off() -> None:
    now = datetime.now(UTC)
    for bend, minutes in (("stale_time", -10), ("future_time", 10)):
        signed = sign(standard_webhooks, "webhook-signature", [SECRET], "evt_1", now, b"{}", bend)
        right = standard_webhooks([SECRET], "evt_1", now + timedelta(minutes=minutes), b"{}")
        assert signed.headers == right.headers


def test_during_the_overlap_both_secrets_verify_and_afterwards_only_the_new_one(
    acquirer: World, receiver: Receiver
) -> None:
    new = acquirer.sim("POST", "/keys/rotate", {"merchant": "demo", "overlap": "PT24H"})["secret"]
    acquirer.approve(acquirer.open())
    acquirer.advance("PT23H")
    acquirer.advance("PT2H")
    acquirer.approve(acquirer.open())
    acquirer.settle()
    during, after = receiver.hooks
    assert _verifies(during) and _verifies(during, new)
    assert not _verifies(after) and _verifies(after, new)


def test_the_old_key_fault_signs_with_the_secret_that_was_rotated_away(acquirer: World, receiver: Receiver) -> None:
    new = acquirer.sim("POST", "/keys/rotate", {"merchant": "demo"})["secret"]
    acquirer.faults(hook={"sign": "old_key"})
    acquirer.approve(acquirer.open())
    acquirer.settle()
    assert _verifies(receiver.hooks[0]) and not _verifies(receiver.hooks[0], new)


def test_rotation_in_one_run_leaves_the_others_alone(acquirer: World, receiver: Receiver) -> None:
    acquirer.sim("POST", "/keys/rotate", {"overlap": "PT0S"}, run="a")
    acquirer.approve(acquirer.open())
    acquirer.settle()
    assert _verifies(receiver.hooks[0])
