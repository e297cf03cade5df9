"""Faults: their effect, their level, their number of uses, and the log."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mock_acquirer import faults
from mock_acquirer.cards import CARDS
from mock_acquirer.plans import parse_plan
from mock_acquirer.presets import PRESETS, plan_of
from tests.acquirer.conftest import Receiver, World


def _captures(acquirer: World, payment: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["amount"], one["currency"]) for one in acquirer.record(payment)["captures"]]


# --- API faults


def test_a_start_that_times_out_after_commit_is_found_by_reference_and_replayed_by_key(acquirer: World) -> None:
    acquirer.faults(api=[{"op": "start", "do": "timeout_after_commit", "times": 1}])
    wish = acquirer.wish(reference="LOST")
    first = acquirer.api("POST", "/payments", key="k", json=wish)
    assert (first.status_code, first.data) == (504, b"")
    (found,) = acquirer.api("GET", "/payments?reference=LOST").json["data"]  # type: ignore[index]
    again = acquirer.api("POST", "/payments", key="k", json=wish)
    assert (again.status_code, again.json["id"]) == (201, found["id"])  # type: ignore[index]


def test_a_start_that_times_out_before_commit_opened_nothing(acquirer: World) -> None:
    acquirer.faults(api=[{"op": "start", "do": "timeout_before_commit", "times": 1}])
    wish = acquirer.wish(reference="NONE")
    assert acquirer.api("POST", "/payments", key="k", json=wish).status_code == 504
    assert acquirer.api("GET", "/payments?reference=NONE").json == {"data": []}
    assert acquirer.api("POST", "/payments", key="k", json=wish).status_code == 201


def test_a_timeout_holds_the_caller_for_the_set_time(make_world: Any) -> None:
    acquirer = make_world(ACQUIRER_TIMEOUT_HOLD="0.3")
    payment = acquirer.open()
    acquirer.faults(api=[{"op": "cancel", "do": "timeout_after_commit", "times": 1}])
    began = time.monotonic()
    assert acquirer.api("POST", f"/payments/{payment['id']}/cancel").status_code == 504
    assert time.monotonic() - began >= 0.3
    assert acquirer.shown(payment)["status"] == "voided"


def test_500_and_429_change_nothing_and_429_says_when_to_come_back(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.faults(
        api=[{"op": "cancel", "do": "500", "times": 1}, {"op": "cancel", "do": "429", "retry_after": 7, "times": 1}]
    )
    first, second, third = (acquirer.api("POST", f"/payments/{payment['id']}/cancel") for _ in range(3))
    assert (first.status_code, first.json["error"]["type"]) == (500, "api_error")  # type: ignore[index]
    assert (second.status_code, second.headers["Retry-After"]) == (429, "7")
    assert third.json["status"] == "voided"  # type: ignore[index]
    assert acquirer.fired(payment) == ["api.500", "api.429"]


def test_lag_only_takes_its_time(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.faults(api=[{"op": "query", "do": "lag", "for": "PT0.2S", "times": 1}])
    began = time.monotonic()
    assert acquirer.shown(payment)["status"] == "requires_payment"
    assert time.monotonic() - began >= 0.2


def test_a_stale_query_shows_the_payment_as_it_was_opened_or_nothing_at_all(acquirer: World) -> None:
    payment = acquirer.open(reference="OLD")
    acquirer.approve(payment)
    acquirer.faults(api=[{"op": "query", "do": "stale_query", "times": 1}])
    stale = acquirer.shown(payment)
    assert (stale["status"], stale["captures"], stale["payment_method"]) == ("requires_payment", [], None)
    assert acquirer.shown(payment)["status"] == "captured"
    acquirer.faults(api=[{"op": "query", "do": "stale_query", "shows": "nothing", "times": 2}])
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 404
    assert acquirer.api("GET", "/payments?reference=OLD").json == {"data": []}
    assert acquirer.shown(payment)["status"] == "captured"


# --- bank faults


def test_a_decline_by_fault_keeps_the_session_open_and_three_end_it(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.faults(pay={"decline": "insufficient_funds"})
    for _ in range(2):
        acquirer.approve(payment)
        shown = acquirer.shown(payment)
        assert shown["status"] == "requires_payment"
        assert (
            shown["last_decline"]["code"] == "insufficient_funds" and shown["last_decline"]["class"] == "other_method"
        )
    acquirer.approve(payment)
    assert (acquirer.shown(payment)["status"], acquirer.shown(payment)["ended_by"]) == ("failed", "declines")
    acquirer.settle()
    assert receiver.types == ["payment.declined", "payment.declined", "payment.failed"]


def test_a_decline_for_one_time_lets_the_next_card_through(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.faults(pay={"decline": "generic_decline", "times": 1})
    acquirer.approve(payment)
    acquirer.approve(payment)
    acquirer.settle()
    assert receiver.types == ["payment.declined", "payment.captured"]
    assert acquirer.shown(payment)["last_decline"] is None


def test_late_money_comes_after_the_session_has_ended_for_any_reason(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(pay={"late_after_expiry": "PT10M"})
    timed_out, cancelled = acquirer.open(), acquirer.open()
    for payment in (timed_out, cancelled):
        acquirer.approve(payment)
        assert acquirer.shown(payment)["status"] == "requires_payment"
    acquirer.api("POST", f"/payments/{cancelled['id']}/cancel")
    acquirer.advance("PT31M")
    assert [acquirer.shown(payment)["status"] for payment in (timed_out, cancelled)] == ["expired", "voided"]
    acquirer.advance("PT10M")
    for payment in (timed_out, cancelled):
        shown = acquirer.shown(payment)
        assert shown["status"] == "captured" and len(shown["captures"]) == 1
        assert shown["captures"][0]["captured_at"] > shown["expires_at"]
    assert sorted(receiver.types) == ["payment.captured", "payment.captured", "payment.expired", "payment.voided"]


def test_double_takes_the_money_twice_under_one_reference(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(pay={"double": True})
    payment = acquirer.open()
    acquirer.approve(payment)
    assert _captures(acquirer, payment) == [(120000, "TWD")] * 2
    assert len({one["id"] for one in acquirer.shown(payment)["captures"]}) == 2
    acquirer.settle()
    counts = [len(hook.event["data"]["payment"]["captures"]) for hook in receiver.hooks]
    assert receiver.types == ["payment.captured"] * 2 and counts == [1, 2]


def test_amount_and_currency_can_differ_from_what_was_asked(acquirer: World) -> None:
    acquirer.faults(pay={"amount_delta": -100})
    less = acquirer.open()
    acquirer.approve(less)
    acquirer.faults(pay={"wrong_currency": "JPY"})
    other = acquirer.open()
    acquirer.approve(other)
    assert _captures(acquirer, less) == [(119900, "TWD")]
    assert _captures(acquirer, other) == [(120000, "JPY")]


# --- webhook faults


def test_drop_loses_the_first_attempts_of_each_payment_while_retries_go_on(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(hook={"match": "*", "drop": 2})
    for payment in (acquirer.open(), acquirer.open()):
        acquirer.approve(payment)
        acquirer.settle()
        assert not receiver.hooks
        acquirer.advance("PT10M")
        outcomes = [one["outcome"] for one in acquirer.record(payment)["deliveries"][0]["attempts"]]
        assert outcomes == ["dropped", "dropped", "delivered"]
        receiver.hooks.clear()


def test_delay_holds_back_and_loses_nothing(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(hook={"delay": "PT30S"})
    acquirer.approve(acquirer.open())
    acquirer.advance("PT28S")
    assert not receiver.hooks
    assert acquirer.advance("PT3S")["delivered"] == 1
    assert receiver.types == ["payment.captured"]


@pytest.mark.parametrize("parallel", [False, True])
def test_duplicates_carry_the_same_id(acquirer: World, receiver: Receiver, parallel: bool) -> None:
    acquirer.faults(hook={"duplicate": 3, "parallel": parallel})
    acquirer.approve(acquirer.open())
    acquirer.settle()
    assert len(receiver.hooks) == 3
    assert len({hook.headers["webhook-id"] for hook in receiver.hooks}) == 1
    assert len({hook.body for hook in receiver.hooks}) == 1


def test_parallel_copies_are_under_way_at_the_same_time(acquirer: World, receiver: Receiver) -> None:
    import threading

    meeting = threading.Barrier(3)

    def meet(_: object) -> tuple[int, dict[str, str], bytes]:
        meeting.wait(5)
        return 204, {}, b""

    receiver.answer = meet
    acquirer.faults(hook={"duplicate": 3, "parallel": True})
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    assert {one["state"] for one in acquirer.record(payment)["deliveries"]} == {"delivered"}


def test_reverse_sends_the_last_event_first(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(hook={"reverse": True})
    payment = acquirer.open()
    acquirer.sim("POST", f"/payments/{payment['id']}/decline")
    acquirer.settle()
    assert not receiver.hooks
    acquirer.approve(payment)
    acquirer.advance("PT1S")
    assert receiver.types == ["payment.captured", "payment.authorized", "payment.declined"]


def test_what_is_held_waits_for_the_named_event_or_for_a_resend(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(hook=[{"match": "payment.declined", "hold_until": "payment.captured"}])
    payment = acquirer.open()
    acquirer.sim("POST", f"/payments/{payment['id']}/decline")
    acquirer.advance("PT1H", run="other")
    acquirer.settle()
    assert not receiver.hooks
    acquirer.approve(payment)
    acquirer.settle()
    assert receiver.types == ["payment.captured", "payment.declined"]
    acquirer.faults(hook={"hold_until": "resend"})
    held = acquirer.open()
    acquirer.approve(held)
    acquirer.settle()
    assert len(receiver.hooks) == 2
    acquirer.sim("POST", f"/deliveries/{acquirer.record(held)['deliveries'][0]['id']}/resend")
    acquirer.settle()
    assert len(receiver.hooks) == 3


def test_before_response_delivers_before_the_call_is_answered(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(hook={"before_response": True})
    payment = acquirer.open()
    acquirer.api("POST", f"/payments/{payment['id']}/cancel")
    assert receiver.types == ["payment.voided"]


def test_an_attempt_that_fails_by_signature_is_repeated_and_clearing_the_fault_heals_it(
    acquirer: World, receiver: Receiver
) -> None:
    receiver.answer = lambda hook: (204 if "webhook-signature" in hook.headers else 401, {}, b"")
    acquirer.faults(hook={"sign": "missing"})
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    acquirer.faults()
    acquirer.advance("PT10S")
    attempts = acquirer.record(payment)["deliveries"][0]["attempts"]
    assert [(one["outcome"], one["faults_used"]) for one in attempts] == [
        ("refused", ["hook.sign: missing"]),
        ("delivered", []),
    ]


# --- levels, counters, random draws


def test_the_payments_own_plan_beats_the_endpoints_and_that_the_global_one(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.faults(api=[{"op": "*", "do": "429"}])
    acquirer.sim("PUT", "/endpoints/query/faults", {"api": [{"do": "timeout_before_commit"}]})
    acquirer.sim("PUT", f"/payments/{payment['reference']}/faults", {"api": [{"op": "query", "do": "500"}]})
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 500
    acquirer.sim("PUT", f"/payments/{payment['id']}/faults", {})
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 504
    acquirer.sim("PUT", "/endpoints/query/faults")
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 429
    acquirer.faults()
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 200
    with acquirer.app.app_context():
        faults.arm("default", "scenario", payment["id"], {"api": [{"do": "500"}]})
    assert [use["level"] for use in acquirer.record(payment)["faults_used"]] == ["payment", "endpoint", "global"]
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 500


def test_one_level_leaves_the_other_parts_to_the_levels_below(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.faults(pay={"amount_delta": 1}, hook={"duplicate": 2})
    acquirer.sim("PUT", f"/payments/{payment['id']}/faults", {"pay": {"double": True}})
    acquirer.approve(payment)
    acquirer.settle()
    assert _captures(acquirer, payment) == [(120001, "TWD")] * 2
    assert len(receiver.hooks) == 4


def test_times_counts_over_simultaneous_calls(acquirer: World) -> None:
    payments = [acquirer.open() for _ in range(8)]
    acquirer.faults(api=[{"op": "query", "do": "500", "times": 3}])
    statuses = acquirer.at_once(8, lambda n: acquirer.api("GET", f"/payments/{payments[n]['id']}").status_code)
    assert sorted(statuses) == [200] * 5 + [500] * 3


def test_draws_depend_on_seed_payment_fault_and_attempt_and_on_nothing_else(acquirer: World) -> None:
    def story(run: str, others: int) -> list[bool]:
        acquirer.faults(run=run, pay={"decline": "generic_decline"}, chance=0.5, seed=7)
        outcomes = []
        for _ in range(12):
            payment = acquirer.open(run=run)
            for _ in range(others):
                acquirer.shown(payment, run=run)
            acquirer.approve(payment, run=run)
            outcomes.append(acquirer.shown(payment, run=run)["status"] == "captured")
        return outcomes

    once, again = story("a", others=0), story("b", others=2)
    assert once == again and set(once) == {True, False}


def test_draws_are_spread_evenly() -> None:
    draws = [faults.draw(1, number, "pay.decline", 1) for number in range(2000)]
    assert all(0 <= one < 1 for one in draws)
    assert 0.45 < sum(draws) / len(draws) < 0.55


BAD_PLANS: list[Any] = [
    [],
    "drop",
    {"hooks": {}},
    {"hook": {"drops": 1}},
    {"hook": {"drop": 0}},
    {"hook": {"drop": True}},
    {"hook": {"drop": "all"}},
    {"hook": {"delay": "30 seconds"}},
    {"hook": {"delay": "PT"}},
    {"hook": {"duplicate": 51}},
    {"hook": {"sign": "badly"}},
    {"hook": {"match": ""}},
    {"hook": [1]},
    {"hook": [{}] * 51},
    {"api": [{"op": "start"}]},
    {"api": [{"op": "begin", "do": "500"}]},
    {"api": [{"op": "start", "do": "explode"}]},
    {"api": [{"do": "500", "times": -1}]},
    {"pay": {"decline": "no_such_code"}},
    {"pay": {"amount_delta": 0}},
    {"pay": {"amount_delta": 1.5}},
    {"pay": {"wrong_currency": "EUR"}},
    {"pay": {"late_after_expiry": "10M"}},
    {"pay": []},
    {"chance": 1.1},
    {"chance": "often"},
    {"seed": -1},
]


def test_a_bad_plan_is_refused_with_a_sentence_and_changes_nothing(acquirer: World) -> None:
    good = {"pay": {"double": True}}
    acquirer.faults(**good)
    payment = acquirer.open()
    for plan in BAD_PLANS:
        for path in ("/faults", f"/payments/{payment['id']}/faults"):
            status = 400 if not isinstance(plan, dict) else 422
            refused = acquirer.sim("PUT", path, plan, status=status)
            assert refused["error"]["message"].endswith("."), plan
    assert [one["rule"] for one in acquirer.sim("GET", "/faults")["armed"]] == [good["pay"]]
    assert acquirer.record(payment)["faults"] == [{"level": "global", "plan": good}]


def test_the_example_of_the_manual_is_taken_as_it_stands(acquirer: World) -> None:
    plan = {
        "api": [{"op": "start", "do": "timeout_after_commit", "times": 1}],
        "pay": {"decline": "insufficient_funds"},
        "hook": {"match": "*", "drop": 100, "delay": "PT30S", "duplicate": 3, "parallel": True, "sign": "wrong_key"},
        "seed": 7,
        "chance": 0.3,
    }
    taken = acquirer.sim("PUT", "/faults", plan)
    assert taken == plan | {"hook": [plan["hook"]]}
    assert acquirer.sim("PUT", "/faults") == {}
    assert acquirer.sim("GET", "/faults")["armed"] == []


def test_every_preset_and_every_card_carries_a_plan_that_would_be_accepted() -> None:
    for plan in [preset.plan for preset in PRESETS] + [card.plan for card in CARDS] + [plan_of(list(PRESETS))]:
        assert parse_plan(plan) == plan
