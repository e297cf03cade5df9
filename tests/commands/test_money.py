"""`flask money`: staff decisions on the command line, with refusals as sentences and an exit code."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from shop.accounts import staff, verification
from shop.accounts.models import User
from shop.core import clock
from shop.core.db import db, transaction
from shop.core.money import Money
from shop.ledger import book, chart, funds
from shop.ledger.models import Journal
from shop.orders.models import Order
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.providers.types import PaymentState
from shop.payments.records.models import Capture
from tests.shop_fixtures import KETTLE, PRICES, Shop

PRICE = PRICES[KETTLE]["TWD"]
SAM, KIM, ADA = (f"{name}@example.com" for name in ("sam", "kim", "ada"))
Command = Callable[..., str]


@pytest.fixture
def money(shop: Shop) -> Command:
    """`money("refund", number)`: the command's output. A failure begins with its exit code."""
    shop.staff("sam", "kim", "ada")

    def run(*arguments: str) -> str:
        done = shop.app.test_cli_runner().invoke(args=["money", *arguments], catch_exceptions=False)
        db.session.rollback()
        return done.stdout if done.exit_code == 0 else f"{done.exit_code} {done.stderr[done.stderr.index('Error: ') :]}"

    return run


def wrong(shop: Shop, amount: int = PRICE - 100, currency: str = "TWD") -> Order:
    """An order with a wrong capture."""
    order = shop.order()
    shop.acquirer.capture(shop.payment(order).id, money=Money(amount, currency))
    shop.deliver_webhook(shop.payment(order))
    return order


def test_a_part_then_the_rest_is_refunded(shop: Shop, money: Command) -> None:
    order = shop.paid_order()
    assert "NT$100.50 is being refunded." in money("refund", order.number, "100.50", "--by", SAM)
    assert "NT$1,099.50 is being refunded." in money("refund", order.number, "--by", SAM)
    assert money("refund", order.number, "--by", SAM).startswith("1 Error: Nothing can be refunded any more.")
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "lots", "NaN", "1e30", "1e999999", "", " "])
def test_an_amount_that_is_none_is_refused_and_changes_nothing(shop: Shop, money: Command, amount: str) -> None:
    order = shop.paid_order()
    assert money("refund", order.number, "--by", SAM, "--", amount).startswith("1 Error: ")
    assert shop.refunds(order) == []


def test_a_large_refund_needs_another_person(shop: Shop, money: Command) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    order = shop.paid_order()
    assert "is waiting for approval" in money("refund", order.number, "--by", SAM)
    refund = shop.refunds(order)[0].id
    assert money("approve", refund, "--by", SAM).startswith(
        "1 Error: A refund must be approved once, by another person than the one who requested it."
    )
    assert "is being refunded" in money("approve", refund, "--by", KIM)
    shop.sweep()
    assert shop.state(order) == "REFUNDED"


def test_a_refund_that_waits_for_approval_is_not_reported_as_sent(shop: Shop, money: Command) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    requested, cancelled = shop.paid_order(), shop.paid_order()
    message = money("refund", requested.number, "--by", SAM)
    output = money("cancel", cancelled.number, "--by", KIM)
    ids = [shop.refunds(order)[0].id for order in (requested, cancelled)]
    waits = "NT$1,200 is waiting for approval (requested by {}): flask money approve.\n"
    assert message == f"{ids[0]}: " + waits.format(SAM)
    assert output == f"{cancelled.number}: PAID\n{ids[1]}: " + waits.format(KIM)


