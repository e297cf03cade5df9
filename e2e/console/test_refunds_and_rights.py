"""Refunds with two people and with a stale number, and a console that stays open while its person loses a role."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console.desk import FINANCE, FINANCE2, SUPPORT, Desk, paid
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from tests.parts.waiting import until

People = Callable[..., Visitor]


def test_a_refund_is_requested_by_keyboard_and_approved_by_a_second_person(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = paid(demo, http_customer, acquirer)
    support = Desk(new_visitor(), SUPPORT)
    page = support.find(sold.number.lower())
    page.get_by_role("button", name="Refund", exact=True).press("Enter")
    is_sound(page)
    page.get_by_label(re.compile("To the customer's bank")).press("Space")
    page.get_by_label("Reason").focus()
    page.keyboard.type("the card is closed")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/orders/{sold.number}$"))
    finance = Desk(new_visitor(), FINANCE)
    finance.shows("", sold.number).get_by_role("link").first.press("Enter")
    request = finance.page.get_by_role("article").filter(has_text=sold.number)
    expect(request).to_contain_text("the card is closed")
    is_sound(finance.page)
    request.get_by_label(re.compile("I have checked")).check()
    request.get_by_role("button", name=re.compile("^Approve")).press("Enter")
    expect(request).to_have_count(0)
    support.shows(f"/orders/{sold.number}", FINANCE)
    refunded = page.get_by_text("refunded", exact=True)
    until(lambda: page.reload() and refunded.count() > 0, within=30, what="the order to be refunded")


@pytest.mark.full
def test_a_refund_with_a_stale_number_is_refused_with_the_new_one(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = paid(demo, http_customer, acquirer)
    first, second = Desk(new_visitor(), FINANCE), Desk(new_visitor(), FINANCE2)
    for desk in (first, second):
        desk.open(f"/orders/{sold.number}/refund").get_by_label("Reason").fill("one is broken")
    first.page.get_by_label(re.compile("^Amount")).fill("10")
    first.page.get_by_role("button", name="Confirm").click()
    first.page.wait_for_url(re.compile(f"/orders/{sold.number}$"))
    second.refused(409)
    second.page.get_by_role("button", name="Confirm").click()
    expect(second.page.get_by_role("alert")).to_be_visible()
    expect(second.page.get_by_label("Reason")).to_have_value("one is broken")
    is_sound(second.page)
    second.open(f"/orders/{sold.number}")
    expect(second.row("refund").filter(has_text=FINANCE).first).to_be_visible()


@pytest.mark.full
def test_an_open_console_of_a_demoted_person_approves_nothing(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = paid(demo, http_customer, acquirer)
    money = (sold.number, "--to", "bank", "--reason", "the card is closed", "--by", FINANCE)
    assert demo.flask("money", "refund", *money).returncode == 0
    made = demo.flask(
        "users", "create", "temp@example.com", "--role", "finance", "--password", "a kettle in the office"
    )
    assert made.returncode == 0, made.stdout + made.stderr
    temp = Desk(new_visitor(), "temp@example.com", "a kettle in the office")
    temp.menu("Approvals")
    request = temp.page.get_by_role("article").filter(has_text=sold.number)
    expect(request).to_be_visible()
    demoted = demo.flask("users", "set-roles", "temp@example.com", "--role", "merchandiser", "--reason", "new job")
    assert demoted.returncode == 0, demoted.stdout + demoted.stderr
    temp.refused(403)
    request.get_by_label(re.compile("I have checked")).check()
    request.get_by_role("button", name=re.compile("^Approve")).click()
    expect(request).to_have_count(0)
    finance = Desk(new_visitor(), FINANCE2)
    finance.menu("Approvals")
    expect(finance.page.get_by_role("article").filter(has_text=sold.number)).to_be_visible()
