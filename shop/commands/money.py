"""`flask money …`: decisions of staff about money. What they decide records who decided it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from flask.cli import with_appcontext

from shop.accounts import staff
from shop.checkout import end_order
from shop.commands import Group, Words, amount, by_staff, decides_money
from shop.commands import order as find_order
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.money import CURRENCIES
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift, GiftState
from shop.ledger import store_credit
from shop.orders import states
from shop.orders.models import Order
from shop.payments.records import captures
from shop.payments.records.models import Refund, ShortfallRequest
from shop.payments.records.types import RefundDestination
from shop.payments.refunds import requests
from shop.payments.updates import apply as updates
from shop.payments.updates import shortfalls
from shop.payouts import payouts
from shop.payouts.models import Payout

_to = click.option(
    "--to",
    type=click.Choice([str(to) for to in RefundDestination]),
    default=str(RefundDestination.PROVIDER),
    show_default=True,
    help="Destination. For `bank`, you send the transfer to the customer's bank yourself.",
)
_reason = click.option("--reason", type=Words(), default="", help="Reason, kept in the history.")


@click.group(cls=Group)
def money() -> None:
    """Refunds, wrong amounts, store credit and payouts."""


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of the group, in an app context."""

    def declare(do: Callable[..., Any]) -> click.Command:
        return money.command(name)(with_appcontext(do))

    return declare


@_command("refund")
@click.argument("number")
@click.argument("typed", metavar="[AMOUNT]", required=False)
@click.option("--capture", "capture_id", type=int, help="Capture id; required when the order has several captures.")
@_to
@_reason
@decides_money
@by_staff
def refund(number: str, typed: str | None, capture_id: int | None, to: str, reason: str, by: Actor) -> None:
    """Refund AMOUNT of the order NUMBER, or all of its money that is left, a wrong amount included."""
    order = find_order(number)
    if typed is None and capture_id is None:
        requested = requests.request_all(order.id, reason=reason, by=by, to=to)
    else:
        capture = captures.of_order(order.id, capture_id)
        wanted = amount(typed, capture.currency) if typed is not None else None
        requested = [requests.request(capture.id, wanted, reason=reason, by=by, to=to)]
    for one in requested:
        click.echo(_waits(one, "approve") if one.needs_two else f"{one.id}: {one.money.with_code()} is being refunded.")


@_command("approve")
@click.argument("refund_id")
@decides_money
@by_staff
def approve(refund_id: str, by: Actor) -> None:
    """Approve a refund as the second person; for a refund to a bank, confirm that it was sent."""
    requests.approve(refund_id, by)
    to_bank = db.session.get_one(Refund, refund_id).destination == RefundDestination.BANK
    click.echo(f"{refund_id} is booked as sent." if to_bank else f"{refund_id} is being refunded.")


@_command("decline")
@click.argument("refund_id")
@decides_money
@by_staff
def decline(refund_id: str, by: Actor) -> None:
    """Decline a refund that waits for its second person."""
    requests.decline(refund_id, by)
    click.echo(f"{refund_id} is cancelled.")


@_command("bounced")
@click.argument("refund_id")
@decides_money
@by_staff
def bounced(refund_id: str, by: Actor) -> None:
    """Record that a manual refund to a bank was returned."""
    requests.bounced(refund_id, by)
    returned = db.session.get_one(Refund, refund_id).money
    click.echo(f"{refund_id} was returned; {returned.with_code()} can be refunded again.")


@_command("waiting")
def waiting() -> None:
    """List the refunds, shortfalls, payouts and gifts of store credit that wait for a second person."""
    waits = [_waits(one, "approve") for one in requests.waiting()]
    waits += [_waits(one, "approve-shortfall") for one in shortfalls.waiting()]
    waits += [_waits(one, "approve-payout") for one in payouts.waiting()]
    waits += [_waits(one, "approve-credit") for one in gifts.waiting()]
    click.echo("\n".join(waits) or "Nothing is waiting for approval.")


@_command("accept")
@click.argument("number")
@click.option("--capture", "capture_id", type=int, help="Capture id; required when the order has several captures.")
@click.option("--note", type=Words(), default="", help="Reason, kept in the history.")
@decides_money
@by_staff
def accept(number: str, capture_id: int | None, note: str, by: Actor) -> None:
    """Accept the mismatched amount that was paid for the order NUMBER as its price; a large shortfall waits for another
    person.
    """
    order = find_order(number)
    number = order.number
    request_id = updates.accept(captures.of_order(order.id, capture_id).id, by=by, note=note)
    requested = db.session.get(ShortfallRequest, request_id) if request_id else None
    click.echo(_waits(requested, "approve-shortfall") if requested else f"{number} is paid.")


