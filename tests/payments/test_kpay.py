"""KPay's wire: what its answers mean, and which webhooks are its own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from shop.core.db import db
from shop.core.money import Money
from shop.payments import inbox, registry
from shop.payments.models import InboxRow, RefusedNotice
from shop.payments.provider import (
    BadSignature,
    Done,
    Found,
    Malformed,
    NotFound,
    Notice,
    PaymentRequest,
    Rejected,
    Show,
    Started,
    Unavailable,
    Unknown,
)
from shop.payments.providers.kpay import KPay
from tests.shop_fixtures import Shop

SECRET = "whsec_" + base64.b64encode(b"the secret of these tests").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"the secret of yesterday..").decode()
SETTINGS = {
    "KPAY_API_KEY": "kp_test_tests",
    "KPAY_WEBHOOK_SECRET": SECRET,
    "KPAY_MERCHANT": "demo",
    "KPAY_URL": "http://kpay.example/kpay",
}
REQUEST = PaymentRequest("PAY-1", Money(120000, "TWD"), "Settled order 1", "en", datetime(2030, 1, 1, tzinfo=UTC))
KNOWN = PaymentRequest(REQUEST.id, REQUEST.money, "", "en", REQUEST.pay_by, {"id": "pay_1"})


def a_payment(**changed: Any) -> dict[str, Any]:
    """A payment object as KPay writes it."""
    written = {
        "id": "pay_1",
        "object": "payment",
        "reference": "PAY-1",
        "merchant": "demo",
        "status": "requires_payment",
        "amount": 120000,
        "currency": "TWD",
        "checkout_url": "http://kpay.example/pay/pay_1",
        "expires_at": "2030-01-01T00:00:00Z",
        "captures": [],
        "refunds": [],
        "payment_method": None,
        "last_decline": None,
        "ended_by": None,
    }
    return written | changed


def a_capture(**changed: Any) -> dict[str, Any]:
    return {"id": "cap_1", "amount": 120000, "currency": "TWD", "captured_at": "2029-12-31T23:59:00Z"} | changed


def an_event(kind: str = "payment.captured", event: str = "evt_1", **changed: Any) -> bytes:
    payment = a_payment(**({"status": "captured", "captures": [a_capture()]} | changed))
    body = {"id": event, "type": kind, "created_at": "2029-12-31T23:59:01Z", "merchant": payment["merchant"]}
    return json.dumps(body | {"data": {"payment": payment}}).encode()


def signed(body: bytes, event: str = "evt_1", secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    """Standard Webhooks' headers over `body`."""
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign(event, at, body.decode("utf-8", "surrogateescape"))
    return {"webhook-id": event, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


def kpay(answer: Callable[[httpx.Request], httpx.Response] | None = None, **changed: str) -> KPay:
    """The adapter before an acquirer that always gives this answer."""
    transport = httpx.MockTransport(answer or (lambda _: httpx.Response(500)))
    return KPay(SETTINGS | changed, lambda: httpx.Client(transport=transport))


def says(status: int, body: Any = None, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    if isinstance(body, bytes):
        return lambda _: httpx.Response(status, content=body, headers=headers)
    return lambda _: httpx.Response(status, json=body, headers=headers)


def fails(error: type[httpx.HTTPError]) -> Callable[[httpx.Request], httpx.Response]:
    def raise_it(request: httpx.Request) -> httpx.Response:
        raise error("it failed", request=request)  # type: ignore[call-arg]

    return raise_it


# --- calls ---

REFUSED = {"error": {"type": "invalid_request", "code": "amount_too_small", "message": "…"}}
STARTS: list[tuple[Any, type, str]] = [
    (says(201, a_payment()), Started, ""),
    (says(200, a_payment()), Started, ""),
    (says(201, {"id": "pay_1"}), Unknown, "cannot be read"),
    (says(201, b"<html>"), Unknown, "cannot be read"),
    (says(201, []), Unknown, "cannot be read"),
    (says(400, REFUSED), Rejected, "amount_too_small"),
    (says(401, b"no"), Rejected, "http_401"),
    (says(422, REFUSED), Rejected, "amount_too_small"),
    (says(409, {"error": {"code": "idempotency_in_flight"}}), Unknown, "409"),
    (says(429, None, **{"retry-after": "7"}), Unavailable, "429"),
    (says(500), Unknown, "500"),
    (says(503), Unknown, "503"),
    (says(302, None, location="http://elsewhere.example"), Unknown, ""),
    (fails(httpx.ConnectError), Unavailable, "ConnectError"),
    (fails(httpx.ConnectTimeout), Unavailable, "ConnectTimeout"),
    (fails(httpx.ReadTimeout), Unknown, "ReadTimeout"),
    (fails(httpx.RemoteProtocolError), Unknown, "RemoteProtocolError"),
]


@pytest.mark.parametrize(("answer", "kind", "why"), STARTS)
def test_what_an_answer_to_opening_means(answer: Any, kind: type, why: str) -> None:
    found = kpay(answer).start(REQUEST, "http://shop/return", "http://shop/webhooks/kpay")
    assert isinstance(found, kind)
    assert why in (getattr(found, "code", "") + getattr(found, "reason", ""))


def test_opening_carries_our_reference_as_the_idempotency_key_and_everything_else() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(201, json=a_payment())

    started = kpay(answer).start(REQUEST, "http://shop/return", "http://shop/webhooks/kpay")
    assert isinstance(started, Started)
    assert started.provider_data == {"id": "pay_1"}
    assert (started.action.kind, started.action.url) == ("redirect", "http://kpay.example/pay/pay_1")
    request = sent[0]
    assert (request.method, str(request.url)) == ("POST", "http://kpay.example/kpay/v1/payments")
    assert request.headers["idempotency-key"] == "PAY-1"
    assert request.headers["authorization"] == "Bearer kp_test_tests"
    body = json.loads(request.content)
    assert (body["reference"], body["amount"], body["currency"]) == ("PAY-1", 120000, "TWD")
    assert body["expires_at"] == "2030-01-01T00:00:00Z"


def test_the_acquirer_says_how_long_to_wait() -> None:
    found = kpay(says(429, None, **{"retry-after": "7"})).query(KNOWN)
    assert found == Unavailable("HTTP 429", 7.0)
    assert kpay(says(503, None, **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})).query(KNOWN) == Unavailable(
        "HTTP 503"
    )


QUERIES: list[tuple[Any, type]] = [
    (says(200, a_payment()), Found),
    (says(404, {"error": {"code": "not_found"}}), NotFound),
    (says(200, b"garbage"), Unavailable),
    (says(200, {"id": "pay_1"}), Unavailable),
    (says(200, a_payment(reference="PAY-2")), Unavailable),
    (says(401), Unavailable),
    (says(500), Unavailable),
    (fails(httpx.ReadTimeout), Unavailable),
]


@pytest.mark.parametrize(("answer", "kind"), QUERIES)
def test_what_an_answer_to_a_question_means(answer: Any, kind: type) -> None:
    assert isinstance(kpay(answer).query(KNOWN), kind)


def test_a_payment_whose_id_we_never_heard_is_asked_about_by_our_reference() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"data": [a_payment()]})

    found = kpay(answer).query(REQUEST)
    assert isinstance(found, Found)
    assert found.facts.provider_data == {"id": "pay_1"}
    assert asked == ["http://kpay.example/kpay/v1/payments?reference=PAY-1"]
    assert isinstance(kpay(says(200, {"data": []})).query(REQUEST), NotFound)


