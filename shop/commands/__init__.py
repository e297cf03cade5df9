"""Flask commands for staff; one file per subject."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click
from flask import current_app

from shop.accounts import staff
from shop.core import text
from shop.core.actor import Actor
from shop.core.errors import BadInput, Refusal
from shop.core.money import CURRENCIES, Money
from shop.orders import find
from shop.orders.models import Order
from shop.settings import DEVELOPMENT


class Command(click.Command):
    """A command whose arguments are valid UTF-8. Python passes other bytes on as surrogates, which neither a database
    nor a terminal takes.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if any("\ud800" <= letter <= "\udfff" for one in args for letter in one):
            raise click.UsageError("The arguments contain bytes that are not valid UTF-8.")
        return super().make_context(info_name, args, parent, **extra)


class Group(Command, click.Group):
    """Commands whose refusals are printed and end them with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            raise click.ClickException(refusal.message) from refusal


def amount(typed: str, currency: str) -> Money:
    """The amount that was typed, in units of the currency. Raises BadInput."""
    try:
        return Money.parse(text.plain(typed), currency)
    except ValueError as error:
        raise BadInput("bad_amount", f"{error}.") from error


def order(number: str) -> Order:
    """The order of this number. Raises BadInput."""
    found = find.by_number(number)
    if found is None:
        raise BadInput("unknown_order", f"There is no order {number[:40]}.")
    return found


def by_staff(do: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--by`, the e-mail of an account with a role, and pass its actor as `by`.

    The command runs in an app context. Without such an account the command fails before it does anything.
    """

    @click.option("--by", required=True, help="E-mail of the staff account that acts.")
    @functools.wraps(do)
    def run(*arguments: Any, by: str, **options: Any) -> Any:
        return do(*arguments, by=staff.actor_of(by), **options)

    return run


def by_operator(do: Callable[..., Any]) -> Callable[..., Any]:
    """As `by_staff`, but without `--by` the actor is the operator, of whom the audit log has the login."""

    @click.option("--by", help="E-mail of the staff account that acts. Default: the operator at the command line.")
    @functools.wraps(do)
    def run(*arguments: Any, by: str | None, **options: Any) -> Any:
        return do(*arguments, by=Actor.operator() if by is None else staff.actor_of(by), **options)

    return run


def decides_money(do: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a command that decides about money; it takes `--by` from the decorator below this one.

    Production refuses it before it does anything, unless CLI_DECISIONS is on, and then needs an account: at the command
    line, the address of another person is enough to act as the second one.
    """

    @functools.wraps(do)
    def run(*arguments: Any, by: str | None, **options: Any) -> Any:
        config = current_app.config
        if config["SETTLED_ENV"] != DEVELOPMENT:
            if not config["CLI_DECISIONS"]:
                raise click.ClickException(_DECIDE_IN_CONSOLE.format(console=f"{config['SHOP_URL']}/ops"))
            if by is None:
                raise click.UsageError("Missing option '--by': production records who decides about money.")
        return do(*arguments, by=by, **options)

    run.decides_money = True  # type: ignore[attr-defined]
    return run


_DECIDE_IN_CONSOLE = (
    "Commands that decide about money are off in production. Decide in the console at {console}, or set "
    "CLI_DECISIONS=on for this command."
)


class Words(click.ParamType[str]):
    """Text that is stored, such as a reason."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        words = text.tidy(str(value))
        if text.is_unusable(words):
            self.fail("The text contains control characters.", param, ctx)
        return words


class Currency(click.ParamType[str]):
    """A currency of the shop, in either case."""

    name = "currency"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        code = text.plain(str(value)).upper()
        if code not in CURRENCIES:
            self.fail(f"{code[:20]!r} is not a currency of this shop. Use one of {', '.join(CURRENCIES)}.", param, ctx)
        return code


class Amount(click.ParamType[Money]):
    """An amount with its currency, such as TWD=120."""

    name = "currency=amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Money:
        if isinstance(value, Money):
            return value
        code, _, typed = str(value).partition("=")
        return amount(typed, Currency().convert(code, param, ctx))


class Moment(click.ParamType[datetime]):
    """A time with its zone, such as 2026-12-24T00:00+08:00."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            at = datetime.fromisoformat(text.plain(str(value)))
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            self.fail(f"{str(value)[:40]!r} is not a time with a zone, such as 2026-12-24T00:00+08:00.", param, ctx)
        return at