@_command("approve-shortfall")
@click.argument("request_id")
@decides_money
@by_staff
def approve_shortfall(request_id: str, by: Actor) -> None:
    """Accept less than the price of an order as the second person."""
    updates.approve_shortfall(request_id, by=by)
    order_id = db.session.get_one(ShortfallRequest, request_id).order_id
    click.echo(f"{db.session.get_one(Order, order_id).number} is paid.")


@_command("decline-shortfall")
@click.argument("request_id")
@decides_money
@by_staff
def decline_shortfall(request_id: str, by: Actor) -> None:
    """Decline to accept less than the price of an order; the requester may do so too."""
    updates.decline_shortfall(request_id, by=by)
    click.echo(f"{request_id} is declined.")


@_command("cancel")
@click.argument("number")
@_to
@_reason
@decides_money
@by_staff
def cancel(number: str, to: str, reason: str, by: Actor) -> None:
    """Cancel the order NUMBER; captured money is refunded, a mismatched amount included."""
    order_id = find_order(number).id
    end_order.cancel_or_refund(order_id, by, reason=reason, to=to)
    order = db.session.get_one(Order, order_id, populate_existing=True)
    waits = order.state in states.PAYABLE and order.cancel_requested_at is not None
    until = (
        " (it is cancelled once no payment can arrive any more and mismatched payments are refunded)" if waits else ""
    )
    click.echo(f"{order.number}: {order.state}{until}")
    for one in requests.waiting():
        if one.order_id == order_id:
            click.echo(_waits(one, "approve"))


@_command("payout")
@click.argument("typed", metavar="AMOUNT")
@click.argument("currency", type=click.Choice(CURRENCIES))
@click.option("--note", type=Words(), default="", help="What for.")
@decides_money
@by_staff
def payout(typed: str, currency: str, note: str, by: Actor) -> None:
    """Request a payout of AMOUNT of settled money."""
    requested = payouts.request(amount(typed, currency), by=by, note=note)
    click.echo(_waits(requested, "approve-payout"))


@_command("approve-payout")
@click.argument("payout_id")
@decides_money
@by_staff
def approve_payout(payout_id: str, by: Actor) -> None:
    """Approve a payout as the second person."""
    payouts.approve(payout_id, by=by)
    click.echo(f"{payout_id} is paid out.")


@_command("reject-payout")
@click.argument("payout_id")
@decides_money
@by_staff
def reject_payout(payout_id: str, by: Actor) -> None:
    """Reject a payout."""
    payouts.reject(payout_id, by=by)
    click.echo(f"{payout_id} is cancelled.")


@_command("give-credit")
@click.argument("email")
@click.argument("typed", metavar="AMOUNT")
@click.argument("currency", type=click.Choice(CURRENCIES))
@click.option("--key", default=None, help="Idempotency key: a repeated request with the same key changes nothing.")
@_reason
@decides_money
@by_staff
def give_credit(email: str, typed: str, currency: str, key: str | None, reason: str, by: Actor) -> None:
    """Request AMOUNT of store credit for the customer EMAIL, whose address is confirmed; another person approves."""
    customer = staff.account_of(email).id
    gift = gifts.request(customer, amount(typed, currency), by=by, key=key, reason=reason)
    if gift.state == GiftState.REQUESTED:
        click.echo(_waits(gift, "approve-credit"))
    else:
        click.echo(f"{gift.id}: {gift.money.with_code()} was {gift.state.lower()} before.")


@_command("approve-credit")
@click.argument("gift_id")
@decides_money
@by_staff
def approve_credit(gift_id: str, by: Actor) -> None:
    """Approve a gift of store credit as the second person."""
    gifts.approve(gift_id, by=by)
    gift = db.session.get_one(CreditGift, gift_id)
    spendable = store_credit.available(gift.user_id, gift.currency)
    click.echo(f"{gift.money.with_code()} given; the customer can spend {spendable.with_code()}.")


@_command("decline-credit")
@click.argument("gift_id")
@decides_money
@by_staff
def decline_credit(gift_id: str, by: Actor) -> None:
    """Decline a gift of store credit; its requester may do so too."""
    gifts.decline(gift_id, by=by)
    click.echo(f"{gift_id} is declined.")


def _waits(one: Refund | ShortfallRequest | Payout | CreditGift, command: str) -> str:
    to_bank = isinstance(one, Refund) and one.destination == RefundDestination.BANK
    first = "its requester sends it from the bank account, another person checks that, then " if to_bank else ""
    who = f"is waiting for approval (requested by {staff.label(one.requested_by)})"
    return f"{one.id}: {one.money.with_code()} {who}: {first}flask money {command}."
