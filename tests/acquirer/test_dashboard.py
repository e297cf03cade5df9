"""Merchant dashboard: contents of its pages, and effects of its buttons."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import standardwebhooks
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from tests.acquirer.conftest import SECRET, Receiver, World

DESK = ["/", "/payments", "/deliveries", "/events", "/scenarios", "/report_card", "/settlement", "/keys"]


def post(acquirer: World, page: str, to: str, **values: str) -> Any:
    return acquirer.browser.post(to, data={"csrf": acquirer.csrf(page)} | values)


def test_payments_are_found_by_state_and_dialect(acquirer: World) -> None:
    acquirer.open(reference="OPEN-1")
    acquirer.approve(acquirer.open(reference="PAID-1"))
    found = acquirer.browser.get("/payments?state=captured&dialect=kpay").text
    assert "PAID-1" in found and "OPEN-1" not in found
    assert "No matching payments." in acquirer.browser.get("/payments?dialect=tpay").text
    assert "No matching payments." in acquirer.browser.get("/payments?state=nonsense").text


def test_a_payment_shows_its_timeline_and_can_be_copied_as_curl(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open(reference="STORY-1", run="r1")
    acquirer.approve(payment, run="r1")
    page = acquirer.browser.get(f"/payments/{payment['id']}").text
    assert "Opened for" in page and "Took" in page and "payment.captured" in page
    assert f"/kpay/v1/payments/{payment['id']}" in page and "Bearer kp_test_demo.r1" in page and "X-Sim-Run: r1" in page


def test_a_key_that_is_not_the_demos_is_never_shown(make_world: Any) -> None:
    acquirer = make_world(ACQUIRER_CONTROL_TOKEN="s3cret-token")
    headers = {"Authorization": "Bearer s3cret-token"}
    acquirer.app.test_client().get("/_sim/clock", headers=headers)
    payment = acquirer.open()
    page = acquirer.browser.get(f"/payments/{payment['id']}").text
    assert "$ACQUIRER_CONTROL_TOKEN" in page and "s3cret" not in page


def test_an_attempt_is_copied_as_curl_and_resent_with_a_fault(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    delivery = acquirer.record(payment)["deliveries"][0]["id"]
    page = acquirer.browser.get(f"/deliveries/{delivery}").text
    assert "curl -i -X POST" in page and "webhook-signature" in page and "Signed string" in page
    assert (
        post(acquirer, f"/deliveries/{delivery}", f"/deliveries/{delivery}/resend", bend="sign_wrong_key").status_code
        == 303
    )
    acquirer.settle()
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(receiver.hooks[1].body, receiver.hooks[1].headers)
    assert "hook.sign: wrong_key" in acquirer.browser.get(f"/deliveries/{delivery}").text
    assert post(acquirer, f"/deliveries/{delivery}", f"/deliveries/{delivery}/resend", bend="eat").status_code == 422


def test_the_events_are_listed_whether_they_arrived_or_not(acquirer: World) -> None:
    acquirer.faults(hook={"drop": 9})
    acquirer.approve(acquirer.open(reference="LOST-1"))
    page = acquirer.browser.get("/events?payment=LOST-1").text
    assert "payment.captured" in page and "evt_" in page
    assert "No events." in acquirer.browser.get("/events?payment=OTHER").text


def test_a_scenario_is_armed_for_a_payment_and_taken_away(acquirer: World) -> None:
    payment = acquirer.open()
    page = f"/scenarios?payment={payment['id']}"
    assert f"/scenarios?payment={payment['id']}" in acquirer.browser.get(f"/pay/{payment['id']}").text
    assert post(acquirer, page, "/scenarios", payment=payment["id"], name="charged_twice").status_code == 303
    assert acquirer.record(payment)["faults"][0]["level"] == "scenario"
    assert "Armed:" in acquirer.browser.get(page).text
    post(acquirer, page, "/scenarios", payment=payment["id"], name="")
    assert acquirer.record(payment)["faults"] == []
    assert post(acquirer, page, "/scenarios", payment=payment["id"], name="unheard_of").status_code == 404


def test_a_scenario_is_armed_for_the_next_payment_of_a_run(acquirer: World) -> None:
    post(acquirer, "/scenarios", "/scenarios", run="r2", name="lost_webhook")
    assert acquirer.record(acquirer.open(run="r2"), run="r2")["faults"][0]["level"] == "scenario"


def test_a_scenario_without_faults_is_confirmed_and_named_in_words(acquirer: World) -> None:
    payment = acquirer.open()
    page = f"/scenarios?payment={payment['id']}"
    armed = post(acquirer, page, "/scenarios", payment=payment["id"], name="closes_every_tab")
    shown = acquirer.browser.get(armed.location).text
    assert "Closes every tab. This scenario has no faults: follow its steps." in shown
    assert ">Card used too often</button>" in shown and ">Declined once: Card used too often</button>" in shown


def test_a_step_that_advances_the_clock_is_a_button(acquirer: World) -> None:
    payment = acquirer.open()
    page = f"/scenarios?payment={payment['id']}"
    button = 'name="by" value="PT45M" formaction="/scenarios/advance">Advance 45 min</button>'
    assert button in acquirer.browser.get(page).text
    advanced = post(acquirer, page, "/scenarios/advance", payment=payment["id"], by="PT45M")
    assert (advanced.status_code, advanced.location) == (303, page)
    assert acquirer.shown(payment)["status"] == "expired"
    for by in ("", "45 min", "P9999D"):
        assert post(acquirer, page, "/scenarios/advance", payment=payment["id"], by=by).status_code == 422


def test_a_payment_is_saved_as_a_file(acquirer: World) -> None:
    payment = acquirer.open(reference="SAVE-1")
    acquirer.approve(payment)
    answer = acquirer.browser.get(f"/payments/{payment['id']}/scenario.toml")
    assert 'filename="saved_save_1.toml"' in answer.headers["Content-Disposition"]
    assert tomllib.loads(answer.text)["steps"] == [{"do": "pay", "card": "4242424242424242"}]


def test_a_rotated_key_is_shown_once_and_both_sign_along(acquirer: World, receiver: Receiver) -> None:
    answer = post(acquirer, "/keys", "/keys", dialect="kpay", overlap="PT1H")
    fresh = "whsec_" + answer.text.split("whsec_")[1].split("<")[0]
    assert "whsec_" not in acquirer.browser.get("/keys").text
    acquirer.approve(acquirer.open())
    acquirer.settle()
    for secret in (SECRET, fresh):
        standardwebhooks.Webhook(secret).verify(receiver.hooks[0].body, receiver.hooks[0].headers)
    assert post(acquirer, "/keys", "/keys", dialect="paypay").status_code == 404


def test_the_settlement_of_today_is_a_link_away(acquirer: World) -> None:
    acquirer.approve(acquirer.open(reference="SETTLE-1"))
    page = acquirer.browser.get("/settlement").text
    assert page.count('aria-label="File of kpay, ') == 7
    link = page.split('href="/settlement/kpay/')[1].split('"')[0].replace("&amp;", "&")
    assert "SETTLE-1" in acquirer.browser.get(f"/settlement/kpay/{link}").text
    assert acquirer.browser.get("/settlement/kpay/2026-13-01").status_code in (404, 422)
    assert acquirer.browser.get("/settlement?discrepancies=many").status_code == 422


def test_the_report_card_is_a_page(acquirer: World, receiver: Receiver) -> None:
    acquirer.app.config["ACQUIRER_WEBHOOK_TARGETS"] = (receiver.url.removesuffix("/hooks"),)
    page = post(acquirer, "/report_card", "/report_card", dialect="kpay", url=receiver.url)
    assert page.status_code == 200 and "problems found" in page.text and "was accepted" in page.text
    refused = post(acquirer, "/report_card", "/report_card", dialect="kpay", url="http://169.254.169.254/")
    assert refused.status_code == 422 and "ACQUIRER_WEBHOOK_TARGETS" in refused.text


def test_without_the_control_switch_only_the_first_page_is_there_and_foreign_forms_do_nothing(make_world: Any) -> None:
    closed = make_world(ACQUIRER_CONTROL="off")
    assert [closed.browser.get(path).status_code for path in DESK] == [200] + [404] * 7
    for path in ("/scenarios", "/scenarios/advance", "/report_card", "/keys"):
        assert closed.browser.post(path).status_code == 404
        assert make_world().browser.post(path, headers={"Origin": "http://evil.test"}).status_code == 403


@pytest.fixture
def served(acquirer: World, receiver: Receiver) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, acquirer.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.full
@pytest.mark.sample(1)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_small_screen_is_accessible_and_keeps_the_policy(
    acquirer: World, served: str, receiver: Receiver, browser: Browser, scheme: Any
) -> None:
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    delivery = acquirer.record(payment)["deliveries"][0]["id"]
    page = browser.new_page(color_scheme=scheme, viewport={"width": 360, "height": 740})
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    for path in [*DESK, f"/payments/{payment['id']}", f"/deliveries/{delivery}", f"/scenarios?payment={payment['id']}"]:
        page.goto(served + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        found = Axe().run(page).response["violations"]
        assert not found, (path, [(one["id"], one["nodes"][0]["html"]) for one in found])
    assert noise == []
    page.close()
