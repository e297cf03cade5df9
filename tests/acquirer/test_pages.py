"""Hosted pages without a browser: allowed posts, contents by state, redirects."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from mock_acquirer.presets import PRESETS
from tests.acquirer.conftest import GOOD_CARD, RETURN, Receiver, World


def _page(acquirer: World, payment: dict[str, Any]) -> tuple[str, str]:
    """(path, text) of the payment's current page."""
    answer = acquirer.browser.get(f"/pay/{payment['id']}", follow_redirects=True)
    assert answer.status_code == 200
    return answer.request.path.removeprefix(f"/pay/{payment['id']}"), answer.text


def test_paying_leads_back_to_the_shop_by_303(acquirer: World) -> None:
    payment = acquirer.open(description="Blue Kettle")
    path, page = _page(acquirer, payment)
    assert path == "" and "NT$1,200" in page and payment["reference"] in page and "Blue Kettle" in page
    assert "Test acquirer, no real money" in page
    answer = acquirer.submit(payment, "card", **GOOD_CARD)
    assert (answer.status_code, answer.headers["Location"]) == (303, RETURN)
    assert acquirer.shown(payment)["status"] == "captured"


def test_cancelling_leads_back_to_the_shop_by_303(acquirer: World) -> None:
    payment = acquirer.open()
    answer = acquirer.submit(payment, "cancel")
    assert (answer.status_code, answer.headers["Location"]) == (303, RETURN)
    assert (acquirer.shown(payment)["status"], acquirer.shown(payment)["ended_by"]) == ("voided", "customer")


def test_a_decline_is_explained_and_another_card_may_be_tried_twice(acquirer: World) -> None:
    payment = acquirer.open()
    for left in ("You have 2 more attempts.", "You have one more attempt."):
        acquirer.submit(payment, "card", **GOOD_CARD | {"number": "4000000000009987"})
        path, page = _page(acquirer, payment)
        assert (
            path == ""
            and "Your card was declined" in page
            and left in page
            and "lost" not in page.split("Test cards")[0]
        )
    acquirer.submit(payment, "card", **GOOD_CARD | {"number": "4000000000009987"})
    path, page = _page(acquirer, payment)
    assert path == "/result" and "Payment failed" in page and RETURN in page


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"number": ""}, "number"),
        ({"number": "4111111111111111"}, "number"),
        ({"number": "4242424242424243"}, "number"),
        ({"expiry": "13/30"}, "expiry"),
        ({"expiry": "soon"}, "expiry"),
        ({"cvc": "12"}, "cvc"),
        ({"cvc": "12a"}, "cvc"),
        ({"name": " "}, "name"),
    ],
)
def test_a_field_that_is_not_right_is_explained_and_nothing_is_tried(
    acquirer: World, change: dict[str, str], field: str
) -> None:
    payment = acquirer.open()
    answer = acquirer.submit(payment, "card", **GOOD_CARD | change)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text and 'aria-invalid="true"' in answer.text
    shown_page = re.sub(r"<details class=.cards.*</details>", "", answer.text, flags=re.S)
    assert "4242 4242" not in shown_page and "4242424242" not in shown_page
    shown = acquirer.shown(payment)
    assert (shown["status"], shown["last_decline"]) == ("requires_payment", None)


@pytest.mark.parametrize(
    "typed",
    [
        {"number": "４２４２　４２４２　４２４２　４２４２", "expiry": "１２／３４", "cvc": "１２３"},
        {"number": "4242－4242－4242－4242", "expiry": "12／2034"},
        {"number": "٤٢٤٢ ٤٢٤٢ ٤٢٤٢ ٤٢٤٢"},
    ],
)
def test_digits_of_a_japanese_or_arabic_keyboard_are_digits(acquirer: World, typed: dict[str, str]) -> None:
    payment = acquirer.open()
    assert acquirer.submit(payment, "card", **GOOD_CARD | typed).status_code == 303
    assert acquirer.shown(payment)["status"] == "captured"