@pytest.mark.parametrize("command", ["refund", "cancel"])
def test_a_manual_refund_is_sent_first_and_then_approved(shop: Shop, money: Command, command: str) -> None:
    order = shop.paid_order()
    requested = money(command, order.number, "--to", "bank", "--by", SAM).splitlines()[-1]
    refund = shop.refunds(order)[0].id
    output = (
        f"is waiting for approval (requested by {SAM}): its requester sends it from the bank account, "
        "another person checks that, then flask money approve."
    )
    assert requested == f"{refund}: NT$1,200 {output}"
    assert money("waiting") == requested + "\n"
    assert money("approve", refund, "--by", SAM).startswith(
        "1 Error: A refund must be approved once, by another person than the one who requested it."
    )
    assert money("approve", refund, "--by", KIM) == f"{refund} is booked as sent.\n"
    assert money("bounced", refund, "--by", ADA).startswith(
        "1 Error: No such refund has been booked as sent to a bank."
    )
    shop.sweep()
    assert (shop.state(order), book.balance(chart.MANUAL_REFUNDS, "TWD")) == ("REFUNDED", Money(-PRICE, "TWD"))
    assert money("bounced", refund, "--by", ADA) == f"{refund} was returned; NT$1,200 can be refunded again.\n"
    assert (shop.state(order), book.balance(chart.MANUAL_REFUNDS, "TWD")) == ("PAID", Money(0, "TWD"))


@pytest.mark.parametrize("same", ["SAM@example.com", " sam@example.com ", "sam@EXAMPLE.com\t"])
def test_one_person_is_not_two_by_writing_the_address_in_another_way(shop: Shop, money: Command, same: str) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    order = shop.paid_order()
    money("refund", order.number, "--by", SAM)
    assert money("approve", shop.refunds(order)[0].id, "--by", same).startswith(
        "1 Error: A refund must be approved once, by another person than the one who requested it."
    )


@pytest.mark.parametrize("no_account", ["", "  ", "sam", "lee@example.com"])
def test_without_an_account_nothing_is_decided(shop: Shop, money: Command, no_account: str) -> None:
    order = shop.paid_order()
    message = money("refund", order.number, "--by", no_account)
    assert message == "1 Error: No account has this e-mail address.\n"
    assert shop.refunds(order) == []


def test_without_a_role_nothing_is_decided(shop: Shop, money: Command) -> None:
    order, customer = shop.paid_order(), db.session.get_one(User, shop.customer()).email
    message = money("refund", order.number, "--by", customer)
    assert (
        message
        == f"1 Error: The account {customer} has no role. It needs one of: support, finance, merchandiser, admin.\n"
    )
    assert shop.refunds(order) == []


def test_a_refund_that_waits_is_listed_and_can_be_declined(shop: Shop, money: Command) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    order = shop.paid_order()
    assert money("waiting") == "Nothing is waiting for approval.\n"
    requested = money("refund", order.number, "--by", SAM)
    assert money("waiting") == requested
    refund = shop.refunds(order)[0].id
    assert money("decline", refund, "--by", SAM) == f"{refund} is cancelled.\n"
    assert money("decline", refund, "--by", KIM).startswith("1 Error: ")
    assert money("waiting") == "Nothing is waiting for approval.\n"
    shop.sweep()
    assert shop.state(order) == "PAID"


@pytest.mark.parametrize(
    ("command", "what"), [("approve", "refund"), ("approve-payout", "payout"), ("reject-payout", "payout")]
)
def test_what_is_not_there_cannot_be_decided(shop: Shop, money: Command, command: str, what: str) -> None:
    assert money(command, "nope", "--by", KIM) == f"1 Error: There is no such {what}.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("refund", "0000-0000-00", "--by", "\udcff"),
        ("decline", "\udcff"),
        ("bounced", "R1\udcff"),
        ("reject-payout", "\udcff"),
        ("give-credit", SAM, "5", "TWD", "--key", "birthday \udcff"),
    ],
)
def test_arguments_that_are_not_utf8_are_refused_and_change_nothing(
    shop: Shop, money: Command, arguments: tuple[str, ...]
) -> None:
    message = money(*arguments, "--by", KIM)
    assert message == "2 Error: The arguments contain bytes that are not valid UTF-8.\n"
    assert book.balance(chart.GOODWILL, "TWD").amount == 0


