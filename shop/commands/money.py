"""`flask money …`: what people decide about money. Who decides is kept in the history, but for presents of credit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import IntegrityError

from shop.accounts.models import User
from shop.checkout import closing
from shop.commands import Person
from shop.core import ids
from shop.core.db import db, writing
from shop.core.errors import Refusal
from shop.core.money import CURRENCIES, Money
from shop.ledger import chart, payouts, store_credit
from shop.ledger.models import LedgerEntry, Payout
from shop.orders import find
from shop.orders.models import Order
from shop.payments import refunds, settle
from shop.payments.models import TO_BANK, TO_PROVIDER, TO_STORE_CREDIT, Capture, Payment, Refund

_by = click.option("--by", type=Person(), required=True, help="Who decides.")
_to = click.option(
    "--to",
    type=click.Choice([TO_PROVIDER, TO_STORE_CREDIT, TO_BANK]),
    default=TO_PROVIDER,
    show_default=True,
    help="Where to; to the buyer's bank you send it yourself.",
)
_reason = click.option("--reason", default="", help="Why; the history keeps it.")


@click.group()
def money() -> None:
    """Refunds, wrong amounts, store credit and payouts."""


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of the group, in an app context, that says refusals as they are."""

    def declare(do: Callable[..., Any]) -> click.Command:
        return money.command(name)(with_appcontext(do))

    return declare


@_command("refund")
@click.argument("number")
@click.argument("amount", required=False)
@click.option("--capture", "capture_id", type=int, help="Which capture; needed when the order has several.")
@_to
@_reason
@_by
def refund(number: str, amount: str | None, capture_id: int | None, to: str, reason: str, by: str) -> None:
    """Refund AMOUNT of the order NUMBER, or all that is left of what paid it."""
    order = _order(number)
    with _refusals():
        if amount is None and capture_id is None:
            asked = refunds.request_all(order.id, reason=reason, by=by, to=to)
        else:
            capture = _capture(order, capture_id)
            wanted = Money.parse(amount, capture.currency) if amount is not None else None
            asked = [refunds.request(capture.id, wanted, reason=reason, by=by, to=to)]
    for one in asked:
        click.echo(_waits(one, "approve") if one.needs_two else f"{one.id}: {one.money.format()} is on its way.")


@_command("approve")
@click.argument("refund_id")
@_by
def approve(refund_id: str, by: str) -> None:
    """Agree to a refund as the second person; to one to a bank, that it has been sent."""
    with _refusals():
        refunds.approve(refund_id, by)
    to_bank = db.session.get_one(Refund, refund_id).destination == TO_BANK
    click.echo(f"{refund_id} is booked as sent." if to_bank else f"{refund_id} is on its way.")


@_command("decline")
@click.argument("refund_id")
@_by
def decline(refund_id: str, by: str) -> None:
    """Call off a refund that waits for its second person."""
    with _refusals():
        refunds.decline(refund_id, by)
    click.echo(f"{refund_id} is called off.")


@_command("bounced")
@click.argument("refund_id")
@_by
def bounced(refund_id: str, by: str) -> None:
    """Say that what was sent to a bank by hand came back."""
    with _refusals():
        refunds.bounced(refund_id, by)
    click.echo(f"{refund_id} came back; {db.session.get_one(Refund, refund_id).money.format()} can be refunded again.")


@_command("waiting")
def waiting() -> None:
    """List the refunds and payouts that wait for a second person."""
    waits = [_waits(one, "approve") for one in refunds.waiting()]
    waits += [_waits(one, "approve-payout") for one in payouts.waiting()]
    click.echo("\n".join(waits) or "Nothing waits for a second person.")


@_command("accept")
@click.argument("number")
@click.option("--capture", "capture_id", type=int, help="Which capture; needed when the order has several.")
@click.option("--note", default="", help="Why; the history keeps it.")
@_by
def accept(number: str, capture_id: int | None, note: str, by: str) -> None:
    """Take the wrong amount that came for the order NUMBER as its price."""
    order = _order(number)
    number = order.number
    with _refusals():
        settle.accept(_capture(order, capture_id).id, by=by, note=note)
    click.echo(f"{number} is paid.")


