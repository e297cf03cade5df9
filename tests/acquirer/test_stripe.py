"""Stripe's wire format, with Stripe's own library as the client and as the receiver."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.serving import make_server

from mock_acquirer.dialects.stripe import sign
from tests.acquirer.conftest import Hook, Receiver, World

SECRET = "whsec_stripe_demo"
RETURN = "http://shop.test/orders/abc/return"
Api = Any  # the library's services; their types want literal dictionaries


class Merchant:
    """A merchant with Stripe's library, pointed at the acquirer."""

    def __init__(self, world: World, base: str) -> None:
        self.world, self.base = world, base
        self.api = self.client()

    def client(self, key: str = "sk_test_demo") -> Api:
        addresses: Any = {"api": self.base}
        return stripe.StripeClient(key, base_addresses=addresses, max_network_retries=0).v1

    @property
    def sessions(self) -> Api:
        return self.api.checkout.sessions

    def open(self, key: str | None = None, **changed: Any) -> Any:
        """Open a Checkout Session."""
        return self.sessions.create(wish(**changed), {"idempotency_key": key} if key else {})

    def approve(self, session: Any, **card: str) -> Any:
        """Pay as the customer; returns the session with its PaymentIntent."""
        self.world.sim("POST", f"/payments/{session.id}/approve", card)
        return self.shown(session)

    def shown(self, session: Any) -> Any:
        return self.sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})

    def curl(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Call without the library."""
        headers = {"Authorization": "Bearer sk_test_demo"} | more.pop("headers", {})
        return httpx.request(method, f"{self.base}/v1{path}", headers=headers, **more)


def wish(**changed: Any) -> dict[str, Any]:
    """Request that opens a session."""
    item = {"quantity": 2, "price_data": {"currency": "twd", "unit_amount": 60000, "product_data": {"name": "Pencils"}}}
    sent = {
        "mode": "payment",
        "client_reference_id": "P-1",
        "line_items": [item],
        "success_url": RETURN,
        "payment_intent_data": {"metadata": {"reference": "P-1"}},
    }
    return {name: value for name, value in (sent | changed).items() if value is not None}


@pytest.fixture
def merchant(make_world: Callable[..., World], receiver: Receiver) -> Iterator[Merchant]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    world = make_world(ACQUIRER_STRIPE_WEBHOOK_URL=receiver.url)
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Merchant(world, f"http://127.0.0.1:{server.server_port}/stripe")
    server.shutdown()
    server.server_close()


def read(hook: Hook) -> Any:
    """Parse with Stripe's library, including the signature."""
    return stripe.Webhook.construct_event(hook.body, hook.headers.get("stripe-signature"), SECRET)  # type: ignore[no-untyped-call]


# --- sessions ---


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


BAD_REQUEST = stripe.InvalidRequestError
ERRORS: dict[str, tuple[Callable[[Merchant], Any], type[stripe.StripeError], int, str | None, str | None]] = {
    "no such session": (lambda m: m.sessions.retrieve("cs_test_1"), BAD_REQUEST, 404, "resource_missing", "session"),
    "no such intent": (
        lambda m: m.api.payment_intents.retrieve("pi_1"),
        BAD_REQUEST,
        404,
        "resource_missing",
        "intent",
    ),
    "no such charge": (lambda m: m.api.charges.retrieve("ch_1"), BAD_REQUEST, 404, "resource_missing", "id"),
    "no such event": (lambda m: m.api.events.retrieve("evt_1"), BAD_REQUEST, 404, "resource_missing", "id"),
    "no such refund": (lambda m: m.api.refunds.retrieve("re_1"), BAD_REQUEST, 404, "resource_missing", "id"),
    "another key": (lambda m: m.client("sk_other").charges.list(), stripe.AuthenticationError, 401, None, None),
    "no mode": (lambda m: m.open(mode=None), BAD_REQUEST, 400, "parameter_missing", "mode"),
    "another mode": (lambda m: m.open(mode="setup"), BAD_REQUEST, 400, "parameter_invalid_enum", "mode"),
    "no items": (lambda m: m.open(line_items=None), BAD_REQUEST, 400, "parameter_missing", "line_items"),
    "no way back": (lambda m: m.open(success_url=None), BAD_REQUEST, 400, "parameter_missing", "success_url"),
    "an odd way back": (lambda m: m.open(success_url="data:,"), BAD_REQUEST, 400, "url_invalid", "success_url"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_becomes_the_librarys_own_exception(merchant: Merchant, case: str) -> None:
    call, kind, status, code, param = ERRORS[case]
    with pytest.raises(kind) as refused:
        call(merchant)
    assert (type(refused.value), refused.value.http_status, refused.value.code) == (kind, status, code)
    assert getattr(refused.value, "param", None) == param
    assert refused.value.request_id


def item(**price: Any) -> dict[str, Any]:
    """A line item; values of None are left out."""
    changed = {"currency": "twd", "unit_amount": 100, "product_data": {"name": "Pen"}} | price
    quantity = changed.pop("quantity", 1)
    return {"price_data": {name: kept for name, kept in changed.items() if kept is not None}, "quantity": quantity}


PRICE = "line_items[0][price_data]"
BAD_ITEMS: list[tuple[dict[str, Any], str]] = [
    (item(quantity=0), "line_items[0][quantity]"),
    (item(quantity="two"), "line_items[0][quantity]"),
    ({"price_data": item()["price_data"]}, "line_items[0][quantity]"),
    ({"price": "price_1", "quantity": 1}, "line_items[0][price]"),
    (item(currency="eur"), f"{PRICE}[currency]"),
    (item(currency=None), f"{PRICE}[currency]"),
    (item(unit_amount=-1), f"{PRICE}[unit_amount]"),
    (item(unit_amount=1.5), f"{PRICE}[unit_amount]"),
    (item(product_data={"name": ""}), f"{PRICE}[product_data][name]"),
    (item(unit_amount=0), "line_items"),
    (item(unit_amount=99_999_999, quantity=2), "line_items"),
]


def test_an_item_that_cannot_be_so_is_refused_by_its_full_name_and_opens_nothing(merchant: Merchant) -> None:
    for bad, param in BAD_ITEMS:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            merchant.open(line_items=[bad])
        assert (refused.value.http_status, refused.value.param) == (400, param)
    assert merchant.sessions.list().data == []


@pytest.mark.parametrize("currency", ["usd", "jpy"])
def test_an_amount_below_stripes_smallest_charge_is_refused(merchant: Merchant, currency: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.open(line_items=[item(currency=currency, unit_amount=49)])
    assert (refused.value.code, refused.value.param) == ("amount_too_small", "line_items")
    assert merchant.open(line_items=[item(currency=currency, unit_amount=50)]).amount_total == 50


ODD_FORMS = {
    "an open bracket": "a[b",
    "no name": "[]=1",
    "fields and a value": "a[b]=1&a=2",
    "a value and fields": "a=1&a[b]=2",
    "an item that is a word": "line_items[0]=x",
    "items from seven on": "line_items[7][x]=1",
    "what no database takes": "metadata[a]=%00",
    "no UTF-8": "x=%ff",
    "a word for a list": "expand=payment_intent",
    "too much metadata": "&".join(f"metadata[k{n}]=v" for n in range(51)),
    "too deep": "a" + "[b]" * 9 + "=1",
}


@pytest.mark.parametrize("form", ODD_FORMS.values(), ids=ODD_FORMS)
def test_odd_forms_are_refused_in_stripes_shape(merchant: Merchant, form: str) -> None:
    answer = merchant.curl("POST", "/checkout/sessions", content=form + "&mode=payment")
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request_error"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from([
    "mode", "line_items[0][quantity]", "line_items[][price_data][currency]", "line_items[0][price_data][unit_amount]",
    "success_url", "expires_at", "metadata[a]", "expand[]", "payment_intent_data[metadata]", "customer_email", "locale",
]), st.text(max_size=12) | st.integers().map(str)))  # fmt: skip
def test_no_form_is_too_odd_for_an_answer(merchant: Merchant, form: dict[str, str]) -> None:
    clean = {name: value.encode("utf-8", "replace").decode() for name, value in form.items()}
    assert merchant.curl("POST", "/checkout/sessions", data=clean).status_code in (200, 400)


