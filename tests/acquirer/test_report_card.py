"""PaymentUpdateRow card: no findings for a correct receiver, and sentences about the mistakes of others."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import stripe
from flask import Flask
from werkzeug.serving import make_server

from mock_acquirer import clock, create_app, engine
from mock_acquirer.dialects import _tpay_wire
from tests.acquirer.conftest import QUIET, SECRET, Hook, Receiver, World

Answer = tuple[int, dict[str, str], bytes]
NOTHING: dict[str, str] = {}


def of_kpay(hook: Hook) -> Answer:
    """Verify as the Standard Webhooks library does; any exception is a refusal."""
    try:
        standardwebhooks.Webhook(SECRET).verify(hook.body, hook.headers)
    except Exception:  # noqa: BLE001 - the libraries let several kinds out
        return 401, NOTHING, b""
    return 204, NOTHING, b""


def of_stripe(hook: Hook) -> Answer:
    """Verify as Stripe's own library does."""
    try:
        stripe.Webhook.construct_event(hook.body, hook.headers.get("stripe-signature", ""), "whsec_stripe_demo")
    except Exception:  # noqa: BLE001 - the libraries let several kinds out
        return 400, NOTHING, b""
    return 200, NOTHING, b"ok"


def of_tpay(hook: Hook) -> Answer:
    wanted = hmac.new(b"tpay_demo_secret", hook.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(hook.headers.get("x-signature", ""), wanted):
        return 401, NOTHING, b"0|bad signature"
    return 200, NOTHING, b"1|OK"


def of_paypay(hook: Hook) -> Answer:
    try:
        json.loads(hook.body)
    except ValueError:
        return 400, NOTHING, b""
    return 200, NOTHING, b""


RIGHT: dict[str, Callable[[Hook], Answer]] = {
    "kpay": of_kpay,
    "stripe": of_stripe,
    "tpay": of_tpay,
    "paypay": of_paypay,
}


def card(acquirer: World, dialect: str, receiver: Receiver, **more: str) -> dict[str, Any]:
    acquirer.app.config["ACQUIRER_WEBHOOK_TARGETS"] = (receiver.url.removesuffix("/hooks"),)
    return acquirer.sim("POST", "/report_card", {"dialect": dialect, "url": receiver.url} | more)  # type: ignore[no-any-return]


@pytest.mark.parametrize("dialect", list(RIGHT))
def test_a_correct_receiver_has_a_clean_report_card(acquirer: World, receiver: Receiver, dialect: str) -> None:
    receiver.answer = RIGHT[dialect]
    result = card(acquirer, dialect, receiver)
    assert result["findings"] == [] and result["clean"]
    tried = {check["name"] for check in result["checks"]}
    assert {"good", "duplicate", "at_once", "late", "malformed", "huge", "content_type"} <= tried
    signed = {"no_signature", "wrong_key", "malformed_signature", "tampered"}
    assert signed <= tried if dialect != "paypay" else not signed & tried
    assert "4242424242424242" not in json.dumps(result)


WRONG: list[tuple[str, Callable[[Hook], Answer], set[str]]] = [
    (
        "kpay",
        lambda _: (204, NOTHING, b""),
        {"no_signature", "wrong_key", "old_key", "malformed_signature", "tampered", "stale_time", "future_time"},
    ),
    (
        "kpay",
        lambda hook: (500, NOTHING, b"") if hook.body[:1] != b"{" else of_kpay(hook),
        {"empty", "not_utf8", "huge", "not_an_object"},
    ),
    (
        "tpay",
        lambda hook: (200, NOTHING, b"OK") if of_tpay(hook)[0] == 200 else of_tpay(hook),
        {"good", "duplicate", "at_once", "late"},
    ),
]


@pytest.mark.parametrize(("dialect", "answer", "names"), WRONG)
def test_the_receivers_mistakes_are_found_and_listed(
    acquirer: World, receiver: Receiver, dialect: str, answer: Callable[[Hook], Answer], names: set[str]
) -> None:
    receiver.answer = answer
    result = card(acquirer, dialect, receiver)
    assert {check["name"] for check in result["checks"] if check["verdict"] == "wrong"} == names
    assert len(result["findings"]) == len(names) and all(finding.endswith(".") for finding in result["findings"])


def test_a_duplicate_that_is_refused_is_found(acquirer: World, receiver: Receiver) -> None:
    seen: set[str] = set()

    def answer(hook: Hook) -> Answer:
        known = hook.headers["webhook-id"] in seen
        seen.add(hook.headers["webhook-id"])
        right = of_kpay(hook)
        return (409, NOTHING, b"") if known and right[0] == 204 else right

    receiver.answer = answer
    findings = card(acquirer, "kpay", receiver)["findings"]
    assert any(finding.startswith("A duplicate was answered 409") for finding in findings)


def test_a_redirect_and_a_slow_answer_are_found(acquirer: World, receiver: Receiver, monkeypatch: Any) -> None:
    known = acquirer.app.extensions["acquirer.dialects"]
    monkeypatch.setitem(known, "kpay", dataclasses.replace(known["kpay"], ack_within=0.05))
    slow = iter(range(1000))

    def answer(hook: Hook) -> Answer:
        if of_kpay(hook)[0] != 204:
            return of_kpay(hook)
        if next(slow) == 0:
            return 302, {"Location": receiver.url + "/elsewhere"}, b""
        time.sleep(0.1)
        return 204, NOTHING, b""

    receiver.answer = answer
    findings = card(acquirer, "kpay", receiver)["findings"]
    assert "A valid delivery was answered with a redirect (302). Acquirers do not follow redirects." in findings
    assert any(re.search(r"was acknowledged after \d+ ms; KPay gives up after 50\.$", finding) for finding in findings)
    assert not receiver.others


def test_the_card_and_the_deliveries_wait_for_an_acknowledgement_equally_long(acquirer: World) -> None:
    known = acquirer.app.extensions["acquirer.dialects"]
    assert {name: one.ack_within for name, one in known.items()} == {"kpay": 5, "tpay": 5, "stripe": 5, "paypay": 2}
    assert acquirer.app.extensions["acquirer.http"].timeout.read == max(one.ack_within for one in known.values())


def test_a_payment_of_another_dialect_is_refused_before_it_is_paid(acquirer: World, receiver: Receiver) -> None:
    acquirer.app.config["ACQUIRER_WEBHOOK_TARGETS"] = (receiver.url.removesuffix("/hooks"),)
    payment = acquirer.open()
    body = {"dialect": "tpay", "url": receiver.url, "payment": payment["id"]}
    assert acquirer.sim("POST", "/report_card", body, status=409)["error"]["code"] == "other_dialect"
    assert acquirer.shown(payment)["status"] == "requires_payment"
    assert not receiver.hooks


def test_a_receiver_that_is_not_there_gets_no_answer_said(acquirer: World, receiver: Receiver) -> None:
    receiver.url = "http://127.0.0.1:9/hooks"
    findings = card(acquirer, "kpay", receiver)["findings"]
    assert findings[0] == "A valid delivery: no answer (ConnectError: [Errno 111] Connection refused)."


def _open_trade(acquirer: World) -> None:
    """A trade of tpay that the receiver knows as RC1."""
    with acquirer.app.app_context():
        run = clock.enter_run(None)
        end = engine.default_end(run, 3600)
        wire = {"MerchantID": "3002607"}
        engine.open_session(engine.Session(run, "tpay", "demo", "RC1", 120000, "TWD", "", "", end, wire=wire))


def _ask(acquirer: World) -> None:
    fields = {"MerchantID": "3002607", "MerchantTradeNo": "RC1", "TimeStamp": str(int(time.time()))}
    sealed = _tpay_wire.sealed(fields, "pwFHCqoQZGmho4w6", "EkRm7iFT261dpevs")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert acquirer.app.test_client().post("/tpay/query", data=sealed, headers=form).status_code == 200


@pytest.mark.parametrize("asks", [True, False])
def test_with_a_payment_of_the_receiver_the_card_reports_whether_a_hint_leads_to_a_query(
    acquirer: World, receiver: Receiver, monkeypatch: Any, asks: bool
) -> None:
    monkeypatch.setattr("mock_acquirer.report_card.ASKS_WITHIN", 0.5)
    _open_trade(acquirer)

    def answer(hook: Hook) -> Answer:
        right = of_tpay(hook)
        if asks and right[0] == 200 and b"RC1" in hook.body:
            _ask(acquirer)
        return right

    receiver.answer = answer
    result = card(acquirer, "tpay", receiver, payment="RC1")
    assert result["checks"][-1]["verdict"] == ("right" if asks else "wrong")
    assert result["clean"] is asks
    assert acquirer.sim("GET", "/payments/RC1")["state"] == "captured"


def test_only_allowed_addresses_are_tried(acquirer: World) -> None:
    for sent, status in (
        ({}, 422),
        ({"dialect": "kpay"}, 422),
        ({"dialect": "kpay", "url": "http://169.254.169.254/latest"}, 422),
        ({"dialect": "kpay", "url": "http://elsewhere.test/"}, 422),
        ({"dialect": "cash", "url": "http://localhost:8000/x"}, 404),
        ({"dialect": "kpay", "url": "http://localhost:8000/x", "payment": "NOBODY"}, 404),
    ):
        acquirer.sim("POST", "/report_card", sent, status=status)


@pytest.fixture
def our_shop(app: Flask, tmp_path: Path, _acquirer_template: Path) -> Iterator[tuple[World, str]]:
    """(an acquirer, address of our own shop)."""
    shutil.copy(_acquirer_template, tmp_path / "acquirer.db")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    own = {"ACQUIRER_DATABASE_URL": f"sqlite:///{tmp_path / 'acquirer.db'}", "ACQUIRER_WEBHOOK_TARGETS": url}
    yield World(create_app(QUIET | own)), url
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("dialect", list(RIGHT))
def test_our_own_shop_has_a_clean_report_card(our_shop: tuple[World, str], dialect: str) -> None:
    acquirer, url = our_shop
    result = acquirer.sim("POST", "/report_card", {"dialect": dialect, "url": f"{url}/webhooks/{dialect}"})
    assert result["findings"] == []
    assert any(check["name"] == "good" and check["verdict"] == "right" for check in result["checks"])
