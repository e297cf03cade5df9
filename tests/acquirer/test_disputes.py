"""Disputes: by card, by the control API, won, lost, and together with refunds."""

from __future__ import annotations

from typing import Any

from tests.acquirer.conftest import Receiver, World

CHARGEBACK, INQUIRY = "4000000000000259", "4000000000002685"


def paid(acquirer: World, **card: str) -> dict[str, Any]:
    payment = acquirer.open()
    acquirer.approve(payment, **card)
    return payment


def dispute(acquirer: World, payment: dict[str, Any], status: int = 200, **body: Any) -> Any:
    answer = acquirer.sim("POST", f"/payments/{payment['id']}/dispute", body, status=status)
    return answer["disputes"] if status == 200 else answer["error"]["code"]


def refund(acquirer: World, payment: dict[str, Any], amount: int | None = None) -> tuple[int, Any]:
    body = {} if amount is None else {"amount": amount}
    answer = acquirer.api("POST", f"/payments/{payment['id']}/refunds", json=body)
    return answer.status_code, (answer.json or {}).get("error", {}).get("code")


def disputed(acquirer: World) -> int:
    return int(acquirer.sim("GET", "/totals")["payments"][0]["disputed"])


def test_a_disputed_card_is_disputed_a_minute_after_it_paid(acquirer: World, receiver: Receiver) -> None:
    payment = paid(acquirer, card=CHARGEBACK)
    assert acquirer.record(payment)["disputes"] == []
    acquirer.advance("PT1M")
    (found,) = acquirer.record(payment)["disputes"]
    assert (found["kind"], found["reason"], found["state"], found["amount"]) == (
        "chargeback",
        "fraudulent",
        "open",
        120000,
    )
    hook = receiver.hooks[-1]
    assert hook.type == "dispute.created"
    assert hook.event["data"]["dispute"]["status"] == "open"
    assert hook.event["data"]["dispute"]["payment_reference"] == payment["reference"]
    assert acquirer.shown(payment)["status"] == "captured"


def test_a_chargeback_takes_the_money_and_gives_it_back_when_it_is_won(acquirer: World) -> None:
    payment = paid(acquirer)
    assert refund(acquirer, payment, 20000) == (201, None)
    (found,) = dispute(acquirer, payment, reason="product_not_received")
    assert (found["amount"], disputed(acquirer)) == (100000, 100000)
    assert refund(acquirer, payment) == (409, "disputed")
    assert dispute(acquirer, payment, status=409) == "already_disputed"
    (found,) = dispute(acquirer, payment, outcome="won")
    assert (found["state"], disputed(acquirer)) == ("won", 0)
    assert dispute(acquirer, payment, status=409, outcome="lost") == "not_disputed"
    assert refund(acquirer, payment, 100000) == (201, None)


def test_an_unanswered_dispute_is_lost_after_a_week(acquirer: World, receiver: Receiver) -> None:
    payment = paid(acquirer)
    dispute(acquirer, payment)
    acquirer.advance("P7D")
    assert acquirer.record(payment)["disputes"][0]["state"] == "lost"
    assert receiver.types[-2:] == ["dispute.created", "dispute.closed"]
    assert disputed(acquirer) == 120000


def test_an_inquiry_withdraws_no_money_and_ends_without_effect(acquirer: World) -> None:
    payment = paid(acquirer, card=INQUIRY)
    acquirer.advance("PT1M")
    assert (acquirer.record(payment)["disputes"][0]["kind"], disputed(acquirer)) == ("inquiry", 0)
    assert refund(acquirer, payment, 1) == (201, None)
    acquirer.advance("P7D")
    assert acquirer.record(payment)["disputes"][0]["state"] == "won"


def test_what_cannot_be_disputed_is_refused(acquirer: World) -> None:
    assert dispute(acquirer, acquirer.open(), status=409) == "not_captured"
    payment = paid(acquirer)
    assert dispute(acquirer, payment, status=422, kind="quarrel") == "invalid_kind"
    assert dispute(acquirer, payment, status=422, reason=7) == "invalid_reason"
    assert dispute(acquirer, payment, status=422, outcome="draw") == "invalid_outcome"
    assert refund(acquirer, payment) == (201, None)
    assert dispute(acquirer, payment, status=409) == "already_refunded"
    assert acquirer.record(payment)["disputes"] == []


def test_a_capture_refunded_before_its_dispute_was_due_is_not_disputed(acquirer: World) -> None:
    payment = paid(acquirer, card=CHARGEBACK)
    assert refund(acquirer, payment) == (201, None)
    acquirer.advance("P8D")
    assert acquirer.record(payment)["disputes"] == []


def test_refunds_and_disputes_at_once_never_take_the_money_twice(acquirer: World) -> None:
    payment = paid(acquirer)

    def one(number: int) -> int:
        if number % 2:
            return refund(acquirer, payment, 70000)[0]
        bearer = {"Authorization": "Bearer sim_demo"}
        client = acquirer.app.test_client()
        return client.post(f"/_sim/payments/{payment['id']}/dispute", headers=bearer, json={}).status_code

    answers = acquirer.at_once(8, one)
    assert set(answers) <= {200, 201, 409, 422}
    totals = acquirer.sim("GET", "/totals")["payments"][0]
    assert totals["refunded"] + totals["disputed"] == 120000
    assert len(acquirer.record(payment)["disputes"]) == 1