def test_json_unknown_paths_and_wrong_methods_are_answered_in_stripes_shape(merchant: Merchant) -> None:
    assert merchant.curl("POST", "/checkout/sessions", json={}).status_code == 400
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/checkout/sessions", 405)):
        answer = merchant.curl(method, path)
        assert answer.status_code == status and answer.json()["error"]["type"] == "invalid_request_error"
    basic = httpx.get(f"{merchant.base}/v1/checkout/sessions", auth=("sk_test_demo", ""))
    assert basic.status_code == 200


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


# --- webhooks ---


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


# --- refunds and disputes ---


def test_a_charge_is_refunded_in_parts_and_never_beyond(merchant: Merchant, receiver: Receiver) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    part = merchant.api.refunds.create({"charge": intent.latest_charge.id, "amount": 20000, "metadata": {"ours": "R1"}})
    assert (part.status, part.amount, part.metadata["ours"]) == ("succeeded", 20000, "R1")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.api.refunds.create({"charge": intent.latest_charge.id, "amount": 100001})
    assert refused.value.param == "amount"
    rest = merchant.api.refunds.create({"payment_intent": intent.id, "reason": "requested_by_customer"})
    assert rest.amount == 100000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.api.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_already_refunded"
    assert [one.id for one in merchant.api.refunds.list({"payment_intent": intent.id}).data] == [rest.id, part.id]
    paged = merchant.api.refunds.list({"charge": intent.latest_charge.id, "limit": 1}).auto_paging_iter()
    assert [one.id for one in paged] == [rest.id, part.id]
    assert merchant.api.refunds.retrieve(part.id).amount == 20000
    charge = merchant.api.charges.retrieve(intent.latest_charge.id)
    assert (charge.refunded, charge.amount_refunded) == (True, 120000)
    merchant.world.settle()
    assert [read(hook).type for hook in receiver.hooks][2:] == ["refund.created", "charge.refunded"] * 2