@pytest.mark.parametrize("expiry", ["01/20", "12/2019", "１２／２０", "00/34", "12/2099"])
def test_a_date_that_is_over_or_is_none_is_refused_with_words(acquirer: World, expiry: str) -> None:
    payment = acquirer.open()
    answer = acquirer.submit(payment, "card", **GOOD_CARD | {"expiry": expiry})
    assert answer.status_code == 422
    assert re.search(r'id="expiry-error"[^>]*>(This card has expired|Enter month|This date is too far)', answer.text)
    assert acquirer.shown(payment)["status"] == "requires_payment"


def test_a_card_is_good_until_the_last_day_of_its_month_on_the_clock_of_the_run(acquirer: World) -> None:
    now = datetime.now(UTC)
    this_month = f"{now:%m/%y}"
    assert acquirer.submit(acquirer.open(), "card", **GOOD_CARD | {"expiry": this_month}).status_code == 303
    acquirer.sim("POST", "/clock/advance", {"by": "P32D"})
    assert acquirer.submit(acquirer.open(), "card", **GOOD_CARD | {"expiry": this_month}).status_code == 422


def test_every_address_of_a_payment_shows_the_page_that_it_has_now(acquirer: World) -> None:
    titles = {"captured": "Payment accepted", "voided": "Payment cancelled", "failed": "Payment failed"}
    for act, state in (("approve", "captured"), ("cancel", "voided"), ("fail", "failed")):
        payment = acquirer.open()
        acquirer.sim("POST", f"/payments/{payment['id']}/{act}")
        for path in ("", "/challenge", "/result"):
            answer = acquirer.browser.get(f"/pay/{payment['id']}{path}", follow_redirects=True)
            assert answer.request.path == f"/pay/{payment['id']}/result"
            assert titles[state] in answer.text and "You can close this tab" in answer.text
            assert "Card number" not in answer.text and "confirmed" not in answer.text
    assert (
        acquirer.browser.get(f"/pay/{acquirer.open()['id']}/result")
        .headers["Location"]
        .endswith("pay/" + _last(acquirer))
    )


def _last(acquirer: World) -> str:
    found = acquirer.browser.get("/payments").text
    return re.search(r"pay_[0-9a-f]{30}", found)[0]  # type: ignore[index]


def test_a_form_that_is_sent_after_the_end_takes_no_money(acquirer: World) -> None:
    payment = acquirer.open()
    csrf = acquirer.csrf(f"/pay/{payment['id']}")
    acquirer.api("POST", f"/payments/{payment['id']}/cancel")
    answer = acquirer.browser.post(f"/pay/{payment['id']}/card", data={"csrf": csrf} | GOOD_CARD)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/pay/{payment['id']}/result")
    assert acquirer.shown(payment)["captures"] == []


