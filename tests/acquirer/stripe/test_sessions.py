"""Stripe's sessions: opening, paying, expiry, lists, idempotency, and faults."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import stripe

from tests.acquirer.stripe.client import RETURN, Merchant, wish


def test_a_session_is_opened_paid_and_shown_with_its_charge(merchant: Merchant) -> None:
    session = merchant.open(metadata={"cart": "7"}, success_url=RETURN + "?s={CHECKOUT_SESSION_ID}")
    assert session.id.startswith("cs_test_") and session.url.startswith("http://localhost:9000/pay/pay_")
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.currency, session.client_reference_id) == (120000, "twd", "P-1")
    assert session.metadata["cart"] == "7"
    assert merchant.world.record({"id": session.id})["reference"] == "P-1"
    paid = merchant.approve(session)
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    intent = paid.payment_intent
    assert (intent.status, intent.amount_received, intent.metadata["reference"]) == ("succeeded", 120000, "P-1")
    charge = intent.latest_charge
    assert (charge.amount_captured, charge.currency, charge.captured, charge.paid) == (120000, "twd", True, True)
    assert charge.payment_method_details.card.last4 == "4242" and charge.metadata["reference"] == "P-1"
    assert merchant.api.charges.retrieve(charge.id).id == charge.id
    assert merchant.api.payment_intents.retrieve(intent.id).latest_charge == charge.id
    assert [item.description for item in merchant.sessions.line_items.list(session.id).data] == ["Pencils"]


def test_the_customer_comes_back_to_the_address_with_the_session_in_it(merchant: Merchant) -> None:
    session = merchant.open(success_url=RETURN + "?s={CHECKOUT_SESSION_ID}")
    card = {"number": "4242424242424242", "expiry": "12/34", "cvc": "123", "name": "Ada"}
    left = merchant.world.submit({"id": session.url.rpartition("/")[2]}, "card", **card)
    assert (left.status_code, left.headers["Location"]) == (303, f"{RETURN}?s={session.id}")


def test_a_decline_is_the_last_payment_error_and_the_session_stays_open(merchant: Merchant) -> None:
    session = merchant.open()
    merchant.world.sim("POST", f"/payments/{session.id}/decline", {"code": "insufficient_funds"})
    shown = merchant.shown(session)
    error = shown.payment_intent.last_payment_error
    assert (shown.status, shown.payment_intent.status) == ("open", "requires_payment_method")
    assert (error.type, error.code, error.decline_code) == ("card_error", "card_declined", "insufficient_funds")


def test_expiring_ends_the_session_once_and_only_an_open_one(merchant: Merchant) -> None:
    session = merchant.open()
    assert merchant.sessions.expire(session.id).status == "expired"
    shown = merchant.shown(session)
    assert (shown.url, shown.payment_intent.cancellation_reason) == (None, "abandoned")
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        merchant.sessions.expire(session.id)
    paid = merchant.open()
    merchant.approve(paid)
    with pytest.raises(stripe.InvalidRequestError, match="status of `complete`"):
        merchant.sessions.expire(paid.id)


def test_a_session_lives_thirty_minutes_to_a_day(merchant: Merchant) -> None:
    now = int(datetime.now(UTC).timestamp())
    assert merchant.open().expires_at == pytest.approx(now + 86400, abs=5)
    assert merchant.open(expires_at=now + 1900).expires_at == now + 1900
    for wrong in (now - 1, now + 1700, now + 86500):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            merchant.open(expires_at=wrong)
        assert refused.value.param == "expires_at"
    short = merchant.open(expires_at=now + 1900)
    merchant.world.advance("PT32M")
    shown = merchant.shown(short)
    assert (shown.status, shown.payment_intent.cancellation_reason) == ("expired", "expired")


def test_money_held_back_by_the_merchant_is_complete_and_not_paid(merchant: Merchant) -> None:
    session = merchant.open(payment_intent_data={"capture_method": "manual"})
    held = merchant.approve(session)
    assert (held.status, held.payment_status) == ("complete", "unpaid")
    assert (held.payment_intent.status, held.payment_intent.amount_capturable) == ("requires_capture", 120000)
    taken = merchant.api.payment_intents.capture(held.payment_intent.id, {"amount_to_capture": 50000})
    assert (taken.status, taken.amount_received) == ("succeeded", 50000)
    let_go = merchant.approve(merchant.open(payment_intent_data={"capture_method": "manual"}))
    assert merchant.api.payment_intents.cancel(let_go.payment_intent.id).status == "canceled"


def test_lists_are_paged_newest_first_and_narrowed(merchant: Merchant) -> None:
    opened = [merchant.open().id for _ in range(5)]
    merchant.sessions.expire(opened[0])
    assert [one.id for one in merchant.sessions.list({"limit": 2}).auto_paging_iter()] == opened[::-1]
    assert [one.id for one in merchant.sessions.list({"status": "expired"}).data] == [opened[0]]
    now = int(datetime.now(UTC).timestamp())
    assert len(merchant.sessions.list({"created": {"gte": now - 60}}).data) == 5
    assert merchant.sessions.list({"created": {"gt": now + 60}}).data == []
    assert merchant.sessions.list({"created": {"lt": now - 60}}).data == []


# --- idempotency and errors ---


def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(merchant: Merchant) -> None:
    first, again = merchant.open("k-1"), merchant.open("k-1")
    assert again.id == first.id
    assert first.last_response.headers.get("Idempotent-Replayed") is None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError) as refused:
        merchant.open("k-1", client_reference_id="P-2")
    assert refused.value.http_status == 400
    assert len(merchant.sessions.list().data) == 1


def test_of_eight_calls_with_one_key_one_opens(merchant: Merchant) -> None:
    def call(_: int) -> str:
        try:
            return str(merchant.open("k-8").id)
        except stripe.StripeError as error:
            return f"{error.http_status}"

    answers = merchant.world.at_once(8, call)
    assert {answer for answer in answers if answer != "409"} == {merchant.sessions.list().data[0].id}
    assert len(merchant.sessions.list().data) == 1


def test_a_run_is_chosen_by_the_key_and_sees_only_its_own(merchant: Merchant) -> None:
    there = merchant.client("sk_test_demo.run42")
    session = there.checkout.sessions.create(wish())
    assert merchant.sessions.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        merchant.sessions.retrieve(session.id)
    merchant.world.sim("POST", f"/payments/{session.id}/approve", {}, run="run42")
    assert there.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert merchant.api.events.list().data == [] and len(there.events.list().data) == 2


def test_another_dialects_payment_is_not_stripes(merchant: Merchant) -> None:
    theirs = merchant.world.open()
    with pytest.raises(stripe.InvalidRequestError):
        merchant.sessions.retrieve("cs_test_" + theirs["id"].removeprefix("pay_"))


# --- faults ---


def test_api_faults_act_on_stripe(merchant: Merchant) -> None:
    for do, kind, status in (("500", stripe.APIError, 500), ("429", stripe.RateLimitError, 429)):
        merchant.world.faults(api=[{"op": "start", "do": do, "times": 1}])
        with pytest.raises(kind) as failed:
            merchant.open()
        assert failed.value.http_status == status
    assert merchant.sessions.list().data == []
    merchant.world.faults(api=[{"op": "start", "do": "500", "when": "after_commit", "times": 1}])
    for _ in range(2):  # the stored response is replayed
        with pytest.raises(stripe.APIError):
            merchant.open("k")
    (opened,) = merchant.sessions.list().data
    merchant.world.faults(api=[{"op": "query", "do": "stale_query", "times": 1}])
    merchant.approve(opened)
    merchant.world.faults(api=[{"op": "query", "do": "stale_query", "shows": "nothing", "times": 1}])
    with pytest.raises(stripe.InvalidRequestError):
        merchant.shown(opened)
    assert merchant.shown(opened).payment_status == "paid"


def test_a_wrong_amount_is_taken_by_the_charge_and_not_by_the_session(merchant: Merchant) -> None:
    paid = merchant.approve(merchant.open(), card="4000009100000077")
    assert (paid.amount_total, paid.payment_intent.latest_charge.amount) == (120000, 120100)
