"""kpay's API for merchants."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acquirer.conftest import RETURN, World


def test_a_payment_is_opened_and_shown_in_the_agreed_shape(acquirer: World) -> None:
    opened = acquirer.open(reference="P-1", amount=120000, currency="TWD", expires_at=None)
    assert opened["id"].startswith("pay_")
    assert opened["created_at"].endswith("Z") and opened["expires_at"] > opened["created_at"]
    assert opened["checkout_url"] == f"http://localhost:9000/pay/{opened['id']}"
    rest = {name: opened[name] for name in opened.keys() - {"id", "created_at", "expires_at", "checkout_url"}}
    assert rest == {
        "object": "payment",
        "reference": "P-1",
        "merchant": "demo",
        "status": "requires_payment",
        "amount": 120000,
        "currency": "TWD",
        "return_url": RETURN,
        "capture_method": "automatic",
        "captures": [],
        "refunds": [],
        "payment_method": None,
        "last_decline": None,
        "ended_by": None,
    }
    assert acquirer.shown(opened) == opened


def test_a_paid_payment_shows_its_capture_and_only_brand_and_last_four_of_the_card(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.approve(payment, card="5555555555554444")
    shown = acquirer.shown(payment)
    assert shown["status"] == "captured" and shown["ended_by"] is None
    (capture,) = shown["captures"]
    assert capture["id"].startswith("cap_") and (capture["amount"], capture["currency"]) == (120000, "TWD")
    assert shown["payment_method"] == {"type": "card", "brand": "mastercard", "last4": "4444"}


def test_payments_are_found_by_our_reference_and_unknown_references_find_none(acquirer: World) -> None:
    first, second = acquirer.open(reference="SAME"), acquirer.open(reference="SAME")
    found = acquirer.api("GET", "/payments?reference=SAME").json
    assert [payment["id"] for payment in found["data"]] == [first["id"], second["id"]]  # type: ignore[index]
    assert acquirer.api("GET", "/payments?reference=NONE").json == {"data": []}
    assert acquirer.api("GET", "/payments?reference=%00").json == {"data": []}
    assert acquirer.api("GET", "/payments").status_code == 422


BAD_FIELDS: list[tuple[str, Any]] = [
    ("amount", 0),
    ("amount", -1),
    ("amount", 12.5),
    ("amount", "120000"),
    ("amount", True),
    ("amount", 10**12),
    ("amount", None),
    ("currency", "EUR"),
    ("currency", None),
    ("currency", 7),
    ("reference", ""),
    ("reference", "x" * 65),
    ("reference", "with\x00nul"),
    ("reference", "half \ud800"),
    ("reference", ["P1"]),
    ("return_url", "javascript:alert(1)"),
    ("return_url", "/orders/1"),
    ("return_url", "http://user:pass@shop.test/"),
    ("return_url", "http://shop.test:port/"),
    ("return_url", None),
    ("webhook_url", "http://169.254.169.254/latest"),
    ("webhook_url", "file:///etc/passwd"),
    ("expires_at", "tomorrow"),
    ("expires_at", "2020-01-01T00:00:00Z"),
    ("expires_at", "9999-12-31T23:59:59-23:59"),
    ("expires_at", "2030-01-01T00:00:00"),
    ("capture_method", "later"),
    ("description", "x" * 201),
    ("locale", 3),
]


def test_a_field_that_cannot_be_so_is_refused_by_name_and_opens_nothing(acquirer: World) -> None:
    for field, value in BAD_FIELDS:
        wish = {name: kept for name, kept in acquirer.wish(reference="BAD").items() if name != field}
        wish |= {} if value is None else {field: value}
        answer = acquirer.api("POST", "/payments", key="k", json=wish)
        assert answer.status_code == 422, (field, value, answer.text)
        error = answer.json["error"]  # type: ignore[index]
        assert (error["type"], error["param"]) == ("invalid_request", field) and error["request_id"]
    assert acquirer.api("GET", "/payments?reference=BAD").json == {"data": []}


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b"[" * 60000, b'"text"'])
def test_what_is_not_a_json_object_is_refused(acquirer: World, body: bytes) -> None:
    answer = acquirer.api("POST", "/payments", data=body, content_type="application/json")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "malformed_json")  # type: ignore[index]


def test_a_body_over_64_kib_is_refused(acquirer: World) -> None:
    answer = acquirer.api("POST", "/payments", data=b"x" * 65537)
    assert (answer.status_code, answer.json["error"]["type"]) == (413, "invalid_request")  # type: ignore[index]


def test_without_the_right_key_every_call_is_refused(acquirer: World) -> None:
    payment = acquirer.open()
    for bearer in ("", "Bearer", "Bearer kp_live_demo", "Basic kp_test_demo", "Bearer kp_test_demö"):
        for method, path in (("POST", "/payments"), ("GET", f"/payments/{payment['id']}")):
            headers = {"Authorization": bearer}
            answer = acquirer.app.test_client().open("/kpay/v1" + path, method=method, headers=headers, json={})
            assert (answer.status_code, answer.json["error"]["code"]) == (401, "invalid_api_key")  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/payments/pay_none", 404),
        ("GET", "/payments/%00", 404),
        ("DELETE", "/payments", 405),
        ("GET", "/payments/pay_none/cancel", 405),
    ],
)
def test_wrong_addresses_and_methods_are_answered_in_json(acquirer: World, method: str, path: str, status: int) -> None:
    answer = acquirer.api(method, path)
    assert (answer.status_code, answer.content_type) == (status, "application/json")
    assert answer.json["error"]["message"]  # type: ignore[index]


def test_cancelling_voids_once_and_repeating_it_is_fine(acquirer: World) -> None:
    payment = acquirer.open()
    for _ in range(2):
        answer = acquirer.api("POST", f"/payments/{payment['id']}/cancel")
        assert answer.status_code == 200
        assert (answer.json["status"], answer.json["ended_by"]) == ("voided", "merchant")  # type: ignore[index]


def test_what_is_paid_cannot_be_cancelled(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.approve(payment)
    answer = acquirer.api("POST", f"/payments/{payment['id']}/cancel")
    assert (answer.status_code, answer.json["error"]["code"]) == (409, "already_captured")  # type: ignore[index]
    assert acquirer.shown(payment)["status"] == "captured"


def test_a_session_ends_at_its_time_and_takes_no_money_afterwards(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.advance("PT30M1S")
    assert (acquirer.shown(payment)["status"], acquirer.shown(payment)["ended_by"]) == ("expired", "time")
    refused = acquirer.sim("POST", f"/payments/{payment['id']}/approve", status=409)
    assert refused["error"]["code"] == "already_expired"
    assert acquirer.api("POST", f"/payments/{payment['id']}/cancel").status_code == 409


def test_authorised_money_is_captured_in_part_once_and_never_beyond(acquirer: World) -> None:
    payment = acquirer.open(capture_method="manual")
    early = acquirer.api("POST", f"/payments/{payment['id']}/capture")
    assert (early.status_code, early.json["error"]["code"]) == (409, "not_authorized")  # type: ignore[index]
    acquirer.approve(payment)
    assert acquirer.shown(payment)["status"] == "authorized" and not acquirer.shown(payment)["captures"]
    assert acquirer.api("POST", f"/payments/{payment['id']}/capture", json={"amount": 120001}).status_code == 422
    taken = acquirer.api("POST", f"/payments/{payment['id']}/capture", json={"amount": 50000}).json
    assert taken["status"] == "captured" and taken["captures"][0]["amount"] == 50000  # type: ignore[index]
    assert acquirer.api("POST", f"/payments/{payment['id']}/capture").status_code == 409


def test_authorised_money_is_let_go_by_a_cancel(acquirer: World) -> None:
    payment = acquirer.open(capture_method="manual")
    acquirer.approve(payment)
    assert acquirer.api("POST", f"/payments/{payment['id']}/cancel").json["status"] == "voided"  # type: ignore[index]


def test_of_eight_customers_and_merchants_at_once_one_decides(acquirer: World) -> None:
    """Half of them pay, half of them cancel: the payment is captured once, or not at all."""
    for _ in range(5):
        payment = acquirer.open()

        def act(number: int, payment: dict[str, Any] = payment) -> int:
            if number % 2:
                return acquirer.api("POST", f"/payments/{payment['id']}/cancel").status_code
            headers = {"Authorization": "Bearer sim_demo"}
            path = f"/_sim/payments/{payment['id']}/approve"
            return acquirer.app.test_client().post(path, headers=headers).status_code

        statuses = acquirer.at_once(8, act)
        shown = acquirer.shown(payment)
        assert set(statuses) <= {200, 409}
        assert len(shown["captures"]) == (1 if shown["status"] == "captured" else 0)
        assert shown["status"] in ("captured", "voided")
