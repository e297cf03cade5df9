"""3-D Secure challenge: approved, failed, timed out, abandoned; and pages of payments that have ended."""

from __future__ import annotations

import pytest

from tests.acquirer.conftest import GOOD_CARD, RETURN, World

ASKS, ASKS_THEN_DECLINES = "4000000000003220", "4000008400001629"


def challenged(acquirer: World, number: str = ASKS) -> dict[str, str]:
    payment = acquirer.open()
    answer = acquirer.submit(payment, "card", **GOOD_CARD | {"number": number})
    assert answer.headers["Location"] == f"/pay/{payment['id']}/challenge"
    return payment


@pytest.mark.parametrize(
    ("number", "answer", "status", "decline"),
    [
        (ASKS, "approve", "captured", None),
        (ASKS, "fail", "requires_payment", "authentication_failed"),
        (ASKS, "timeout", "requires_payment", "authentication_required"),
        (ASKS_THEN_DECLINES, "approve", "requires_payment", "generic_decline"),
    ],
)
def test_an_answer_decides(acquirer: World, number: str, answer: str, status: str, decline: str | None) -> None:
    payment = challenged(acquirer, number)
    where = acquirer.submit(payment, "challenge", answer=answer).headers["Location"]
    shown = acquirer.shown(payment)
    assert (shown["status"], (shown["last_decline"] or {}).get("code")) == (status, decline)
    assert where == (RETURN if status == "captured" else f"/pay/{payment['id']}")
    if decline:
        assert acquirer.submit(payment, "card", **GOOD_CARD).headers["Location"] == RETURN
        assert acquirer.shown(payment)["status"] == "captured"


def test_a_customer_who_leaves_finds_the_challenge_again_until_the_session_ends(acquirer: World) -> None:
    payment = challenged(acquirer)
    assert acquirer.submit(payment, "challenge", answer="leave").headers["Location"] == RETURN
    assert acquirer.shown(payment)["status"] == "requires_action"
    assert "Confirm your identity" in acquirer.browser.get(payment["checkout_url"][21:], follow_redirects=True).text
    token = acquirer.csrf(f"/pay/{payment['id']}")
    acquirer.advance("PT31M")
    late = acquirer.browser.post(f"/pay/{payment['id']}/challenge", data={"csrf": token, "answer": "approve"})
    assert late.headers["Location"] == f"/pay/{payment['id']}/result"
    assert (acquirer.shown(payment)["status"], acquirer.shown(payment)["captures"]) == ("expired", [])


def test_a_challenge_that_was_not_requested_cannot_be_answered(acquirer: World) -> None:
    payment = acquirer.open()
    error = acquirer.sim("POST", f"/payments/{payment['id']}/challenge", {"answer": "approve"}, status=409)["error"]
    assert error["code"] == "not_challenged"
    acquirer.sim("POST", f"/payments/{payment['id']}/pay", {"card": ASKS})
    acquirer.sim("POST", f"/payments/{payment['id']}/challenge", {"answer": "shrug"}, status=422)
    acquirer.sim("POST", f"/payments/{payment['id']}/challenge", {"answer": "timeout"})
    assert acquirer.shown(payment)["last_decline"]["code"] == "authentication_required"


def test_three_lost_challenges_end_the_payment(acquirer: World) -> None:
    payment = acquirer.open()
    for _ in range(3):
        acquirer.submit(payment, "card", **GOOD_CARD | {"number": ASKS})
        where = acquirer.submit(payment, "challenge", answer="timeout").headers["Location"]
    assert where == f"/pay/{payment['id']}/result"
    assert (acquirer.shown(payment)["status"], acquirer.shown(payment)["ended_by"]) == ("failed", "declines")


ENDS = {
    "captured": ("approve", "Payment accepted"),
    "failed": ("fail", "Payment failed"),
    "voided": ("cancel", "Payment cancelled"),
    "expired": ("", "timed out"),
}


@pytest.mark.parametrize("state", ENDS)
def test_a_finished_payment_shows_its_result_on_every_page_and_never_a_form(acquirer: World, state: str) -> None:
    act, title = ENDS[state]
    payment = acquirer.open()
    token = acquirer.csrf(f"/pay/{payment['id']}")
    if act:
        acquirer.sim("POST", f"/payments/{payment['id']}/{act}", {})
    else:
        acquirer.advance("PT31M")
    assert acquirer.shown(payment)["status"] == state
    for path in ("", "/challenge", "/store", "/result"):
        page = acquirer.browser.get(f"/pay/{payment['id']}{path}", follow_redirects=True)
        assert page.status_code == 200 and title in page.text and 'name="number"' not in page.text
    for form in ("card", "challenge", "store", "cancel", "pay_at_counter"):
        data = GOOD_CARD | {"csrf": token, "answer": "approve"}
        answer = acquirer.browser.post(f"/pay/{payment['id']}/{form}", data=data)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/pay/{payment['id']}/result")
    assert acquirer.shown(payment)["status"] == state
    assert len(acquirer.shown(payment)["captures"]) == (state == "captured")


def test_a_result_page_shows_refunds(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.api("POST", f"/payments/{payment['id']}/refunds", json={"amount": 20000})
    assert "Refunded: NT$200" in acquirer.browser.get(f"/pay/{payment['id']}/result").text
