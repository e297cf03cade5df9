"""Test cards, as the manual lists them."""

from __future__ import annotations

import html
import logging
from typing import Any

import pytest

from mock_acquirer.cards import BY_NUMBER, CARDS, DECLINES, passes_luhn, read_number
from tests.acquirer.conftest import GOOD_CARD, Receiver, World

APPROVED = ["4242424242424242", "5555555555554444", "378282246310005", "3566002020360505", "4000000000000259"]
DECLINED = {
    "4000000000000002": "generic_decline",
    "4000000000009995": "insufficient_funds",
    "4000000000009987": "lost_card",
    "4000000000009979": "stolen_card",
    "4000000000000069": "expired_card",
    "4000000000000127": "incorrect_cvc",
    "4000000000000119": "processing_error",
    "4000000000006975": "card_velocity_exceeded",
    "4242424242424241": "incorrect_number",
    "4000008400001280": "authentication_required",
}


def test_good_cards_pay(acquirer: World) -> None:
    for number in APPROVED:
        payment = acquirer.open()
        acquirer.approve(payment, card=number)
        assert acquirer.shown(payment)["status"] == "captured", number


def test_bad_cards_are_declined_with_their_code_and_class(acquirer: World) -> None:
    for number, code in DECLINED.items():
        payment = acquirer.open()
        acquirer.approve(payment, card=number)
        shown = acquirer.shown(payment)
        assert (shown["status"], shown["last_decline"]["code"]) == ("requires_payment", code)
        assert shown["last_decline"]["class"] == DECLINES[code][0]
        assert shown["payment_method"]["last4"] == number[-4:]


def test_declines_do_not_reveal_that_a_card_is_lost_or_stolen() -> None:
    sentences = {DECLINES[code][1] for code in ("generic_decline", "lost_card", "stolen_card", "fraudulent")}
    assert len(sentences) == 1


def test_3ds_cards_go_through_the_challenge(acquirer: World) -> None:
    for number, answer, status, code in (
        ("4000000000003220", "approve", "captured", None),
        ("4000000000003220", "fail", "requires_payment", "authentication_failed"),
        ("4000008400001629", "approve", "requires_payment", "generic_decline"),
    ):
        payment = acquirer.open()
        asked = acquirer.submit(payment, "card", **GOOD_CARD | {"number": number})
        assert asked.headers["Location"] == f"/pay/{payment['id']}/challenge"
        assert acquirer.shown(payment)["status"] == "requires_action"
        acquirer.submit(payment, "challenge", answer=answer)
        shown = acquirer.shown(payment)
        assert (shown["status"], (shown["last_decline"] or {}).get("code")) == (status, code)


def test_0010_times_out_on_the_next_call_and_the_query_after_it_says_approved(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.approve(payment, card="4000009100000010")
    assert acquirer.api("GET", f"/payments/{payment['id']}").status_code == 504
    assert acquirer.shown(payment)["status"] == "captured"


def test_0028_times_out_on_the_next_call_and_the_query_after_it_finds_nothing(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.approve(payment, card="4000009100000028")
    assert [acquirer.api("GET", f"/payments/{payment['id']}").status_code for _ in range(3)] == [504, 404, 200]
    assert acquirer.shown(payment)["captures"] == []


def test_0036_pays_after_expiry(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.approve(payment, card="4000009100000036")
    acquirer.advance("PT35M")
    assert acquirer.shown(payment)["status"] == "expired"
    acquirer.advance("PT6M")
    assert acquirer.shown(payment)["status"] == "captured"


def test_0044_is_charged_twice(acquirer: World) -> None:
    payment = acquirer.open()
    acquirer.approve(payment, card="4000009100000044")
    assert len(acquirer.shown(payment)["captures"]) == 2


def test_0051_never_sends_a_webhook(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.approve(payment, card="4000009100000051")
    acquirer.advance("P3D")
    assert acquirer.shown(payment)["status"] == "captured" and not receiver.hooks


def test_0069_sends_the_webhook_before_the_browser_gets_its_answer(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.submit(payment, "card", **GOOD_CARD | {"number": "4000009100000069"})
    assert receiver.types == ["payment.captured"]


def test_0077_captures_another_amount_and_reports_it(acquirer: World, receiver: Receiver) -> None:
    payment = acquirer.open()
    acquirer.approve(payment, card="4000009100000077")
    acquirer.settle()
    (capture,) = receiver.hooks[0].event["data"]["payment"]["captures"]
    assert (capture["amount"], payment["amount"]) == (120100, 120000)


def test_numbers_outside_the_table_are_refused_whatever_they_are() -> None:
    for entered, why in (
        ("", "Enter"),
        ("4111 1111 1111 1111", "test cards"),
        ("4242 4242 4242 4243", "This card number is not valid."),
        ("4242", "12 to 19"),
        ("4242x42424242424", "12 to 19"),
        ("9" * 30, "12 to 19"),
    ):
        card, sentence = read_number(entered)
        assert card is None and why in sentence, entered


def test_our_own_cards_pass_luhn_and_numbers_are_unique() -> None:
    assert len(BY_NUMBER) == len(CARDS) == len({card.slug for card in CARDS})
    assert all(passes_luhn(card.number) for card in CARDS if card.slug != "incorrect_number")


def test_no_card_number_and_no_security_code_is_stored_or_logged(
    make_world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    acquirer = make_world(ACQUIRER_LOG_LEVEL="DEBUG")
    acquirer.app.logger.addHandler(caplog.handler)
    caplog.set_level(logging.DEBUG)
    numbers = [card.number for card in CARDS] + ["4111111111111111"]
    for number in numbers:
        payment = acquirer.open()
        acquirer.submit(payment, "card", **GOOD_CARD | {"number": number, "cvc": "8731"})
        acquirer.approve(acquirer.open(), card=number) if number in BY_NUMBER else None
    acquirer.settle()
    acquirer.app.logger.removeHandler(caplog.handler)
    kept = acquirer.rows() + "\n".join(caplog.messages) + "\n".join(str(record.__dict__) for record in caplog.records)
    assert not [number for number in numbers if number in kept.replace(" ", "").replace("-", "")]
    assert (
        "8731" not in [text.strip("',()") for text in kept.split()]
        and "kp_test_demo" not in kept
        and "sim_demo" not in kept
        and "whsec_" not in kept
    )


def test_a_card_with_a_later_effect_says_so(acquirer: World) -> None:
    page = acquirer.browser.get(f"/pay/{acquirer.open()['id']}").text
    later = {
        "dispute": "a dispute",
        "dispute_inquiry": "a bank inquiry",
        "refund_pending": "pending",
        "refund_fails": "fail",
    }
    for card in CARDS:
        plain = card.note == "Approved" or card.note.startswith("Approved (")
        bent = bool(card.plan) or card.slug in later or bool(card.decline) or card.challenge
        assert plain != bent, card
        assert later.get(card.slug, "") in card.note
        assert card.note in html.unescape(page)
