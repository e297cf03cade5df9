"""Payments that support and finance explain in the console: lost and refused webhooks, late, duplicate and disputed
money, a settlement line that does not match, and a payout.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import Visitor
from e2e.console.desk import FINANCE, FINANCE2, SUPPORT, Desk, paid, sale
from e2e.console_checks import is_sound
from e2e.control import Control
from e2e.customers import HttpCustomer
from e2e.demo import Demo
from tests.parts.waiting import until

People = Callable[..., Visitor]
SLOW_REFUND_CARD = "4000000000007726"
"""Its refunds are pending for days."""


def test_a_lost_webhook_is_explained_after_a_query_of_the_acquirer(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = sale(http_customer)
    acquirer.faults_of(sold.payment, hook={"drop": 1_000_000})
    acquirer.approve(sold.payment)
    support = Desk(new_visitor(), SUPPORT)
    page = support.find(sold.number)
    is_sound(page)
    query = page.get_by_role("button", name="Ask acquirer now")
    if query.count():  # else polling was faster
        query.press("Enter")
        support.reads("The acquirer was asked. What it answered is in the timeline.")
    support.shows(f"/orders/{sold.number}", "captured")
    expect(page.locator(".why")).to_contain_text("answer")
    support.open(f"/orders/{sold.number}?source=webhook")
    support.reads("Nothing from these sources.")


@pytest.mark.full
def test_webhooks_with_a_wrong_secret_are_explained_and_those_that_wait_are_retried_together(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = sale(http_customer)
    acquirer.faults_of(sold.payment, hook={"sign": "wrong_key"})
    acquirer.approve(sold.payment)
    until(lambda: 401 in acquirer.answers(sold.payment), what="the refusal")
    support = Desk(new_visitor(), SUPPORT)
    support.shows("/webhooks?state=refused", "kpay").get_by_role("link").first.click()
    support.reads(re.compile("signature", re.I))
    expect(support.page.get_by_role("button", name="Retry")).to_have_count(0)
    acquirer.faults_of(sold.payment)
    [delivery, *_] = acquirer.payment(sold.payment)["deliveries"]
    acquirer.resend(delivery["id"])
    support.shows("/webhooks?state=done", sold.number)
    demo.execute(
        "UPDATE webhook_events SET due_at = '2099-01-01 00:00:00', done_at = NULL, error = 'the secret was wrong', "
        "tries = 3 WHERE id = (SELECT MAX(id) FROM webhook_events WHERE provider = 'kpay')"
    )
    support.shows("/webhooks?state=failing", "kpay")
    support.page.get_by_role("link", name="Retry all of these").click()
    support.reads(re.compile("1 webhook matches and can be retried"))
    support.page.get_by_label("Reason").fill("the secret is right now")
    support.page.get_by_role("button", name="Confirm").click()
    support.page.wait_for_load_state()

    support.lacks("/webhooks?state=failing", "kpay")


@pytest.mark.full
def test_late_money_is_acknowledged_by_key_and_has_its_refund(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = sale(http_customer)
    acquirer.faults_of(sold.payment, pay={"late_after_expiry": "PT10M"})
    acquirer.approve(sold.payment, card=SLOW_REFUND_CARD)
    acquirer.turn("PT31M")
    acquirer.turn("PT11M")
    support = Desk(new_visitor(), SUPPORT)
    row = support.shows("", sold.number)
    row.get_by_role("link").first.focus()
    support.page.keyboard.press("e")
    support.reads("You have acknowledged the alert.")
    row = support.row(sold.number).first
    expect(row).to_contain_text(SUPPORT)
    row.get_by_role("link").first.press("Enter")
    expect(support.page.get_by_role("table", name="Notifications")).to_be_visible()
    expect(support.row(FINANCE).first).to_contain_text("raised")
    support.shows(f"/orders/{sold.number}", "late")
    acquirer.turn("P4D")
    support.lacks("", sold.number)


@pytest.mark.full
def test_a_duplicate_payment_is_found_by_the_acquirers_id_and_its_refund_is_shown(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = sale(http_customer)
    acquirer.faults_of(sold.payment, pay={"double": True})
    acquirer.approve(sold.payment)
    support = Desk(new_visitor(), SUPPORT)
    support.shows("/orders?flag=duplicate", sold.number)
    page = support.find(acquirer.payment(sold.payment)["captures"][1]["id"])
    expect(page).to_have_url(re.compile(sold.number))
    support.reads(re.compile("duplicate"))


@pytest.mark.full
def test_a_chargeback_is_in_the_list_with_its_answer_date_and_is_not_refunded(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control
) -> None:
    sold = paid(demo, http_customer, acquirer)
    acquirer.act(sold.payment, "dispute", reason="fraudulent")
    support = Desk(new_visitor(), SUPPORT)
    row = support.shows("", sold.number)
    expect(row).to_contain_text("Dispute")
    row.get_by_role("button", name=re.compile("^Claim")).press("Enter")
    expect(support.row(sold.number).first).to_contain_text(SUPPORT)
    is_sound(support.page)
    support.shows("/disputes", sold.number)
    support.open(f"/orders/{sold.number}/refund")
    support.reads("Nothing on this order can be refunded now.")
    acquirer.act(sold.payment, "dispute", outcome="won")
    support.shows("/disputes", "won")


@pytest.mark.full
def test_a_settlement_line_that_does_not_match_is_found_in_an_uploaded_file_and_accepted_with_a_reason(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control, tmp_path: Path
) -> None:
    paid(demo, http_customer, acquirer)
    day = acquirer.day()
    path = tmp_path / "settlement.json"
    path.write_bytes(acquirer.settlement("kpay", day, discrepancies=3))  # a missing and an unknown line, another fee
    finance = Desk(new_visitor(), FINANCE)
    upload(finance, day, path)
    finance.reads(re.compile("Discrepancies opened: [1-9]"))
    finance.shows("", "Settlement file and ledger differ")
    finance.page.get_by_role("list", name="Numbers").get_by_role("link", name=re.compile("Settlement file")).press(
        "Enter"
    )
    expect(finance.page).to_have_url(re.compile("rule=RULE_F"))
    is_sound(finance.page)
    page = finance.menu("Reconciliation")
    unmatched = page.get_by_role("table", name="Unmatched lines").get_by_role("link")
    unmatched.first.press("Enter")
    page.get_by_label("Reason").fill("the acquirer keeps the fee of last month")
    page.get_by_role("button", name="Accept").press("Enter")
    finance.reads("You have accepted the discrepancy. It is closed.")
    finance.reads("the acquirer keeps the fee of last month")
    path.write_bytes(acquirer.settlement("kpay", day))
    upload(finance, day, path)
    finance.reads(re.compile("closed: [1-9]"))


def upload(finance: Desk, day: str, path: Path) -> None:
    """Upload a settlement file of KPay on the page Reconciliation."""
    page = finance.page
    page.get_by_role("navigation", name="Console").get_by_role("link", name="Reconciliation").press("Enter")
    page.get_by_role("link", name="Upload a file").press("Enter")
    page.get_by_label("Provider", exact=True).select_option("kpay")
    page.get_by_label("Business day of the provider").fill(day)
    page.get_by_label("File", exact=True).set_input_files(path)
    page.get_by_role("button", name="Upload").press("Enter")
    page.wait_for_url(re.compile(f"/reconciliation/kpay/{day}$"))


@pytest.mark.full
def test_a_payout_is_requested_by_one_person_and_approved_by_another(
    demo: Demo, new_visitor: People, http_customer: HttpCustomer, acquirer: Control, tmp_path: Path
) -> None:
    paid(demo, http_customer, acquirer)
    day = acquirer.day()
    path = tmp_path / "settlement"
    path.write_bytes(acquirer.settlement("kpay", day))
    done = demo.flask("reconcile", day, "--provider", "kpay", "--file", str(path), "--by", FINANCE)
    assert "booked" in done.stdout, done.stdout + done.stderr
    one, other = Desk(new_visitor(), FINANCE), Desk(new_visitor(), FINANCE2)
    page = one.menu("Payouts")
    page.get_by_label("Amount").fill("1")
    page.get_by_label("Currency").select_option("TWD")
    page.get_by_label("Reason").fill("the week's sales")
    page.get_by_role("button", name="Request").click()
    one.reads("You have requested the payout. Another person approves it.")
    one.menu("Approvals")
    own = one.page.get_by_role("article").filter(has_text="the week's sales")
    expect(own.get_by_role("button", name=re.compile("^Approve"))).to_have_count(0)
    other.shows("", "Payout").get_by_role("link").first.press("Enter")
    request = other.page.get_by_role("article").filter(has_text="the week's sales")
    request.get_by_role("button", name=re.compile("^Approve")).press("Enter")
    expect(request).to_have_count(0)
    one.shows("/payouts", FINANCE2)