def test_the_same_key_refunds_once(merchant: Merchant) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    made = [
        merchant.api.refunds.create({"payment_intent": intent.id, "amount": 100}, {"idempotency_key": "r"})
        for _ in range(2)
    ]
    assert made[0].id == made[1].id
    assert merchant.api.charges.retrieve(intent.latest_charge.id).amount_refunded == 100


def test_a_refund_is_pending_first_or_fails_later_by_card(merchant: Merchant, receiver: Receiver) -> None:
    stages = {"4000000000007726": ["pending", "succeeded"], "4000000000005126": ["succeeded", "failed"]}
    for card, (first, then) in stages.items():
        intent = merchant.approve(merchant.open(), card=card).payment_intent
        refund = merchant.api.refunds.create({"payment_intent": intent.id})
        assert refund.status == first
        merchant.world.advance("PT2M")
        assert merchant.api.refunds.retrieve(refund.id).status == then
    types = [read(hook).type for hook in receiver.hooks]
    assert types.count("refund.updated") == types.count("refund.failed") == 1


def test_a_dispute_is_sent(merchant: Merchant, receiver: Receiver) -> None:
    session = merchant.open()
    merchant.approve(session)
    merchant.world.sim("POST", f"/payments/{session.id}/dispute", {})
    merchant.world.settle()
    received = read(receiver.hooks[-1])
    assert (received.type, received.data.object.status, received.data.object.amount) == (
        "charge.dispute.created",
        "needs_response",
        120000,
    )


