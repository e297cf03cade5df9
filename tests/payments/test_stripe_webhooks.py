"""Webhooks of Stripe: verification, content, and bodies that cannot be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from shop.core.money import Money
from shop.payments.providers.interface import (
    BadSignature,
    Malformed,
    RefundFact,
)
from tests.payments.stripe_helpers import (
    CREATED,
    OLD_SECRET,
    P1,
    R1,
    SECRET,
    a_charge,
    a_refund,
    a_session,
    an_event,
    an_intent,
    signed,
    stripe_pay,
)


@pytest.mark.parametrize(("status", "state"), [("succeeded", "DONE"), ("pending", "PENDING"), ("failed", "REJECTED")])
def test_a_webhook_reports_the_result_of_a_refund_ours_or_not(status: str, state: str) -> None:
    body = an_event("refund.updated", a_refund(status=status))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    money = Money(20000, "TWD")
    assert (notice.kind, notice.trust) == ("refund", "signed")
    assert notice.refund == RefundFact(R1, state, "re_1", money, "ch_1")
    body = an_event("refund.updated", a_refund(metadata={}, status=status))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert notice.refund == RefundFact("", state, "re_1", money, "ch_1"), "without our id it was not made by us"


def test_objects_with_our_former_metadata_keys_are_still_ours() -> None:
    body = an_event("refund.updated", a_refund(metadata={"refund": R1, "reference": P1}))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert notice.refund and (notice.refund.reference, notice.refund.payment) == (R1, P1)
    body = an_event("refund.updated", a_refund(metadata={"refund": "another system's", "reference": "4711"}))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert notice.refund and (notice.refund.reference, notice.refund.payment) == ("", "4711")


# --- webhooks: verification ---

BODY = an_event()


def test_stripes_vector_verifies() -> None:
    mac = "98a6304ac7cd966786ee1b93ad76319d9cd63829827fa0f93cb3e367cf67086d"
    adapter, headers = stripe_pay(STRIPE_WEBHOOK_SECRET="whsec_test"), {"stripe-signature": f"t=1614265330,v1={mac}"}
    with time_machine.travel(1614265330, tick=False):
        adapter.verify(headers, b'{"test": 2432232314}')
        with pytest.raises(BadSignature):
            adapter.verify(headers, b'{"test": 2432232315}')


def header(change: Callable[[str], str]) -> tuple[dict[str, str], bytes]:
    return {"stripe-signature": change(signed(BODY)["stripe-signature"])}, BODY


FORGERIES: dict[str, Callable[[], tuple[dict[str, str], bytes]]] = {
    "no header": lambda: ({}, BODY),
    "empty": lambda: header(lambda _: ""),
    "another key": lambda: (signed(BODY, OLD_SECRET), BODY),
    "no time": lambda: header(lambda value: value.partition(",")[2]),
    "two times": lambda: header(lambda value: f"t={int(time.time())},{value}"),
    "another time": lambda: header(lambda value: value.replace("t=", "t=1", 1)),
    "a time that is none": lambda: header(lambda value: "t=now," + value.partition(",")[2]),
    "an endless time": lambda: header(lambda value: "t=" + "9" * 5000 + "," + value.partition(",")[2]),
    "no signature": lambda: header(lambda value: value.partition(",")[0]),
    "an old scheme": lambda: header(lambda value: value.replace("v1=", "v0=")),
    "301 s old": lambda: (signed(BODY, at=time.time() - 302), BODY),
    "302 s ahead": lambda: (signed(BODY, at=time.time() + 302), BODY),
    "one more space": lambda: (signed(BODY), BODY + b" "),
    "truncated": lambda: (signed(BODY), BODY[:-1]),
    "not UTF-8": lambda: (signed(b"\xff" + BODY), b"\xff" + BODY),
    "nothing": lambda: (signed(BODY), b""),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_webhook_that_does_not_prove_where_it_comes_from_is_refused(forgery: str) -> None:
    headers, body = FORGERIES[forgery]()
    with pytest.raises(BadSignature):
        stripe_pay().read_webhook(headers, body)


@pytest.mark.parametrize("seconds", [-298, 0, 298])
def test_a_webhook_within_five_minutes_is_taken(seconds: int) -> None:
    assert stripe_pay().read_webhook(signed(BODY, at=time.time() + seconds), BODY)


def test_while_a_secret_is_rotated_both_are_valid_and_afterwards_only_the_new_one() -> None:
    both = stripe_pay(STRIPE_WEBHOOK_SECRET=f"{SECRET}, {OLD_SECRET}")
    for secret in (SECRET, OLD_SECRET):
        assert both.read_webhook(signed(BODY, secret), BODY)
    old = signed(BODY, OLD_SECRET)["stripe-signature"].partition(",")[2]
    assert stripe_pay().read_webhook({"stripe-signature": signed(BODY)["stripe-signature"] + "," + old}, BODY)
    with pytest.raises(BadSignature):
        stripe_pay().read_webhook(signed(BODY, OLD_SECRET), BODY)


def test_no_byte_of_time_body_or_signature_can_be_changed() -> None:
    adapter, written = stripe_pay(), signed(BODY)["stripe-signature"]
    for position in range(len(BODY)):
        changed = BODY[:position] + bytes([BODY[position] ^ 1]) + BODY[position + 1 :]
        with pytest.raises(BadSignature):
            adapter.read_webhook({"stripe-signature": written}, changed)
    for position in range(len(written)):
        value = written[:position] + chr(ord(written[position]) ^ 1) + written[position + 1 :]
        with pytest.raises(BadSignature):
            adapter.read_webhook({"stripe-signature": value}, BODY)


# --- webhooks: content ---


def test_a_charge_is_applied_from_its_own_content() -> None:
    (notice,) = stripe_pay().read_webhook(signed(BODY), BODY)
    assert (notice.kind, notice.dedupe_key, notice.reference, notice.trust) == (
        "payment",
        "evt_1",
        P1,
        "signed",
    )
    (capture,) = notice.facts.captures
    assert (capture.id, capture.money, capture.at) == ("ch_1", Money(120000, "TWD"), CREATED + timedelta(minutes=1))
    assert notice.facts.state == "CAPTURED" and notice.facts.provider_data == {"intent": "pi_1"}


def test_an_authorised_charge_is_not_captured() -> None:
    body = an_event(about=a_charge(captured=False, amount_captured=0))
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert (notice.facts.state, notice.facts.captures) == ("AUTHORIZED", ())


@pytest.mark.parametrize("kind", ["completed", "async_payment_succeeded", "async_payment_failed", "expired"])
def test_an_event_of_a_session_only_leads_to_a_poll(kind: str) -> None:
    about = a_session(status="complete", payment_status="paid", payment_intent="pi_1")
    body = an_event(f"checkout.session.{kind}", about)
    (notice,) = stripe_pay().read_webhook(signed(body), body)
    assert (notice.kind, notice.reference, notice.trust) == ("payment", P1, "hint")
    assert (notice.facts.state, notice.facts.captures) == (None, ())


def test_an_event_that_is_not_about_a_payment_of_ours_has_no_effect() -> None:
    for kind, about in (
        ("charge.succeeded", a_charge(metadata={})),
        ("checkout.session.completed", a_session(client_reference_id=None)),
        ("balance.available", {"object": "balance"}),
        ("charge.dispute.created", {"object": "dispute", "metadata": {}}),
    ):
        body = an_event(kind, about)
        (notice,) = stripe_pay().read_webhook(signed(body), body)
        assert (notice.kind, notice.reference, notice.facts.captures, notice.trust) == ("other", "", (), "hint")


MALFORMED: dict[str, bytes] = {
    "not JSON": b"{",
    "a list": b"[]",
    "nothing in it": b"{}",
    "too deep": b'{"id":' + b"[" * 20_000,
    "no event": an_event(object="charge"),
    "an id that is a list": an_event(id=["evt_1"]),
    "an id that no index takes": an_event(id="e" * 9000),
    "nobody it is about": an_event(data={}),
    "about a word": an_event(data={"object": "ch_1"}),
    "about nothing with a name": an_event(about={"id": "ch_1"}),
    "a fraction of a minor unit": an_event(about=a_charge(amount_captured=0.5)),
    "an amount in words": an_event(about=a_charge(amount_captured="120000")),
    "an amount that is true": an_event(about=a_charge(amount_captured=True)),
    "an amount beyond every database": an_event(about=a_charge(amount_captured=2**70)),
    "no amount": an_event(about=a_charge(amount_captured=0)),
    "a currency that is none": an_event(about=a_charge(currency="dollars")),
    "a charge without an id": an_event(about=a_charge(id=None)),
    "a charge without a time": an_event(about=a_charge(created=None)),
    "a time in words": an_event(about=a_charge(created="now")),
    "a time after all time": an_event(about=a_charge(created=10**18)),
    "a reference that is a list": an_event(about=a_charge(metadata={"reference": [P1]})),
    "metadata that is none": an_event(about=a_charge(metadata=5)),
    "a negative amount": an_event(about=a_charge(amount_captured=-1)),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_webhook_that_is_signed_and_cannot_be_read_is_malformed(kind: str) -> None:
    body = MALFORMED[kind]
    with pytest.raises(Malformed):
        stripe_pay().read_webhook(signed(body), body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KINDS = ["charge.succeeded", "payment_intent.canceled", "payment_intent.payment_failed", "checkout.session.expired"]


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200), value=st.text(max_size=80) | st.just("t=1,v1=0"))
def test_no_bytes_and_no_header_raise_anything_else(raw: bytes, value: str) -> None:
    for headers in ({"stripe-signature": value}, signed(raw)):
        try:
            stripe_pay().read_webhook(headers, raw)
        except (BadSignature, Malformed):
            continue


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    about=st.sampled_from([a_charge, an_intent, a_session]),
    field=st.sampled_from(sorted({**a_charge(), **an_intent(), **a_session()})),
    value=json_values,
)
def test_a_webhook_with_any_field_value_is_read_or_malformed(
    kind: str, about: Callable[..., dict[str, Any]], field: str, value: Any
) -> None:
    body = an_event(kind, about(**{field: value}))
    try:
        (notice,) = stripe_pay().read_webhook(signed(body), body)
    except Malformed:
        return
    assert notice.reference in ("", P1) or field in ("client_reference_id", "metadata")
    assert all(0 < capture.money.amount < 2**63 for capture in notice.facts.captures)


def test_what_stripe_reads_as_an_answer() -> None:
    statuses = {"applied": 200, "duplicate": 200, "hint": 200, "orphan": 200}
    statuses |= {"bad_signature": 401, "malformed": 400, "key_reused": 409, "unavailable": 503}
    assert {outcome: stripe_pay().ack(outcome)[0] for outcome in statuses} == statuses