@_command("cancel")
@click.argument("number")
@_to
@_reason
@_by
def cancel(number: str, to: str, reason: str, by: str) -> None:
    """Cancel the order NUMBER; a paid one is refunded."""
    order_id = _order(number).id
    with _refusals():
        closing.call_off(order_id, by, reason=reason, to=to)
    order = db.session.get_one(Order, order_id, populate_existing=True)
    click.echo(f"{order.number}: {order.state}")
    for one in refunds.waiting():
        if one.order_id == order_id:
            click.echo(_waits(one, "approve"))


@_command("payout")
@click.argument("amount")
@click.argument("currency", type=click.Choice(CURRENCIES))
@click.option("--note", default="", help="What for.")
@_by
def payout(amount: str, currency: str, note: str, by: str) -> None:
    """Ask for AMOUNT of what acquirers have settled to be paid out."""
    with _refusals():
        asked = payouts.request(Money.parse(amount, currency), by=by, note=note)
    click.echo(_waits(asked, "approve-payout"))


@_command("approve-payout")
@click.argument("payout_id")
@_by
def approve_payout(payout_id: str, by: str) -> None:
    """Agree to a payout as the second person."""
    with _refusals():
        payouts.approve(payout_id, by=by)
    click.echo(f"{payout_id} is paid out.")


@_command("reject-payout")
@click.argument("payout_id")
@_by
def reject_payout(payout_id: str, by: str) -> None:
    """Call a payout off."""
    with _refusals():
        payouts.reject(payout_id, by=by)
    click.echo(f"{payout_id} is called off.")


@_command("give-credit")
@click.argument("email")
@click.argument("amount")
@click.argument("currency", type=click.Choice(CURRENCIES))
@click.option("--key", default=None, help="Names this present; given again under the same key, nothing happens.")
def give_credit(email: str, amount: str, currency: str, key: str | None) -> None:
    """Give AMOUNT of store credit to the customer EMAIL."""
    person = db.session.scalars(db.select(User).where(User.email == email.lower())).one_or_none()
    if person is None:
        raise click.ClickException("Nobody has an account under this address.")
    user_id = person.id
    with _refusals():
        present = Money.parse(amount, currency)
        if present.amount <= 0:
            raise ValueError("A present is more than nothing.")
        if key is not None and not key.strip():
            raise ValueError("A key names the present; an empty one names none.")
        name = f"credit_given:{user_id}:{key or ids.token()}"
        try:
            with writing():
                store_credit.give(user_id, present, key=name, kind="credit_given", debit=chart.GOODWILL)
            said = "given"
        except IntegrityError:  # the ledger has a journal of this name
            present, said = _given(name), "was given before"
    spendable = store_credit.available(user_id, present.currency)
    click.echo(f"{present.format()} {said}; {email} can spend {spendable.format()}.")


def _given(name: str) -> Money:
    """What the present of that name was."""
    entry = db.session.scalars(db.select(LedgerEntry).filter_by(journal_key=name, account=chart.GOODWILL)).one()
    return Money(entry.amount, entry.currency)


def _waits(one: Refund | Payout, command: str) -> str:
    to_bank = isinstance(one, Refund) and one.destination == TO_BANK
    first = "send it from the bank account, then " if to_bank else ""
    who = f"waits for a second person ({one.asked_by} asked)"
    return f"{one.id}: {one.money.format()} {who}: {first}flask money {command}."


def _order(number: str) -> Order:
    order = find.by_number(number)
    if order is None:
        raise click.ClickException(f"There is no order {number}.")
    return order


def _capture(order: Order, capture_id: int | None) -> Capture:
    captures = db.session.scalars(db.select(Capture).join(Payment).where(Payment.order_id == order.id)).all()
    chosen = [capture for capture in captures if capture_id in (None, capture.id)]
    if len(chosen) == 1:
        return chosen[0]
    known = "; ".join(f"{c.id}: {c.money.format()} by {c.provider}, {c.standing}" for c in captures)
    raise click.ClickException(f"Please say which capture: {known}." if known else "No money has come for this order.")


@contextmanager
def _refusals() -> Iterator[None]:
    """What is refused is said in its own words, and the shell sees that it failed."""
    try:
        yield
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from refusal
    except ValueError as error:
        raise click.ClickException(str(error)) from error
