"""Authorisation, full and partial capture, void, and store codes."""

from __future__ import annotations

from typing import Any

import pytest

from mock_acquirer import engine
from mock_acquirer.errors import Refused
from mock_acquirer.models import Payment
from tests.acquirer.conftest import Receiver, World


def authorized(acquirer: World) -> dict[str, Any]:
    payment = acquirer.open(capture_method="manual")
    acquirer.approve(payment)
    return payment


def capture(acquirer: World, payment: dict[str, Any], **body: Any) -> tuple[int, Any]:
    answer = acquirer.api("POST", f"/payments/{payment['id']}/capture", json=body)
    return answer.status_code, answer.json


def test_a_part_can_be_captured_and_the_rest_is_let_go(acquirer: World, receiver: Receiver) -> None:
    payment = authorized(acquirer)
    assert capture(acquirer, payment, amount=120001)[0] == 422
    status, shown = capture(acquirer, payment, amount=50000)
    assert (status, shown["status"], shown["captures"][0]["amount"]) == (200, "captured", 50000)
    assert capture(acquirer, payment, amount=70000)[0] == 409
    refund = acquirer.api("POST", f"/payments/{payment['id']}/refunds", json={})
    assert refund.json["amount"] == 50000  # type: ignore[index]
    acquirer.settle()
    assert receiver.types == ["payment.authorized", "payment.captured", "refund.succeeded", "payment.refunded"]


def test_voiding_ends_an_authorisation_and_nothing_else(acquirer: World) -> None:
    def void(payment: dict[str, Any]) -> str:
        with acquirer.app.app_context():
            found = engine.find("default", payment["id"])
            assert isinstance(found, Payment)
            engine.void(found)
            return found.state

    payment = authorized(acquirer)
    assert void(payment) == void(payment) == "voided"
    assert capture(acquirer, payment)[0] == 409
    with pytest.raises(Refused, match="requires_payment"):
        void(acquirer.open())


def test_of_eight_captures_at_once_one_takes_the_money(acquirer: World) -> None:
    payment = authorized(acquirer)
    answers = acquirer.at_once(8, lambda _: capture(acquirer, payment, amount=50000)[0])
    assert sorted(answers) == [200] + [409] * 7
    assert [one["amount"] for one in acquirer.shown(payment)["captures"]] == [50000]


def test_capture_and_cancel_at_once_leave_either_money_or_nothing(acquirer: World) -> None:
    payment = authorized(acquirer)

    def one(number: int) -> int:
        path = f"/payments/{payment['id']}/" + ("capture" if number % 2 else "cancel")
        return acquirer.api("POST", path, json={}).status_code

    acquirer.at_once(8, one)
    shown = acquirer.shown(payment)
    assert (shown["status"], len(shown["captures"])) in {("captured", 1), ("voided", 0)}


# --- store codes


def code(acquirer: World, payment: dict[str, Any]) -> str:
    with acquirer.app.app_context():
        found = engine.find("default", payment["id"])
        assert isinstance(found, Payment)
        return engine.show_code(found)


def at_the_counter(acquirer: World, payment: dict[str, Any], status: int = 200) -> Any:
    return acquirer.sim("POST", f"/payments/{payment['id']}/pay_at_counter", {}, status=status)


def test_a_store_code_outlives_the_session_and_is_paid_days_later(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    assert code(acquirer, payment) == code(acquirer, payment) == "code"
    shown = acquirer.shown(payment)
    assert shown["status"] == "requires_action" and shown["expires_at"] > payment["expires_at"]
    method = shown["payment_method"]
    assert method == {"type": "store", "code": method["code"], "expires_at": shown["expires_at"]}
    assert len(method["code"]) == 14 and method["code"].isdigit()
    acquirer.advance("P2DT23H")
    assert at_the_counter(acquirer, payment)["state"] == "captured"
    assert at_the_counter(acquirer, payment, status=409)["error"]["code"] == "already_captured"
    acquirer.settle()
    assert receiver.types == ["payment.requires_action", "payment.captured"]


def test_a_store_code_runs_out(acquirer: World) -> None:
    payment = acquirer.open()
    code(acquirer, payment)
    acquirer.advance("P3D")
    assert acquirer.shown(payment)["status"] == "expired"
    assert at_the_counter(acquirer, payment, status=409)["error"]["code"] == "already_expired"
    assert code(acquirer, payment) == "closed"


def test_without_a_code_there_is_no_payment_at_the_counter_and_with_one_a_card_still_works(acquirer: World) -> None:
    payment = acquirer.open()
    assert at_the_counter(acquirer, payment, status=409)["error"]["code"] == "no_store_code"
    code(acquirer, payment)
    assert acquirer.approve(payment)["state"] == "captured"
    assert acquirer.shown(payment)["payment_method"]["type"] == "card"
    assert at_the_counter(acquirer, payment, status=409)["error"]["code"] == "no_store_code"


def test_of_eight_at_the_counter_one_pays(acquirer: World) -> None:
    payment = acquirer.open()
    code(acquirer, payment)
    bearer = {"Authorization": "Bearer sim_demo"}
    path = f"/_sim/payments/{payment['id']}/pay_at_counter"
    answers = acquirer.at_once(8, lambda _: acquirer.app.test_client().post(path, headers=bearer).status_code)
    assert sorted(answers) == [200] + [409] * 7
    assert len(acquirer.shown(payment)["captures"]) == 1
