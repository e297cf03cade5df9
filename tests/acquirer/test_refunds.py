"""Refunds in the engine and over kpay: at most the captured amount, once per reference, immediate, pending, failing
later.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from mock_acquirer import engine, refunds
from mock_acquirer.errors import Refused
from mock_acquirer.models import Payment, Refund
from tests.acquirer.conftest import SECRET, Receiver, World

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


def test_only_captured_money_is_refunded(acquirer: World) -> None:
    assert refused(acquirer, acquirer.open(), 1) == "not_captured"
    held = acquirer.open(capture_method="manual")
    acquirer.approve(held)
    assert refused(acquirer, held, 1) == "not_captured"


def test_each_capture_of_a_payment_captured_twice_is_refunded_separately(acquirer: World) -> None:
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
    acquirer.advance("PT30S")
    assert acquirer.record(payment)["refunds"][0]["state"] == "pending"
    acquirer.advance("PT31S")
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
            reported = refunds.find(found, refund_id)
            assert reported is not None
            return refunds.become(reported, "failed")

    assert sorted(acquirer.at_once(8, fail)) == [False] * 7 + [True]
    assert give_back(acquirer, payment, 120000, "R2").amount == 120000


# --- over kpay


def asked(acquirer: World, payment: dict[str, Any], key: str | None = None, status: int = 201, **body: Any) -> Any:
    answer = acquirer.api("POST", f"/payments/{payment['id']}/refunds", key=key, json=body)
    assert answer.status_code == status, answer.text
    return answer.json if status == 201 else answer.json["error"]["code"]  # type: ignore[index]


def test_kpay_refunds_a_part_and_shows_it_everywhere(acquirer: World) -> None:
    payment = paid(acquirer)
    capture = acquirer.shown(payment)["captures"][0]["id"]
    made = asked(acquirer, payment, amount=20000, reference="R-1", reason="broken", capture=capture)
    assert made["id"].startswith("re_") and made["status"] == "succeeded"
    assert (made["payment"], made["payment_reference"]) == (payment["id"], payment["reference"])
    assert (made["capture"], made["reference"], made["reason"]) == (capture, "R-1", "broken")
    path = f"/payments/{payment['id']}/refunds"
    assert acquirer.api("GET", f"{path}/{made['id']}").json == made
    assert acquirer.api("GET", f"{path}?reference=R-1").json == {"data": [made]}
    assert acquirer.api("GET", f"{path}?reference=R-2").json == {"data": []}
    assert acquirer.api("GET", path).json == {"data": [made]}
    short = {name: made[name] for name in ("id", "reference", "capture", "amount", "currency", "status", "created_at")}
    assert acquirer.shown(payment)["refunds"] == [short]
    assert acquirer.shown(payment)["status"] == "captured"


def test_kpay_refuses_bad_refunds_and_changes_nothing(acquirer: World) -> None:
    payment = paid(acquirer)
    bodies: list[tuple[dict[str, Any], str]] = [
        ({"amount": 0}, "invalid_amount"),
        ({"amount": "1"}, "invalid_amount"),
        ({"amount": True}, "invalid_amount"),
        ({"amount": 120001}, "amount_too_large"),
        ({"reference": "a b"}, "invalid_reference"),
        ({"reference": 7}, "invalid_reference"),
        ({"reason": "x" * 201}, "invalid_reason"),
        ({"capture": "cap_none"}, "invalid_capture"),
    ]
    for body, code in bodies:
        assert asked(acquirer, payment, status=422, **body) == code
    assert asked(acquirer, acquirer.open(), status=409) == "not_captured"
    assert acquirer.shown(payment)["refunds"] == []
    for path in ("refunds/re_none", "refunds/%00"):
        assert acquirer.api("GET", f"/payments/{payment['id']}/{path}").status_code == 404


def test_a_repeated_key_replays_the_refund_and_another_body_is_refused(acquirer: World) -> None:
    payment = paid(acquirer)
    first = asked(acquirer, payment, key="K", amount=100, reference="R")
    again = acquirer.api("POST", f"/payments/{payment['id']}/refunds", key="K", json={"amount": 100, "reference": "R"})
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first, "true")
    assert asked(acquirer, payment, key="K", status=422, amount=101, reference="R") == "idempotency_key_reused"
    assert asked(acquirer, payment, key="L", amount=100, reference="R") == first
    assert asked(acquirer, payment, key="M", status=409, amount=101, reference="R") == "refund_reference_reused"


def test_a_refund_whose_answer_was_lost_is_found_by_its_reference(acquirer: World) -> None:
    payment = paid(acquirer)
    acquirer.faults(api=[{"op": "refund", "do": "timeout_after_commit", "times": 1}])
    lost = acquirer.api("POST", f"/payments/{payment['id']}/refunds", key="K", json={"reference": "R"})
    assert lost.status_code == 504
    (found,) = acquirer.api("GET", f"/payments/{payment['id']}/refunds?reference=R").json["data"]  # type: ignore[index]
    assert asked(acquirer, payment, key="K", reference="R") == found


def test_every_change_of_a_refund_is_sent_with_a_valid_signature(acquirer: World, receiver: Receiver) -> None:
    payment = paid(acquirer, card=PENDING)
    asked(acquirer, payment, reference="R1", amount=20000)
    acquirer.advance("PT1M")
    asked(acquirer, payment, reference="R2", amount=100000)
    acquirer.advance("PT1M")
    acquirer.settle()
    assert receiver.types == ["payment.captured"] + ["refund.pending", "refund.succeeded"] * 2 + ["payment.refunded"]
    for hook in receiver.hooks:
        Webhook(SECRET).verify(hook.body, hook.headers)
    reported = receiver.hooks[2].event["data"]
    assert (reported["refund"]["reference"], reported["refund"]["status"]) == ("R1", "succeeded")
    assert reported["payment"]["reference"] == payment["reference"]
    assert [one["status"] for one in reported["payment"]["refunds"]] == ["succeeded"]


def test_a_failed_refund_is_sent_too(acquirer: World, receiver: Receiver) -> None:
    payment = paid(acquirer, card=FAILS)
    asked(acquirer, payment)
    acquirer.advance("PT1M")
    assert receiver.types == ["payment.captured", "refund.succeeded", "payment.refunded", "refund.failed"]
    assert acquirer.shown(payment)["refunds"][0]["status"] == "failed"


def test_resetting_a_run_forgets_its_refunds(acquirer: World) -> None:
    asked(acquirer, paid(acquirer))
    acquirer.sim("POST", "/reset")
    assert acquirer.sim("GET", "/totals") == {"merchants": [], "payments": []}
