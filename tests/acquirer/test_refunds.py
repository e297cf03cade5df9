"""Refunds at the engine: never more than was taken, once per reference, now, later, or failing later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mock_acquirer import engine, refunds
from mock_acquirer.errors import Refused
from mock_acquirer.models import Payment, Refund
from tests.acquirer.conftest import Receiver, World

PENDING, FAILS = "4000000000007726", "4000000000005126"


def paid(acquirer: World, run: str = "", **changes: Any) -> dict[str, Any]:
    """A captured payment of TWD 1,200."""
    payment = acquirer.open(run=run)
    acquirer.approve(payment, run=run, **changes)
    return payment


def give_back(acquirer: World, payment: dict[str, Any], amount: int | None, reference: str = "", **more: Any) -> Refund:
    with acquirer.app.app_context():
        found = engine.find("default", payment["id"])
        assert isinstance(found, Payment)
        return engine.refund(found, amount, reference, **more)


def refused(acquirer: World, payment: dict[str, Any], amount: int | None, reference: str = "", **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        give_back(acquirer, payment, amount, reference, **more)
    return caught.value.code


def test_parts_go_back_until_nothing_is_left(acquirer: World) -> None:
    payment = paid(acquirer)
    assert give_back(acquirer, payment, 70000, "R1").state == "succeeded"
    assert refused(acquirer, payment, 50001, "R2") == "amount_too_large"
    assert give_back(acquirer, payment, None, "R2").amount == 50000
    assert refused(acquirer, payment, 1, "R3") == "already_refunded"
    assert refused(acquirer, payment, None, "R3") == "already_refunded"
    record = acquirer.record(payment)
    assert [(one["reference"], one["amount"], one["state"]) for one in record["refunds"]] == [
        ("R1", 70000, "succeeded"),
        ("R2", 50000, "succeeded"),
    ]
    totals = acquirer.sim("GET", "/totals")
    assert totals["payments"][0]["refunded"] == 120000
    assert totals["merchants"][0]["refunded"] == 120000


def test_the_same_reference_is_the_same_refund_and_another_amount_is_refused(acquirer: World) -> None:
    payment = paid(acquirer)
    first = give_back(acquirer, payment, 70000, "R1")
    assert give_back(acquirer, payment, 70000, "R1").id == first.id
    assert refused(acquirer, payment, 70001, "R1") == "refund_reference_reused"
    assert acquirer.sim("GET", "/totals")["payments"][0]["refunded"] == 70000


def test_only_captured_money_goes_back(acquirer: World) -> None:
    assert refused(acquirer, acquirer.open(), 1) == "not_captured"
    held = acquirer.open(capture_method="manual")
    acquirer.approve(held)
    assert refused(acquirer, held, 1) == "not_captured"


def test_a_payment_captured_twice_gives_back_each_capture_by_itself(acquirer: World) -> None:
    payment = paid(acquirer, card="4000009100000044")
    first, second = (one["id"] for one in acquirer.shown(payment)["captures"])
    assert give_back(acquirer, payment, None, "R1", capture_id=second).capture_id == second
    assert refused(acquirer, payment, 1, "R2", capture_id=second) == "already_refunded"
    assert refused(acquirer, payment, 120001, "R2") == "amount_too_large"
    assert give_back(acquirer, payment, 120000, "R2").capture_id == first
    assert refused(acquirer, payment, 1, "R3", capture_id="cap_none") == "invalid_capture"


def test_a_pending_refund_succeeds_when_its_time_comes(acquirer: World) -> None:
    payment = paid(acquirer, card=PENDING)
    assert give_back(acquirer, payment, 120000, "R1").state == "pending"
    totals = acquirer.sim("GET", "/totals")["payments"][0]
    assert (totals["refunded"], totals["refund_pending"]) == (0, 120000)
    assert refused(acquirer, payment, 1, "R2") == "already_refunded"
    acquirer.advance("PT59S")
    assert acquirer.record(payment)["refunds"][0]["state"] == "pending"
    acquirer.advance("PT2S")
    assert acquirer.record(payment)["refunds"][0]["state"] == "succeeded"
    acquirer.settle()
    assert acquirer.record(payment)["refunds"][0]["due_at"] is None


def test_a_refund_that_fails_later_can_be_made_again(acquirer: World) -> None:
    payment = paid(acquirer, card=FAILS)
    assert give_back(acquirer, payment, 120000, "R1").state == "succeeded"
    acquirer.advance("PT5M")
    assert acquirer.record(payment)["refunds"][0]["state"] == "failed"
    assert acquirer.sim("GET", "/totals")["payments"][0]["refunded"] == 0
    assert give_back(acquirer, payment, 120000, "R2").state == "succeeded"


def test_a_dialect_can_keep_every_refund_waiting(acquirer: World) -> None:
    payment = paid(acquirer)
    assert give_back(acquirer, payment, 120000, "R1", wait=timedelta(hours=3)).state == "pending"
    acquirer.advance("PT3H")
    assert acquirer.record(payment)["refunds"][0]["state"] == "succeeded"


def test_of_eight_refunds_of_60_percent_at_once_exactly_one_succeeds(acquirer: World) -> None:
    payment = paid(acquirer)

    def one(number: int) -> str:
        try:
            return give_back(acquirer, payment, 72000, f"R{number}").state
        except Refused as no:
            return no.code

    assert sorted(acquirer.at_once(8, one)) == ["amount_too_large"] * 7 + ["succeeded"]


def test_of_eight_calls_with_one_reference_all_get_the_same_refund(acquirer: World) -> None:
    payment = paid(acquirer)
    ids = acquirer.at_once(8, lambda _: give_back(acquirer, payment, 10000, "R1").id)
    assert len(set(ids)) == 1
    assert acquirer.sim("GET", "/totals")["payments"][0]["refunded"] == 10000


def test_a_refund_moves_on_once_however_often_it_is_tried(acquirer: World, receiver: Receiver) -> None:
    payment = paid(acquirer, card=FAILS)
    refund_id = give_back(acquirer, payment, 120000, "R1").id

    def fail(_: int) -> bool:
        with acquirer.app.app_context():
            found = engine.find("default", payment["id"])
            assert found is not None
            told = refunds.find(found, refund_id)
            assert told is not None
            return refunds.become(told, "failed")

    assert sorted(acquirer.at_once(8, fail)) == [False] * 7 + [True]
    assert give_back(acquirer, payment, 120000, "R2").amount == 120000