def test_balance_transactions_are_listed_newest_first_page_by_page(merchant: Merchant) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    merchant.world.advance("PT1M")
    merchant.api.refunds.create({"payment_intent": intent.id, "amount": 20000, "metadata": {"refund": "R-1"}})
    merchant.world.advance("PT1M")
    merchant.world.sim("POST", f"/payments/{intent.id.replace('pi_', 'pay_')}/dispute", {})
    listing = merchant.api.balance_transactions.list
    first = listing({"limit": 2})
    assert [one.reporting_category for one in first.data] == ["dispute", "refund"] and first.has_more
    (charge,) = listing({"starting_after": first.data[-1].id, "expand": ["data.source"]}).data
    assert (charge.amount, charge.source.id, charge.source.metadata["reference"]) == (
        120000,
        intent.latest_charge.id,
        "P-1",
    )
    dispute, refund, _ = listing({"expand": ["data.source"]}).data
    assert (refund.source.metadata["refund"], refund.amount, dispute.source.charge) == ("R-1", -20000, charge.source.id)
    assert listing({"created": {"gte": charge.created, "lt": charge.created + 30}}).data[0].id == charge.id
    assert listing({"created": {"lt": charge.created}}).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such balance_transaction"):
        listing({"starting_after": "txn_none"})


# --- unsupported parameters are refused ---

UNSUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"client_refrence_id": "P-1"}, "client_refrence_id"),
    ({"discounts": [{"coupon": "c"}]}, "discounts"),
    ({"shipping_options": [{"shipping_rate": "s"}]}, "shipping_options"),
    ({"customer": "cus_1"}, "customer"),
    ({"payment_intent_data": {"receipt_email": "a@b.c"}}, "payment_intent_data[receipt_email]"),
    ({"line_items": [{"quantity": 1, "qty": 2}]}, "line_items[0][qty]"),
    (
        {"line_items": [{"quantity": 1, "price_data": {"curency": "twd"}}]},
        "line_items[0][price_data][curency]",
    ),
]


@pytest.mark.parametrize(("changed", "param"), UNSUPPORTED)
def test_a_parameter_that_is_unknown_or_not_supported_is_refused_by_its_name(
    merchant: Merchant, changed: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        merchant.open(**changed)
    received = refused.value
    assert (received.http_status, received.code, received.param) == (400, "parameter_unknown", param)
    assert str(received.user_message).startswith(f"Received unknown parameter: {param}.")
    assert merchant.sessions.list().data == []


def test_the_nearest_parameter_is_named(merchant: Merchant) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Did you mean 'client_reference_id'"):
        merchant.open(client_refrence_id="P-1")


def test_filters_and_expansions_that_would_be_ignored_are_refused(merchant: Merchant) -> None:
    intent = merchant.approve(merchant.open()).payment_intent
    refund, cancel = merchant.api.refunds.create, merchant.api.payment_intents.cancel
    for call, param in (
        (lambda: merchant.sessions.list({"ending_before": "cs_test_1"}), "ending_before"),
        (lambda: merchant.sessions.list({"customer": "cus_1"}), "customer"),
        (lambda: merchant.api.refunds.list({"payment_intent": intent.id, "created": {"gt": 1}}), "created"),
        (lambda: merchant.api.charges.list({"payment_intent": intent.id, "transfer_group": "x"}), "transfer_group"),
        (lambda: merchant.api.charges.retrieve(intent.latest_charge.id, {"expand": ["customer"]}), "expand"),
        (lambda: merchant.sessions.retrieve("cs_test_1", {"expand": ["payment_intnt"]}), "expand"),
        (lambda: refund({"payment_intent": intent.id, "reverse_transfer": True}), "reverse_transfer"),
        (lambda: cancel(intent.id, {"cancellation_reason": "abandoned"}), "cancellation_reason"),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call()
        assert (refused.value.http_status, refused.value.param) == (400, param)
    assert merchant.api.refunds.list({"payment_intent": intent.id}).data == []


def test_metadata_is_free_and_card_is_the_one_method(merchant: Merchant) -> None:
    session = merchant.open(metadata={"anything": "7", "7": "x"}, payment_method_types=["card"])
    assert session.metadata["anything"] == "7"
    with pytest.raises(stripe.InvalidRequestError, match="'klarna' is not known here"):
        merchant.open(payment_method_types=["card", "klarna"])


def test_an_unknown_key_is_said_before_any_parameter(merchant: Merchant) -> None:
    with pytest.raises(stripe.AuthenticationError):
        merchant.client("sk_other").checkout.sessions.list({"nonsense": "1"})