def test_an_order_number_may_be_written_in_lower_case_and_with_blanks(shop: Shop, money: Command) -> None:
    paid, waiting, underpaid = shop.paid_order(), shop.order(), wrong(shop)
    written = [f" {order.number.lower()} " for order in (paid, waiting, underpaid)]
    assert "is being refunded" in money("refund", written[0], "--by", SAM)
    assert money("cancel", written[1], "--by", SAM) == f"{waiting.number}: CANCELLED\n"
    assert money("accept", written[2], "--by", SAM) == f"{underpaid.number} is paid.\n"
    shop.sweep()


def test_a_wrong_amount_is_accepted_once(shop: Shop, money: Command) -> None:
    order = wrong(shop)
    assert money("accept", order.number, "--by", SAM, "--note", "near enough") == f"{order.number} is paid.\n"
    assert money("accept", order.number, "--by", SAM).startswith(
        "1 Error: This payment cannot be accepted for the order. It can only be refunded."
    )
    assert shop.state(order) == "PAID"


def test_a_wrong_amount_is_refunded_without_naming_an_amount_and_the_order_can_be_paid_again(
    shop: Shop, money: Command
) -> None:
    for amount, currency, message in ((PRICE - 100, "TWD", "NT$1,199"), (500, "JPY", "¥500 JPY")):
        order = wrong(shop, amount, currency)
        assert money("refund", order.number, "--by", SAM).endswith(f": {message} is being refunded.\n")
        assert money("refund", order.number, "--by", SAM).startswith("1 Error: Nothing can be refunded any more.")
        shop.sweep()
        assert shop.order_status(order).key == "choose"
        assert [refund.state for refund in shop.refunds(order)] == ["DONE"]
    shop.is_sound()


def test_cancelling_an_order_with_a_mismatch_refunds_it_and_then_ends_the_order(shop: Shop, money: Command) -> None:
    before = shop.can_sell()
    order = wrong(shop)
    message = money("cancel", order.number, "--by", SAM, "--reason", "changed their mind")
    assert message.startswith(f"{order.number}: WAITING_PAYMENT (it is cancelled once ")
    assert money("cancel", order.number, "--by", SAM) == message, "asking twice sends the money back once"
    shop.sweep()
    shop.turn(minutes=1)
    assert shop.state(order) == "CANCELLED"
    assert [(one.state, one.reason) for one in shop.refunds(order)] == [("DONE", "changed their mind")]
    assert shop.can_sell() == before
    shop.is_sound()


def test_a_mismatch_that_cannot_be_refunded_to_the_destination_cancels_nothing(shop: Shop, money: Command) -> None:
    order = wrong(shop)
    refused = money("cancel", order.number, "--to", "store_credit", "--by", SAM)
    assert refused.startswith(
        "1 Error: This customer has no account, or has deleted it, so there is no store credit to refund to."
    )
    assert shop.refunds(order) == []
    assert shop.order_status(order).order.cancel_requested_at is None


def test_a_mismatch_after_the_end_is_refunded_by_the_same_commands(shop: Shop, money: Command) -> None:
    for command in ("refund", "cancel"):
        order = shop.order()
        payment = shop.payment(order).id
        shop.cancel(order)
        shop.acquirer.capture(payment, money=Money(PRICE - 100, "TWD"))
        shop.deliver_webhook(payment)
        money(command, order.number, "--by", SAM)
        shop.sweep()
        assert [one.state for one in shop.refunds(order)] == ["DONE"]
        assert shop.state(order) == "CANCELLED"
    shop.is_sound()


def test_cancelling_refunds_an_order_under_review_that_is_paid_while_its_payment_is_closed(
    shop: Shop, money: Command
) -> None:
    order = shop.order()
    first = shop.payment(order)
    shop.acquirer.end(first.id, PaymentState.FAILED, "declines")
    shop.deliver_webhook(first)
    second = shop.pay_again(order)
    shop.acquirer.capture(first.id, money=Money(PRICE - 100, "TWD"))
    shop.deliver_webhook(first)
    shop.acquirer.capture(second.id)
    assert shop.captures(order) == ["mismatch"]
    assert money("cancel", order.number, "--by", SAM) == f"{order.number}: PAID\n"
    shop.sweep()
    assert shop.state(order) == "REFUNDED"
    assert [(one.amount, one.state) for one in shop.refunds(order)] == [(PRICE - 100, "DONE"), (PRICE, "DONE")]
    shop.is_sound()


