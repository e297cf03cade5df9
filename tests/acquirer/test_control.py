"""Control API: exact formats, isolated runs, and error messages."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from mock_acquirer import create_app
from mock_acquirer.settings import BadSetting
from tests.acquirer.conftest import QUIET, Receiver, World

CALLS = [
    ("PUT", "/faults"),
    ("GET", "/payments/P1"),
    ("PUT", "/payments/P1/faults"),
    ("POST", "/payments/P1/approve"),
    ("POST", "/clock/advance"),
    ("GET", "/deliveries?payment=P1"),
    ("POST", "/deliveries/dlv_1/resend"),
    ("POST", "/expect"),
    ("GET", "/totals"),
    ("POST", "/keys/rotate"),
    ("POST", "/reset"),
]


def test_without_the_bearer_every_call_is_refused(acquirer: World) -> None:
    acquirer.open(reference="P1")
    for method, path in CALLS:
        for bearer in ("", "Bearer", "Bearer wrong", "Bearer kp_test_demo"):
            answer = acquirer.app.test_client().open("/_sim" + path, method=method, headers={"Authorization": bearer})
            assert (answer.status_code, answer.json["error"]["code"]) == (401, "invalid_token")  # type: ignore[index]
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_switched_off_there_is_no_control_api_no_log_and_no_simulation_panel(make_world: Any) -> None:
    acquirer = make_world(ACQUIRER_CONTROL="off")
    payment = acquirer.open()
    headers = {"Authorization": "Bearer sim_demo"}
    for method, path in CALLS:
        assert acquirer.app.test_client().open("/_sim" + path, method=method, headers=headers).status_code == 404
    for path in ("/payments", "/deliveries", f"/payments/{payment['id']}"):
        assert acquirer.browser.get(path).status_code == 404
    page = acquirer.browser.get(f"/pay/{payment['id']}?fate=lost_webhook").text
    assert "Simulate a problem" not in page and "lost_webhook" not in page
    assert acquirer.submit(payment, "fate", pick="lost_webhook").status_code == 404


def test_production_has_no_control_unless_switched_on_and_needs_a_secret() -> None:
    production = QUIET | {"SETTLED_ENV": "production", "ACQUIRER_DATABASE_URL": "sqlite://", "PROVIDERS": "paypay"}
    production |= {"PAYPAY_API_KEY": "of-our-own", "PAYPAY_SECRET": "of-our-own-too"}
    with pytest.raises(BadSetting, match="SECRET_KEY"):
        create_app(production | {"SECRET_KEY": "", "ACQUIRER_SECRET_KEY": ""})
    own = production | {"SECRET_KEY": "s3cret" * 6, "ACQUIRER_CONTROL_TOKEN": "t0ken" * 7}
    assert not create_app(own).config["ACQUIRER_CONTROL"]
    assert create_app(own | {"ACQUIRER_CONTROL": "on"}).config["ACQUIRER_CONTROL"]


def test_a_setting_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BadSetting, match="ACQUIRER_THREADS"):
        create_app(QUIET | {"ACQUIRER_THREADS": "many"})


MISTAKES: list[tuple[str, str, Any, int]] = [
    ("GET", "/payments/unknown", None, 404),
    ("GET", "/payments/%00", None, 404),
    ("POST", "/payments/P1/explode", None, 404),
    ("POST", "/payments/P1/approve", {"card": "4111111111111111"}, 422),
    ("POST", "/payments/P1/decline", {"code": "nonsense"}, 422),
    ("POST", "/payments/P1/pay_at_counter", None, 409),
    ("POST", "/payments/P1/dispute", None, 409),
    ("POST", "/clock/advance", None, 422),
    ("POST", "/clock/advance", {"by": "tomorrow"}, 422),
    ("POST", "/clock/advance", {"by": 5}, 422),
    ("POST", "/clock/advance", {"by": "P9999999D"}, 422),
    ("POST", "/clock/advance", {"to": "2020-01-01T00:00:00Z"}, 409),
    ("POST", "/clock/advance", {"to": "9999-01-01T00:00:00Z"}, 422),
    ("POST", "/clock/advance", {"by": "PT1S", "to": "2030-01-01T00:00:00Z"}, 422),
    ("GET", "/deliveries", None, 422),
    ("POST", "/deliveries/dlv_none/resend", None, 404),
    ("POST", "/expect", {"payment": "P1"}, 422),
    ("POST", "/expect", {"payment": "P1", "delivered": "payment.captured", "within": "PT31S"}, 422),
    ("POST", "/expect", {"payment": "P1", "delivered": "payment.captured", "tries": "two"}, 422),
    ("POST", "/expect", {"payment": "none", "delivered": "payment.captured"}, 404),
    ("POST", "/keys/rotate", {"merchant": "stranger"}, 404),
    ("POST", "/keys/rotate", {"overlap": "a day"}, 422),
    ("PUT", "/endpoints/nowhere/faults", None, 404),
    ("GET", "/nothing", None, 404),
    ("DELETE", "/faults", None, 405),
]


def test_mistakes_get_the_right_status_and_a_sentence_and_change_nothing(acquirer: World) -> None:
    payment = acquirer.open(reference="P1")
    for method, path, body, status in MISTAKES:
        error = acquirer.sim(method, path, body, status=status)["error"]
        assert error["message"].endswith(".") and error["code"] and error["type"] and error["request_id"], path
        assert acquirer.shown(payment)["status"] == "requires_payment"


def test_a_run_with_an_odd_name_and_a_body_that_is_no_json_are_refused(acquirer: World) -> None:
    acquirer.sim("GET", "/totals", run="a b", status=400)
    answer = acquirer.app.test_client().put("/_sim/faults", headers={"Authorization": "Bearer sim_demo"}, data="{")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "malformed_json")  # type: ignore[index]


def test_a_payment_is_found_by_either_sides_id_with_its_whole_story(acquirer: World) -> None:
    payment = acquirer.open(reference="OURS")
    acquirer.sim("PUT", "/payments/OURS/faults", {"pay": {"decline": "lost_card", "times": 1}})
    acquirer.sim("POST", "/payments/OURS/approve")
    acquirer.sim("POST", "/payments/OURS/approve", {"card": "5555555555554444"})
    acquirer.settle()
    record = acquirer.sim("GET", "/payments/OURS")
    assert record == acquirer.sim("GET", f"/payments/{payment['id']}")
    assert (record["state"], record["reference"], record["refunds"]) == ("captured", "OURS", [])
    assert len(record["captures"]) == 1 and len(record["deliveries"]) == 2
    assert [use["fault"] for use in record["faults_used"]] == ["pay.decline"]
    assert "Declined: lost_card (never_retry)" in [line["text"] for line in record["timeline"]]
    attempt = record["deliveries"][1]["attempts"][0]
    assert attempt["status"] == 204 and attempt["signed_string"].startswith(attempt["headers"]["webhook-id"])


def test_the_customer_can_decline_fail_and_cancel(acquirer: World, receiver: Receiver) -> None:
    declined, failed, cancelled = acquirer.open(), acquirer.open(), acquirer.open()
    acquirer.sim("POST", f"/payments/{declined['id']}/decline", {"code": "expired_card"})
    acquirer.sim("POST", f"/payments/{failed['id']}/fail")
    acquirer.sim("POST", f"/payments/{cancelled['id']}/cancel")
    assert acquirer.shown(declined)["last_decline"]["code"] == "expired_card"
    assert (acquirer.shown(failed)["status"], acquirer.shown(failed)["ended_by"]) == ("failed", "declines")
    assert (acquirer.shown(cancelled)["status"], acquirer.shown(cancelled)["ended_by"]) == ("voided", "customer")
    for act in ("approve", "decline", "fail", "cancel"):
        for ended in (failed, cancelled):
            acquirer.sim("POST", f"/payments/{ended['id']}/{act}", status=409)
    acquirer.settle()
    assert sorted(receiver.types) == ["payment.declined", "payment.failed", "payment.voided"]


# --- the clock


def test_the_clock_goes_forward_by_or_to_and_never_back(acquirer: World) -> None:
    before = datetime.fromisoformat(acquirer.sim("GET", "/clock")["now"])
    after = datetime.fromisoformat(acquirer.advance("PT15M")["now"])
    assert timedelta(minutes=15) <= after - before < timedelta(minutes=16)
    later = after + timedelta(days=1)
    assert datetime.fromisoformat(acquirer.sim("POST", "/clock/advance", {"to": later.isoformat()})["now"]) >= later
    acquirer.sim("POST", "/clock/advance", {"to": after.isoformat()}, status=409)


def test_what_becomes_due_on_the_way_is_done_at_its_own_time_and_in_order(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(hook={"match": "payment.captured", "delay": "PT50M"})
    paid = acquirer.open()
    acquirer.approve(paid)
    unpaid = acquirer.open()
    done = acquirer.advance("PT2H")
    assert done["delivered"] == 2
    assert receiver.types == ["payment.expired", "payment.captured"]
    ats = [acquirer.record(one)["deliveries"][0]["attempts"][0]["at"] for one in (unpaid, paid)]
    apart = datetime.fromisoformat(ats[1]) - datetime.fromisoformat(ats[0])
    assert timedelta(minutes=19) < apart < timedelta(minutes=21)


def test_two_cannot_turn_one_clock_at_the_same_time(acquirer: World, receiver: Receiver) -> None:
    def slowly(_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.3)
        return 204, {}, b""

    receiver.answer = slowly
    acquirer.approve(acquirer.open())
    headers = {"Authorization": "Bearer sim_demo"}

    def turn(_: int) -> int:
        path = "/_sim/clock/advance"
        return acquirer.app.test_client().post(path, headers=headers, json={"by": "PT1S"}).status_code

    assert sorted(acquirer.at_once(2, turn)) == [200, 409]
    assert len(receiver.hooks) == 1


@pytest.fixture
def shop_clock() -> Any:
    """A shop whose clock can be advanced: (address, requests received)."""
    asked: list[tuple[str, bytes]] = []

    class Clock(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.headers["Authorization"], self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Clock)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/dev/clock", asked
    server.shutdown()
    server.server_close()


def test_the_default_run_turns_the_shops_clock_along_and_other_runs_do_not(make_world: Any, shop_clock: Any) -> None:
    url, asked = shop_clock
    acquirer = make_world(SHOP_CLOCK_URL=url)
    assert acquirer.advance("PT15M")["shop_clock"] == "turned"
    ((bearer, body),) = asked
    assert bearer == "Bearer sim_demo"
    seconds = float(body.decode().split("PT")[1].split("S")[0])
    assert 899 < seconds <= 900
    assert acquirer.advance("PT15M", run="other")["shop_clock"] == "not_configured"
    assert len(asked) == 1


def test_an_unreachable_shop_does_not_stop_the_clock(make_world: Any) -> None:
    acquirer = make_world(SHOP_CLOCK_URL="http://127.0.0.1:9/dev/clock")
    assert acquirer.advance("PT15M")["shop_clock"] == "not_reached"


# --- resend, expect, totals, reset


def test_resending_with_a_fault_affects_that_attempt_alone(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    (delivery,) = acquirer.sim("GET", f"/deliveries?payment={payment['id']}")["deliveries"]
    for body in ({"hook": {"sign": "missing"}}, None):
        acquirer.sim("POST", f"/deliveries/{delivery['id']}/resend", body)
        acquirer.settle()
    assert ["webhook-signature" in hook.headers for hook in receiver.hooks] == [True, False, True]
    acquirer.sim("POST", f"/deliveries/{delivery['id']}/resend", {"hook": {"sign": "badly"}}, status=422)
    assert len({hook.headers["webhook-id"] for hook in receiver.hooks}) == 1


@pytest.mark.full
def test_expect_waits_for_a_delivery_or_reports_what_happened_instead(make_world: Any, receiver: Receiver) -> None:
    acquirer = make_world(ACQUIRER_LOOP="on")
    payment = acquirer.open()
    wanted = {"payment": payment["reference"], "delivered": "payment.captured"}
    never = acquirer.sim("POST", "/expect", wanted, status=409)
    assert never["unmet"] == ["No payment.captured was made."]
    acquirer.approve(payment)
    met = acquirer.sim("POST", "/expect", wanted | {"tries": 1, "ack_under_ms": 5000, "within": "PT10S"})
    assert met["met"] and met["deliveries"][0]["outcomes"] == ["delivered"]
    instead = acquirer.sim("POST", "/expect", wanted | {"tries": 2}, status=409)
    assert instead["unmet"] == ["payment.captured took 1 attempts, not 2."]
    slow = acquirer.sim("POST", "/expect", wanted | {"ack_under_ms": 0}, status=409)
    assert "not under 0 ms" in slow["unmet"][0]
    acquirer.app.extensions["acquirer.loop"].set()


def test_totals_add_up_per_merchant_currency_and_payment(acquirer: World) -> None:
    acquirer.open()
    once, twice, yen = acquirer.open(), acquirer.open(), acquirer.open(amount=980, currency="JPY")
    acquirer.approve(once)
    acquirer.approve(twice, card="4000009100000044")
    acquirer.approve(yen)
    totals = acquirer.sim("GET", "/totals")
    demo = {"merchant": "demo", "dialect": "kpay", "refunded": 0, "refund_pending": 0, "disputed": 0}
    assert totals["merchants"] == [
        demo | {"currency": "TWD", "captured": 360000},
        demo | {"currency": "JPY", "captured": 980},
    ]
    assert [(one["payment"], one["captured"], one["captures"]) for one in totals["payments"]] == [
        (once["id"], 120000, 1),
        (twice["id"], 240000, 2),
        (yen["id"], 980, 1),
    ]
    assert totals["payments"][2]["reference"] == yen["reference"]


def test_runs_do_not_see_each_other(acquirer: World, receiver: Receiver) -> None:
    acquirer.faults(run="a", pay={"decline": "generic_decline"})
    payments = {run: acquirer.open(run=run, reference="SAME") for run in ("a", "b", "")}
    for run, payment in payments.items():
        acquirer.approve(payment, run=run)
    acquirer.advance("PT1H", run="a")
    assert acquirer.shown(payments["a"], run="a")["status"] == "expired"
    assert acquirer.shown(payments["b"], run="b")["status"] == "captured"
    assert len(acquirer.sim("GET", "/totals", run="b")["payments"]) == 1
    assert acquirer.api("GET", f"/payments/{payments['a']['id']}", run="b").status_code == 404
    acquirer.sim("GET", f"/payments/{payments['a']['id']}", run="b", status=404)
    assert len(acquirer.api("GET", "/payments?reference=SAME", run="b").json["data"]) == 1  # type: ignore[index]


def test_reset_clears_its_own_run_and_leaves_the_others(acquirer: World, receiver: Receiver) -> None:
    for run in ("a", "b"):
        acquirer.faults(run=run, pay={"double": True})
        payment = acquirer.open(run=run)
        acquirer.approve(payment, run=run)
        acquirer.advance("P1D", run=run)
    acquirer.sim("POST", "/reset", run="a")
    assert acquirer.sim("GET", "/totals", run="a") == {"merchants": [], "payments": []}
    assert acquirer.sim("GET", "/faults", run="a")["armed"] == []
    assert acquirer.sim("GET", "/clock", run="a")["now"] < acquirer.sim("GET", "/clock", run="b")["now"]
    assert len(acquirer.sim("GET", "/totals", run="b")["payments"]) == 1


def test_health_needs_no_key(acquirer: World) -> None:
    assert acquirer.browser.get("/healthz").json == {"status": "ok"}