def test_a_code_for_the_counter_is_shown_while_it_waits_and_named_when_it_is_paid() -> None:
    store = {"type": "store", "code": "00071234567890", "expires_at": "2030-01-03T00:00:00Z"}
    waiting = kpay(says(200, a_payment(status="requires_action", payment_method=store))).query(KNOWN)
    assert isinstance(waiting, Found)
    deadline = datetime(2030, 1, 3, tzinfo=UTC)
    assert waiting.facts.show == Show("store_code", "00071234567890", "00071234567890", deadline)
    paid = kpay(says(200, a_payment(status="captured", captures=[a_capture()], payment_method=store))).query(KNOWN)
    assert isinstance(paid, Found)
    assert paid.facts.show is None and paid.facts.instrument
    assert paid.facts.instrument["method"] == "convenience store"


CANCELS: list[tuple[Any, Any]] = [
    (says(200, a_payment(status="voided")), Done()),
    (says(409, {"error": {"code": "already_captured"}}), Rejected("already_captured")),
    (says(500), Unknown("HTTP 500")),
    (fails(httpx.ReadTimeout), Unknown("ReadTimeout")),
]


@pytest.mark.parametrize(("answer", "meaning"), CANCELS)
def test_what_an_answer_to_closing_means(answer: Any, meaning: Any) -> None:
    assert kpay(answer).cancel(KNOWN) == meaning