def test_cancelling_a_paid_order_twice_refunds_it_once(shop: Shop, money: Command) -> None:
    order = shop.paid_order()
    assert money("cancel", order.number, "--by", SAM) == f"{order.number}: PAID\n"
    assert money("cancel", order.number, "--by", SAM).startswith("1 Error: Nothing can be refunded any more.")
    shop.sweep()
    assert money("cancel", order.number, "--by", SAM) == f"{order.number}: REFUNDED\n"
    assert [one.state for one in shop.refunds(order)] == ["DONE"]


def test_of_several_captures_one_has_to_be_named(shop: Shop, money: Command) -> None:
    order = shop.paid_order()
    shop.acquirer.capture(shop.payment(order).id)
    shop.deliver_webhook(shop.payment(order))
    shop.sweep()
    answer = money("refund", order.number, "5", "--by", SAM)
    assert answer.startswith("1 Error: Choose a capture: ")
    assert "pays_order; " in answer and ", duplicate" in answer
    number = answer.split("Choose a capture: ")[1].split(":")[0]
    assert "NT$5 is being refunded." in money("refund", order.number, "5", "--capture", number, "--by", SAM)
    shop.sweep()


def test_the_refundable_amount_of_a_capture_excludes_refunds_and_chargebacks(shop: Shop, money: Command) -> None:
    order = shop.paid_order()
    capture = db.session.get_one(Capture, shop.capture(order))
    taken = DisputeFact("dp_1", capture.capture_id, "chargeback", "OPEN", Money(PRICE - 7000, "TWD"), clock.now())
    disputes.apply(capture.provider, taken, "webhook")
    named = ("refund", order.number, "--capture", str(shop.capture(order)), "--by", SAM)
    assert money("refund", order.number, "20", "--by", SAM).endswith("NT$20 is being refunded.\n")
    assert money(*named).endswith("NT$50 is being refunded.\n")
    assert money(*named).startswith("1 Error: NT$1,130 is in dispute and cannot be refunded")
    shop.sweep()


def test_cancelling_refunds_a_paid_order_and_ends_an_open_one(shop: Shop, money: Command) -> None:
    paid, waiting = shop.paid_order(), shop.order()
    assert money("cancel", waiting.number, "--by", SAM) == f"{waiting.number}: CANCELLED\n"
    money("cancel", paid.number, "--by", SAM, "--reason", "changed their mind")
    shop.sweep()
    assert (shop.state(paid), shop.state(waiting)) == ("REFUNDED", "CANCELLED")
    assert shop.refunds(paid)[0].reason == "changed their mind"


def test_an_unknown_order_and_one_without_money_are_refused(shop: Shop, money: Command) -> None:
    assert money("refund", "0000-0000-00", "--by", SAM) == "1 Error: There is no order 0000-0000-00.\n"
    assert "No payment has been captured for this order." in money("refund", shop.order().number, "5", "--by", SAM)


def verified(shop: Shop) -> tuple[int, str]:
    """A customer whose address is verified, and the address."""
    person = shop.customer()
    with transaction():
        verification.mark(person)
    return person, db.session.get_one(User, person).email