def test_after_its_time_the_page_says_so(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.advance("PT31M")
    path, page = _page(acquirer, payment)
    assert path == "/result" and "This payment page has timed out" in page


def test_pressing_pay_eight_times_at_once_pays_once(acquirer: World) -> None:
    payment = acquirer.open()
    csrf = acquirer.csrf(f"/pay/{payment['id']}")
    cookie = acquirer.browser.get_cookie("acq")
    assert cookie is not None

    def press(_: int) -> int:
        browser = acquirer.app.test_client()
        browser.set_cookie("acq", cookie.value)
        return browser.post(f"/pay/{payment['id']}/card", data={"csrf": csrf} | GOOD_CARD).status_code

    assert set(acquirer.at_once(8, press)) == {303}
    assert len(acquirer.shown(payment)["captures"]) == 1


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Origin": "https://evil.test"}, True),
        ({"Origin": "null"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({}, False),
    ],
)
def test_a_form_from_another_origin_or_without_the_token_is_refused(
    acquirer: World, headers: dict[str, str], token: bool
) -> None:
    payment = acquirer.open()
    csrf = acquirer.csrf(f"/pay/{payment['id']}") if token else "guess"
    for form in ("card", "cancel", "fate"):
        answer = acquirer.browser.post(f"/pay/{payment['id']}/{form}", data={"csrf": csrf} | GOOD_CARD, headers=headers)
        assert answer.status_code == 403
    assert acquirer.shown(payment)["status"] == "requires_payment"


def test_a_form_of_our_own_origin_is_taken(acquirer: World) -> None:
    payment = acquirer.open()
    csrf = acquirer.csrf(f"/pay/{payment['id']}")
    for origin in ("http://localhost:9000", "http://localhost"):
        headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        answer = acquirer.browser.post(f"/pay/{payment['id']}/fate", data={"csrf": csrf}, headers=headers)
        assert answer.status_code == 303


def test_both_tabs_of_a_double_click_can_pay_though_the_cookie_has_the_token_of_one(acquirer: World) -> None:
    payment = acquirer.open()
    overwritten = acquirer.csrf(f"/pay/{payment['id']}")
    acquirer.browser.delete_cookie("acq")
    acquirer.csrf(f"/pay/{payment['id']}")
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    answer = acquirer.browser.post(
        f"/pay/{payment['id']}/card", data={"csrf": overwritten} | GOOD_CARD, headers=headers
    )
    assert answer.status_code == 303
    assert acquirer.shown(payment)["status"] == "captured"


def test_every_page_is_guarded_by_its_headers(acquirer: World) -> None:
    payment = acquirer.open()
    for path in ("/", "/payments", "/deliveries", f"/pay/{payment['id']}", "/nothing", "/healthz"):
        headers = acquirer.browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
    page = acquirer.app.test_client().get(f"/pay/{payment['id']}")
    assert "form-action 'self' http://shop.test;" in page.headers["Content-Security-Policy"]
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("acq=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_what_shops_send_is_shown_as_text(acquirer: World) -> None:
    payment = acquirer.open(description="<img src=x onerror=alert(1)>")
    _, page = _page(acquirer, payment)
    assert "<img" not in page and "&lt;img" in page


@pytest.mark.parametrize("path", ["/pay/none", "/pay/pay_x", "/pay/%00", "/nothing", "/deliveries/none", "/payments/x"])
def test_an_unknown_address_is_a_404_page(acquirer: World, path: str) -> None:
    answer = acquirer.browser.get(path)
    assert (answer.status_code, answer.content_type) == (404, "text/html; charset=utf-8")
    assert "There is a problem" in answer.text


def test_a_wrong_method_and_a_flood_are_refused_as_pages(acquirer: World) -> None:
    payment = acquirer.open()
    assert acquirer.browser.post(f"/pay/{payment['id']}/result").status_code == 405
    assert acquirer.browser.post(f"/pay/{payment['id']}/card", data=b"x" * 70000).status_code in (403, 413)
    assert acquirer.browser.get("/payments?payment=%00").status_code == 422


# --- the simulation panel


def test_a_chosen_preset_is_armed_shown_used_logged_and_cleared(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    assert acquirer.submit(payment, "fate", pick="lost_webhook").status_code == 303
    _, page = _page(acquirer, payment)
    assert "<strong>Armed:</strong>" in page and "<details open>" in page
    acquirer.submit(payment, "card", **GOOD_CARD)
    acquirer.settle()
    assert not receiver.hooks
    assert "hook.drop" in _page(acquirer, payment)[1]
    acquirer.submit(payment, "fate", clear="1")
    assert "<strong>Armed:</strong>" not in _page(acquirer, payment)[1]


def test_picks_of_several_parts_work_together(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    csrf = acquirer.csrf(f"/pay/{payment['id']}")
    picked = {"csrf": csrf, "pick": ["charged_twice", "doubled", "api_500"]}
    acquirer.browser.post(f"/pay/{payment['id']}/fate", data=picked)
    acquirer.submit(payment, "card", **GOOD_CARD)
    acquirer.settle()
    assert len(receiver.hooks) == 4
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 500
    assert len(acquirer.shown(payment)["captures"]) == 2


def test_a_link_can_carry_a_preset_which_takes_effect_when_the_customer_acts(
    acquirer: World, receiver: Receiver
) -> None:
    payment = acquirer.open()
    path = f"/pay/{payment['id']}?fate=bad_signature"
    page = acquirer.browser.get(path).text
    assert "This link simulates a problem" in page and acquirer.record(payment)["faults"] == []
    hidden = re.findall(r'name="fate" value="([^"]+)"', page)
    csrf = acquirer.csrf(path)
    acquirer.browser.post(f"/pay/{payment['id']}/card", data={"csrf": csrf, "fate": hidden} | GOOD_CARD)
    acquirer.settle()
    assert acquirer.fired(payment) == ["hook.sign"]


def test_a_link_with_an_unknown_preset_says_so_and_nothing_can_be_paid_with_it(acquirer: World) -> None:
    payment = acquirer.open()
    answer = acquirer.browser.get(f"/pay/{payment['id']}?fate=%3Cb%3E,nonsense")
    assert answer.status_code == 422
    assert "<b>" not in answer.text and "There is no preset" in answer.text
    assert acquirer.submit(payment, "card", **GOOD_CARD, fate="nonsense").status_code == 422
    assert acquirer.shown(payment)["status"] == "requires_payment"


def test_every_preset_is_offered(acquirer: World) -> None:
    _, page = _page(acquirer, acquirer.open())
    assert all(f'value="{preset.slug}"' in page for preset in PRESETS)


# --- the log


def test_the_delivery_log_shows_each_attempt_and_resends(acquirer: World, receiver: Receiver) -> None:
    receiver.answer = (500, {"X-Why": "broken"}, b"<b>oops</b>")
    acquirer.faults(hook={"sign": "wrong_key"})
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    log = acquirer.browser.get(f"/deliveries?payment={payment['reference']}").text
    (delivery,) = set(re.findall(r"dlv_[0-9a-f]{30}", log))
    assert "payment.captured" in log and "500 in" in log
    page = acquirer.browser.get(f"/deliveries/{delivery}").text
    for shown in (
        "webhook-signature: v1,",
        "&lt;b&gt;oops",
        "X-Why",
        "hook.sign: wrong_key",
        "Next attempt due",
        "Signed string",
    ):
        assert shown.lower() in page.lower(), shown
    answer = acquirer.browser.post(
        f"/deliveries/{delivery}/resend", data={"csrf": acquirer.csrf(f"/deliveries/{delivery}")}
    )
    assert answer.status_code == 303
    acquirer.settle()
    assert len(receiver.hooks) == 2
    assert acquirer.browser.post(f"/deliveries/{delivery}/resend").status_code == 403


def test_the_timeline_of_a_payment_is_shown_line_by_line(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.submit(payment, "card", **GOOD_CARD)
    story = acquirer.browser.get(f"/payments/{payment['id']}").text
    for line in (
        "Opened for TWD 1,200.00",
        "The customer pays with visa ending in 4242",
        "Became captured",
        "Took TWD",
    ):
        assert line in story
    assert payment["id"] in acquirer.browser.get("/payments").text
    assert "No matching payments." in acquirer.browser.get("/payments?payment=other").text


def test_mounted_under_a_prefix_every_link_stays_under_it(make_world: Any) -> None:
    acquirer = make_world(ACQUIRER_PUBLIC_URL="http://shop.test/acquirer")
    payment = acquirer.open()
    assert payment["checkout_url"] == f"http://shop.test/acquirer/pay/{payment['id']}"
    mounted = Client(DispatcherMiddleware(lambda *_: [], {"/acquirer": acquirer.app.wsgi_app}))
    for path in ("/acquirer/", "/acquirer/payments", f"/acquirer/pay/{payment['id']}"):
        page = mounted.get(path)
        assert page.status_code == 200
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
        assert links and all(link.startswith("/acquirer/") for link in links), links
    assert mounted.get(f"/acquirer/pay/{payment['id']}/result").headers["Location"].startswith("/acquirer/pay/")