def test_a_payment_that_never_arrived_there_is_closed() -> None:
    assert kpay(says(200, {"data": []})).cancel(REQUEST) == Done()
    assert kpay(says(500)).cancel(REQUEST) == Unknown("HTTP 500")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_payment", "OPEN"),
        ("requires_action", "OPEN"),
        ("authorized", "AUTHORIZED"),
        ("captured", "CAPTURED"),
        ("voided", "CANCELLED"),
        ("failed", "FAILED"),
        ("expired", "EXPIRED"),
        ("something_new", None),
    ],
)
def test_their_words_for_a_state_in_ours(status: str, state: str | None) -> None:
    found = kpay(says(200, a_payment(status=status))).query(KNOWN)
    assert isinstance(found, Found)
    assert found.facts.state == state


# --- webhooks: whose they are ---


def test_the_standard_s_own_vector_verifies() -> None:
    adapter = kpay(KPAY_WEBHOOK_SECRET="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with time_machine.travel(1614265330, tick=False):
        adapter.verify(headers, b'{"test": 2432232314}')
        with pytest.raises(BadSignature):
            adapter.verify(headers, b'{"test": 2432232315}')


def test_a_signed_webhook_says_what_happened() -> None:
    body = an_event(payment_method={"type": "card", "brand": "visa", "last4": "4242"})
    (notice,) = kpay().read_webhook(signed(body), body)
    assert (notice.dedupe_key, notice.reference, notice.trust, notice.merchant) == ("evt_1", "PAY-1", "signed", "demo")
    assert [c.money for c in notice.facts.captures] == [Money(120000, "TWD")]
    assert notice.facts.instrument == {"method": "card", "brand": "visa", "last4": "4242"}
    assert notice.facts.occurred_at == datetime(2029, 12, 31, 23, 59, 1, tzinfo=UTC)


BODY = an_event()


def headers_with(**changed: str | None) -> dict[str, str]:
    headers: dict[str, Any] = signed(BODY) | {key.replace("_", "-"): value for key, value in changed.items()}
    return {key: value for key, value in headers.items() if value is not None}


FORGERIES: dict[str, Callable[[], tuple[dict[str, str], bytes]]] = {
    "no headers": lambda: ({}, BODY),
    "no id": lambda: (headers_with(webhook_id=None), BODY),
    "no time": lambda: (headers_with(webhook_timestamp=None), BODY),
    "no signature": lambda: (headers_with(webhook_signature=None), BODY),
    "empty signature": lambda: (headers_with(webhook_signature=""), BODY),
    "another key": lambda: (signed(BODY, secret=OLD_SECRET), BODY),
    "another id": lambda: (headers_with(webhook_id="evt_2"), BODY),
    "another time": lambda: (headers_with(webhook_timestamp=str(int(time.time()) + 1)), BODY),
    "a time that is none": lambda: (headers_with(webhook_timestamp="yesterday"), BODY),
    "an endless time": lambda: (headers_with(webhook_timestamp="9" * 400), BODY),
    "not a number": lambda: (headers_with(webhook_timestamp="nan"), BODY),
    "301 s old": lambda: (signed(BODY, at=datetime.now(UTC) - timedelta(seconds=301)), BODY),
    "302 s ahead": lambda: (signed(BODY, at=datetime.now(UTC) + timedelta(seconds=302)), BODY),
    "no comma": lambda: (headers_with(webhook_signature="v1"), BODY),
    "another version": lambda: (
        headers_with(webhook_signature=signed(BODY)["webhook-signature"].replace("v1", "v2")),
        BODY,
    ),
    "not base64": lambda: (headers_with(webhook_signature="v1,§§§§"), BODY),
    "written anew": lambda: (signed(BODY), json.dumps(json.loads(BODY), indent=1).encode()),
    "truncated": lambda: (signed(BODY), BODY[:-1]),
    "one more space": lambda: (signed(BODY), BODY + b" "),
    "not UTF-8": lambda: (signed(BODY), b"\xff" + BODY),
    "empty": lambda: (signed(BODY), b""),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_webhook_that_does_not_prove_where_it_comes_from_is_refused(forgery: str) -> None:
    """Case 21."""
    headers, body = FORGERIES[forgery]()
    with pytest.raises(BadSignature):
        kpay().read_webhook(headers, body)


@pytest.mark.parametrize("seconds", [-298, 0, 298])
def test_a_webhook_within_five_minutes_is_taken(seconds: int) -> None:
    assert kpay().read_webhook(signed(BODY, at=datetime.now(UTC) + timedelta(seconds=seconds)), BODY)


def test_while_one_secret_replaces_another_both_are_good_and_afterwards_only_the_new_one() -> None:
    both = kpay(KPAY_WEBHOOK_SECRET=f"{SECRET}, {OLD_SECRET}")
    for secret in (SECRET, OLD_SECRET):
        assert both.read_webhook(signed(BODY, secret=secret), BODY)
    together = signed(BODY)["webhook-signature"] + " " + signed(BODY, secret=OLD_SECRET)["webhook-signature"]
    assert kpay().read_webhook(headers_with(webhook_signature=together), BODY)
    with pytest.raises(BadSignature):
        kpay().read_webhook(signed(BODY, secret=OLD_SECRET), BODY)


def test_no_byte_of_id_time_body_or_signature_can_be_changed() -> None:
    """Case 21: each byte in turn, in two ways."""
    adapter, headers = kpay(), signed(BODY)
    for name, written in (*headers.items(), ("body", BODY.decode())):
        for position, flip in ((p, f) for p in range(len(written)) for f in (1, 2)):
            character = chr(ord(written[position]) ^ flip)
            changed = written[:position] + character + written[position + 1 :]
            if name == "webhook-signature" and same_bits(changed, written):
                continue  # the last letter of base64 has bits that mean nothing
            body = changed.encode() if name == "body" else BODY
            with pytest.raises(BadSignature):
                adapter.read_webhook(headers if name == "body" else headers | {name: changed}, body)


def same_bits(one: str, other: str) -> bool:
    try:
        return base64.b64decode(one.partition(",")[2]) == base64.b64decode(other.partition(",")[2])
    except ValueError:
        return False


# --- webhooks: what they say ---

MALFORMED: dict[str, Any] = {
    "not JSON": b"{",
    "a list": b"[]",
    "a number": b"1",
    "nothing in it": b"{}",
    "too deep": b'{"id":' + b"[" * 20_000,
    "not a number in it": an_event(captures=[a_capture(amount=float("nan"))]),
    "a fraction of a minor unit": an_event(captures=[a_capture(amount=0.5)]),
    "an amount in words": an_event(captures=[a_capture(amount="120000")]),
    "an amount that is true": an_event(captures=[a_capture(amount=True)]),
    "an amount beyond every database": an_event(captures=[a_capture(amount=2**70)]),
    "a capture without an id": an_event(captures=[a_capture(id=None)]),
    "a capture without a time": an_event(captures=[a_capture(captured_at=None)]),
    "a time without a zone": an_event(captures=[a_capture(captured_at="2029-12-31T23:59:00")]),
    "a time before all time": an_event(captures=[a_capture(captured_at="0001-01-01T00:00:00+14:00")]),
    "a time after all time": an_event(captures=[a_capture(captured_at="9999-12-31T23:59:59-14:00")]),
    "a currency that is none": an_event(captures=[a_capture(currency="dollars")]),
    "captures that are none": an_event(captures=5),
    "no reference": an_event(reference=None),
    "a reference that is a list": an_event(reference=["PAY-1"]),
    "an id that is another's": an_event(event="evt_2"),
    "text that no database takes": an_event(reference="PAY\u0000-1"),
    "half a character": an_event(reference="PAY-\ud800"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_webhook_that_is_signed_and_cannot_be_read_is_malformed(kind: str) -> None:
    """Case 21."""
    body = MALFORMED[kind]
    with pytest.raises(Malformed):
        kpay().read_webhook(signed(body), body)


def test_a_kind_of_event_that_we_do_not_know_says_nothing() -> None:
    """Case 8."""
    body = json.dumps({"id": "evt_1", "type": "balance.available", "merchant": "demo", "data": {"more": 1}}).encode()
    (notice,) = kpay().read_webhook(signed(body), body)
    assert (notice.kind, notice.facts.state, notice.facts.captures) == ("other", None, ())


def test_fields_that_we_do_not_know_are_passed_over() -> None:
    body = an_event(brand_new={"field": [1, 2, 3]})
    assert kpay().read_webhook(signed(body), body)[0].facts.captures


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted(a_payment())


@settings(max_examples=150, deadline=None)
@given(
    raw=st.binary(max_size=200), headers=st.dictionaries(st.sampled_from(sorted(signed(BODY))), st.text(max_size=60))
)
def test_any_bytes_under_any_headers_are_refused_and_nothing_else_is_raised(
    raw: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises((BadSignature, Malformed)):
        kpay().read_webhook(headers, raw)


@settings(max_examples=200, deadline=None)
@given(changed=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4), captures=json_values)
def test_whatever_stands_in_a_signed_payment_it_is_read_or_malformed(changed: dict[str, Any], captures: Any) -> None:
    body = an_event(**({"captures": captures} | changed))
    try:
        notices = kpay().read_webhook(signed(body), body)
    except Malformed:
        return
    assert all(isinstance(notice, Notice) for notice in notices)
    for capture in notices[0].facts.captures:
        assert isinstance(capture.money.amount, int)
        assert capture.at.tzinfo


# --- through the door ---


@pytest.fixture
def door(app: Flask) -> Iterator[FlaskClient]:
    """The shop's door for webhooks, with KPay as the tests have it."""
    app.config.update(SETTINGS)
    with app.app_context():
        registry.all_providers()["kpay"] = kpay(lambda request: httpx.Response(201, json=there(request)))
    return app.test_client()


def there(request: httpx.Request) -> dict[str, Any]:
    """KPay opens whatever it is asked to open."""
    reference = json.loads(request.content)["reference"]
    return a_payment(reference=reference, id=f"pay_{reference}", checkout_url="http://kpay.example/pay")


def test_bad_webhooks_of_every_kind_get_a_4xx_and_nothing_moves(shop: Shop, door: FlaskClient) -> None:
    """Case 21."""
    order = shop.order(provider="kpay")
    reference = shop.payment(order).id
    body = an_event(reference=reference, id=f"pay_{reference}")
    good = signed(body)
    attempts: list[tuple[dict[str, str], bytes, set[int]]] = [
        ({}, body, {401}),
        (signed(body, secret=OLD_SECRET), body, {401}),
        (signed(body, at=datetime.now(UTC) - timedelta(minutes=6)), body, {401}),
        (good, body[:-20], {401}),
        (good, body.replace(b"120000", b"120001"), {401}),
        (good, b"\xff\xfe" + body, {401}),
        (good, b"x" * 10_000_000, {413}),
        (good, b"x" * 65_537, {413}),
        (good | {"content-type": "application/x-www-form-urlencoded"}, b"id=evt_1&type=payment.captured", {401}),
        (signed(b"id=evt_1", "evt_1") | {"content-type": "text/plain"}, b"id=evt_1", {400}),
    ]
    for headers, sent, expected in attempts:
        answer = door.post("/webhooks/kpay", headers=headers, data=sent)
        assert answer.status_code in expected, (answer.status_code, sent[:40])
    assert door.get("/webhooks/kpay").status_code == 405
    assert door.post("/webhooks/nopay", headers=good, data=body).status_code == 404
    assert (shop.state(order), shop.captures(order), shop.count(InboxRow)) == ("WAITING_PAYMENT", [], 0)
    assert shop.count(RefusedNotice) == 8
    assert door.post("/webhooks/kpay", headers=good, data=body).status_code == 200
    assert shop.state(order) == "PAID"


def test_a_webhook_replayed_within_its_time_is_acknowledged_and_nothing_moves(shop: Shop, door: FlaskClient) -> None:
    """Case 21."""
    order = shop.order(provider="kpay")
    body = an_event(reference=shop.payment(order).id)
    answers = [door.post("/webhooks/kpay", headers=signed(body), data=body) for _ in range(3)]
    assert [(a.status_code, a.text) for a in answers] == [(200, "applied"), (200, "duplicate"), (200, "duplicate")]
    assert shop.captures(order) == ["paid"]


def test_an_event_of_a_kind_that_we_do_not_know_is_acknowledged_and_done_with(shop: Shop, door: FlaskClient) -> None:
    """Case 8."""
    body = json.dumps({"id": "evt_1", "type": "balance.available", "merchant": "demo", "data": {}}).encode()
    answer = door.post("/webhooks/kpay", headers=signed(body), data=body)
    assert (answer.status_code, answer.text) == (200, "hint")
    db.session.rollback()
    assert db.session.scalars(db.select(InboxRow)).one().due_at is None


@pytest.mark.parametrize("amount", [0, -1, -120000, 119999, 120001, 2**31, 10**12])
def test_a_capture_of_any_other_amount_is_booked_and_looked_at(shop: Shop, door: FlaskClient, amount: int) -> None:
    """Case 22, up to the recorded state."""
    order = shop.order(provider="kpay")
    body = an_event(reference=shop.payment(order).id, captures=[a_capture(amount=amount)])
    assert door.post("/webhooks/kpay", headers=signed(body), data=body).text == "mismatch"
    assert (shop.state(order), shop.captures(order)) == ("WAITING_PAYMENT", ["mismatch"])
    assert shop.standing(order).key == "review"


def test_a_webhook_that_was_stored_is_applied_although_its_secret_has_changed_since(
    shop: Shop, door: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order(provider="kpay")
    body = an_event(reference=shop.payment(order).id)

    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(inbox, "settle", broken)
        assert door.post("/webhooks/kpay", headers=signed(body), data=body).status_code == 200
    registry.all_providers()["kpay"] = kpay(KPAY_WEBHOOK_SECRET=OLD_SECRET)
    shop.turn(seconds=6)
    assert shop.state(order) == "PAID"


def test_no_secret_and_no_signature_is_ever_written_to_the_log(
    shop: Shop, door: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    body = an_event(reference=shop.payment(shop.order(provider="kpay")).id)
    for secret in (SECRET, OLD_SECRET):
        door.post("/webhooks/kpay", headers=signed(body, secret=secret), data=body)
    said = "".join(capfd.readouterr())
    assert "inbox.refused" in said
    for hidden in (SECRET, SETTINGS["KPAY_API_KEY"], signed(body)["webhook-signature"].partition(",")[2]):
        assert hidden not in said
