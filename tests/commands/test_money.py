"""`flask money`: what people decide from a shell, with refusals in words and an exit code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shop.accounts.models import User
from shop.core import clock
from shop.core.db import db, writing
from shop.core.money import Money
from shop.ledger import book, chart, payouts
from shop.orders.models import Order
from shop.payments import disputes
from shop.payments.models import Capture
from shop.payments.provider import DisputeFact
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]
Command = Callable[..., str]


@pytest.fixture
def money(shop: Shop) -> Command:
    """`money("refund", number)`: what the command answers. One that fails has its exit code in front."""

    def run(*arguments: str) -> str:
        done = shop.app.test_cli_runner().invoke(args=["money", *arguments], catch_exceptions=False)
        db.session.rollback()
        return done.stdout if done.exit_code == 0 else f"{done.exit_code} {done.stderr[done.stderr.index('Error: ') :]}"

    return run


def wrong(shop: Shop, amount: int = PRICE - 100, currency: str = "TWD") -> Order:
    """An order for which wrong money has come."""
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(amount, currency))
    shop.hear(shop.payment(order))
    return order


def test_a_part_then_the_rest_is_refunded(shop: Shop, money: Command) -> None:
    order = shop.paid_order()
    assert "NT$100.50 TWD is on its way." in money("refund", order.number, "100.50", "--by", "sam")
    assert "NT$1,099.50 TWD is on its way." in money("refund", order.number, "--by", "sam")
    assert money("refund", order.number, "--by", "sam").startswith("1 Error: Nothing of it can be refunded any more.")
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "lots", "NaN", "1e30", "1e999999", "", " "])
def test_an_amount_that_is_none_is_refused_and_changes_nothing(shop: Shop, money: Command, amount: str) -> None:
    order = shop.paid_order()
    assert money("refund", order.number, "--by", "sam", "--", amount).startswith("1 Error: ")
    assert shop.refunds(order) == []


def test_a_large_refund_needs_another_person(shop: Shop, money: Command) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = 1000
    order = shop.paid_order()
    assert "waits for a second person" in money("refund", order.number, "--by", "sam")
    refund = shop.refunds(order)[0].id
    assert money("approve", refund, "--by", "sam").startswith("1 Error: Somebody else")
    assert "is on its way" in money("approve", refund, "--by", "kim")
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


def test_a_refund_that_waits_is_not_said_to_be_on_its_way(shop: Shop, money: Command) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = 1000
    asked, cancelled = shop.paid_order(), shop.paid_order()
    said = money("refund", asked.number, "--by", "sam")
    told = money("cancel", cancelled.number, "--by", "kim")
    ids = [shop.refunds(order)[0].id for order in (asked, cancelled)]
    waits = "NT$1,200.00 TWD waits for a second person ({} asked): flask money approve.\n"
    assert said == f"{ids[0]}: " + waits.format("sam")
    assert told == f"{cancelled.number}: PAID\n{ids[1]}: " + waits.format("kim")


@pytest.mark.parametrize("command", ["refund", "cancel"])
def test_what_goes_by_hand_is_to_be_sent_and_then_agreed_to(shop: Shop, money: Command, command: str) -> None:
    order = shop.paid_order()
    asked = money(command, order.number, "--to", "bank", "--by", "sam").splitlines()[-1]
    refund = shop.refunds(order)[0].id
    says = "waits for a second person (sam asked): send it from the bank account, then flask money approve."
    assert asked == f"{refund}: NT$1,200.00 TWD {says}"
    assert money("waiting") == asked + "\n"
    assert money("approve", refund, "--by", "sam").startswith("1 Error: Somebody else")
    assert money("approve", refund, "--by", "kim") == f"{refund} is booked as sent.\n"
    assert money("bounced", refund, "--by", "ada").startswith(
        "1 Error: There is no such refund that was booked as sent"
    )
    shop.sweep()
    assert (shop.state(order), book.balance(chart.BY_HAND, "TWD")) == ("REFUNDED", Money(-PRICE, "TWD"))
    assert money("bounced", refund, "--by", "ada") == f"{refund} came back; NT$1,200.00 TWD can be refunded again.\n"
    assert (shop.state(order), book.balance(chart.BY_HAND, "TWD")) == ("PAID", Money(0, "TWD"))


@pytest.mark.parametrize("same", ["SAM", " sam ", "Sam\t"])
def test_one_person_is_not_two_by_writing_the_name_in_another_way(shop: Shop, money: Command, same: str) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = 1000
    order = shop.paid_order()
    money("refund", order.number, "--by", "sam")
    assert money("approve", shop.refunds(order)[0].id, "--by", same).startswith("1 Error: Somebody else")


@pytest.mark.parametrize("nobody", ["", "  ", "\udcff"])
def test_nobody_decides_nothing(shop: Shop, money: Command, nobody: str) -> None:
    order = shop.paid_order()
    assert "Please say who you are." in money("refund", order.number, "--by", nobody)
    assert shop.refunds(order) == []


def test_a_refund_that_waits_is_listed_and_can_be_declined(shop: Shop, money: Command) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = 1000
    order = shop.paid_order()
    assert money("waiting") == "Nothing waits for a second person.\n"
    asked = money("refund", order.number, "--by", "sam")
    assert money("waiting") == asked
    refund = shop.refunds(order)[0].id
    assert money("decline", refund, "--by", "sam") == f"{refund} is called off.\n"
    assert money("decline", refund, "--by", "kim").startswith("1 Error: ")
    assert money("waiting") == "Nothing waits for a second person.\n"
    shop.sweep()
    assert shop.state(order) == "PAID"


@pytest.mark.parametrize(
    ("command", "what"), [("approve", "refund"), ("approve-payout", "payout"), ("reject-payout", "payout")]
)
def test_what_is_not_there_cannot_be_decided(shop: Shop, money: Command, command: str, what: str) -> None:
    assert money(command, "nope", "--by", "kim") == f"1 Error: There is no such {what}.\n"


def test_an_order_number_may_be_written_in_lower_case_and_with_blanks(shop: Shop, money: Command) -> None:
    paid, waiting, underpaid = shop.paid_order(), shop.order(), wrong(shop)
    written = [f" {order.number.lower()} " for order in (paid, waiting, underpaid)]
    assert "is on its way" in money("refund", written[0], "--by", "sam")
    assert money("cancel", written[1], "--by", "sam") == f"{waiting.number}: CANCELLED\n"
    assert money("accept", written[2], "--by", "sam") == f"{underpaid.number} is paid.\n"
    shop.sweep()


def test_a_wrong_amount_is_accepted_once(shop: Shop, money: Command) -> None:
    order = wrong(shop)
    assert money("accept", order.number, "--by", "sam", "--note", "near enough") == f"{order.number} is paid.\n"
    assert money("accept", order.number, "--by", "sam").startswith("1 Error: This money cannot be accepted")
    assert shop.state(order) == "PAID"


def test_of_several_captures_one_has_to_be_named(shop: Shop, money: Command) -> None:
    order = shop.paid_order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.hear(shop.payment(order))
    shop.sweep()
    answer = money("refund", order.number, "5", "--by", "sam")
    assert answer.startswith("1 Error: Please say which capture: ")
    assert "paid; " in answer and ", second" in answer
    number = answer.split("which capture: ")[1].split(":")[0]
    assert "NT$5.00 TWD is on its way." in money("refund", order.number, "5", "--capture", number, "--by", "sam")
    shop.sweep()


def test_the_rest_of_a_capture_is_what_neither_went_back_nor_a_bank_has(shop: Shop, money: Command) -> None:
    order = shop.paid_order()
    capture = db.session.get_one(Capture, shop.capture(order))
    taken = DisputeFact("dp_1", capture.capture_id, "chargeback", "OPEN", Money(PRICE - 7000, "TWD"), clock.now())
    disputes.hear(capture.provider, taken, "webhook")
    named = ("refund", order.number, "--capture", str(shop.capture(order)), "--by", "sam")
    assert money("refund", order.number, "20", "--by", "sam").endswith("NT$20.00 TWD is on its way.\n")
    assert money(*named).endswith("NT$50.00 TWD is on its way.\n")
    assert money(*named).startswith("1 Error: Nothing of it can be refunded any more.")
    shop.sweep()


def test_cancelling_refunds_a_paid_order_and_ends_an_open_one(shop: Shop, money: Command) -> None:
    paid, waiting = shop.paid_order(), shop.order()
    assert money("cancel", waiting.number, "--by", "sam") == f"{waiting.number}: CANCELLED\n"
    money("cancel", paid.number, "--by", "sam", "--reason", "changed their mind")
    shop.sweep()
    assert (shop.state(paid), shop.state(waiting)) == ("REFUNDED", "CANCELLED")
    assert shop.refunds(paid)[0].reason == "changed their mind"


def test_an_order_nobody_has_and_one_without_money_say_so(shop: Shop, money: Command) -> None:
    assert money("refund", "0000-0000-00", "--by", "sam") == "1 Error: There is no order 0000-0000-00.\n"
    assert "No money has come for this order." in money("refund", shop.order().number, "5", "--by", "sam")


def test_a_present_is_given_once_under_its_name_to_each_customer(shop: Shop, money: Command) -> None:
    ada, ben = shop.customer(), shop.customer()
    emails = [db.session.get_one(User, person).email for person in (ada, ben)]
    for email in (*emails, *emails):
        assert "NT$50.00 TWD" in money("give-credit", email, "50", "TWD", "--key", "birthday")
    assert (shop.credit(ada), shop.credit(ben)) == (5000, 5000)
    for again in (("70", "TWD"), ("70", "JPY")):
        said = money("give-credit", emails[0], *again, "--key", "birthday")
        assert said.startswith("NT$50.00 TWD was given before; "), "what was given, and not what was asked for"
    for empty in ("", " "):
        assert money("give-credit", emails[0], "5", "TWD", "--key", empty).startswith("1 Error: A key names")
    assert (shop.credit(ada), shop.credit(ben)) == (5000, 5000)
    assert money("give-credit", emails[0], "--", "-5", "TWD").startswith("1 Error: ")
    assert money("give-credit", "nobody@example.com", "5", "TWD").startswith("1 Error: Nobody has an account")
    assert book.balance(chart.GOODWILL, "TWD") == Money(10000, "TWD")


def test_a_payout_takes_two(shop: Shop, money: Command) -> None:
    with writing():
        book.transfer("settled:x", "settled", Money(1000, "TWD"), debit=chart.SETTLED, credit=chart.receivable("x"))
        payouts.received(Money(1000, "TWD"))
    asked = money("payout", "6", "TWD", "--by", "sam", "--note", "rent")
    assert "NT$6.00 TWD waits for a second person" in asked
    assert money("waiting") == asked
    payout = asked.split(":")[0]
    assert money("approve-payout", payout, "--by", "sam").startswith("1 Error: Somebody else")
    assert "is paid out" in money("approve-payout", payout, "--by", "kim")
    assert money("reject-payout", payout, "--by", "kim").startswith("1 Error: ")
    assert "Only NT$4.00 TWD can be paid out." in money("payout", "5", "TWD", "--by", "sam")