def test_store_credit_takes_two_people_and_a_verified_address(shop: Shop, money: Command) -> None:
    ada, email = verified(shop)
    assert money("give-credit", email, "50", "TWD").startswith("2 Error: Missing option '--by'.")
    requested = money("give-credit", email, "50", "TWD", "--by", SAM, "--reason", "broken kettle")
    waits = r"G\w{19}: NT\$50 is waiting for approval \(requested by sam@.*\): flask money approve-credit.\n"
    assert re.fullmatch(waits, requested)
    gift = requested.partition(":")[0]
    assert gift in money("waiting") and shop.credit(ada) == 0
    assert money("approve-credit", gift, "--by", SAM).startswith("1 Error: A gift must be approved by another person")
    assert shop.credit(ada) == 0
    printed = money("approve-credit", gift, "--by", KIM)
    assert printed == "NT$50 given; the customer can spend NT$50.\n"
    assert money("approve-credit", gift, "--by", KIM).startswith("1 Error: This gift has already been decided.")
    assert money("decline-credit", gift, "--by", SAM).startswith("1 Error: This gift has already been decided.")
    (journal,) = db.session.scalars(db.select(Journal).where(Journal.kind == "credit_given"))
    assert journal.actor == staff.actor_of(KIM)
    assert (shop.credit(ada), book.balance(chart.GOODWILL, "TWD")) == (5000, Money(5000, "TWD"))


def test_store_credit_is_requested_once_per_key_and_customer(shop: Shop, money: Command) -> None:
    _, email = verified(shop)
    first = money("give-credit", email, "50", "TWD", "--key", "birthday", "--by", SAM)
    for again in (("70", "TWD"), ("70", "JPY")):
        assert money("give-credit", email, *again, "--key", "birthday", "--by", KIM) == first
    assert money("decline-credit", first.partition(":")[0], "--by", SAM).endswith("is declined.\n")
    repeated = money("give-credit", email, "50", "TWD", "--key", "birthday", "--by", SAM)
    assert repeated.endswith("NT$50 was declined before.\n")
    for empty in ("", " "):
        assert money("give-credit", email, "5", "TWD", "--key", empty, "--by", SAM).startswith(
            "1 Error: The key must not be empty."
        )
    assert money("give-credit", email, "--by", SAM, "--", "-5", "TWD").startswith("1 Error: ")
    assert money("give-credit", "nobody@example.com", "5", "TWD", "--by", SAM).startswith(
        "1 Error: No account has this e-mail address."
    )
    assert book.balance(chart.GOODWILL, "TWD") == Money(0, "TWD")


def test_store_credit_for_an_unverified_address_or_for_oneself_is_refused(shop: Shop, money: Command) -> None:
    unverified = db.session.get_one(User, shop.customer()).email
    refused = money("give-credit", unverified, "5", "TWD", "--by", SAM)
    assert refused.startswith("1 Error: The customer has not confirmed the e-mail address")
    with transaction():
        verification.mark(staff.account_of(SAM).id)
    own = money("give-credit", SAM, "5", "TWD", "--by", SAM)
    assert own.startswith("1 Error: You cannot give store credit to your own account.")
    for_sam = money("give-credit", SAM, "5", "TWD", "--by", KIM).partition(":")[0]
    assert money("approve-credit", for_sam, "--by", SAM).startswith("1 Error: You cannot give store credit to your own")
    assert money("approve-credit", "G1", "--by", SAM).startswith("1 Error: There is no such gift.")


def test_a_payout_takes_two(shop: Shop, money: Command) -> None:
    with transaction():
        book.transfer("settled:x", "settled", Money(1000, "TWD"), debit=chart.BANK, credit=chart.receivable("x"))
        funds.received(Money(1000, "TWD"))
    requested = money("payout", "6", "TWD", "--by", SAM, "--note", "rent")
    assert "NT$6 is waiting for approval" in requested
    assert money("waiting") == requested
    payout = requested.split(":")[0]
    assert money("approve-payout", payout, "--by", SAM).startswith(
        "1 Error: A payout must be approved by another person than the one who requested it."
    )
    assert "is paid out" in money("approve-payout", payout, "--by", KIM)
    assert money("reject-payout", payout, "--by", KIM).startswith("1 Error: ")
    assert "Only NT$4 can be paid out." in money("payout", "5", "TWD", "--by", SAM)
