"""`flask pricing …`: tax rates, delivery methods and discount codes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click
from babel import Locale
from flask.cli import with_appcontext
from sqlalchemy import select

from shop.commands import Amount, Group, Moment, Words, by_staff
from shop.core import languages, text
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import BadInput
from shop.core.money import Money
from shop.pricing import change, rates
from shop.pricing.models import DeliveryMethod, DiscountCode, DiscountValue, TaxRate

_KEY = re.compile("[a-z0-9][a-z0-9-]{0,39}")
Texts = tuple[tuple[str, str], ...]
"""Translations of a name: pairs of a locale and the name."""


class Country(click.ParamType[str]):
    """An ISO 3166 country code, in either case."""

    name = "country"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        code = text.plain(str(value)).upper()
        if not re.fullmatch("[A-Z]{2}", code) or code not in Locale("en").territories:
            self.fail(f"{code[:20]!r} is not a country code, such as TW.", param, ctx)
        return code


class Rate(click.ParamType[int]):
    """A tax rate in percent with at most three decimals, converted to thousandths."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return rates.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Translation(click.ParamType[tuple[str, str]]):
    """A name in another language than English, such as zh-Hant=快速配送, converted to its locale and the name."""

    name = "language=name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        tag, _, words = str(value).partition("=")
        locale = languages.offered(text.plain(tag))
        if locale is None or locale == languages.ENGLISH:
            others = ", ".join(languages.tag(one) for one in languages.OFFERED if one != languages.ENGLISH)
            self.fail(f"{tag[:20]!r} is not a language that names are translated to. Use {others}.", param, ctx)
        return locale, _short(Words().convert(words, param, ctx))


_amounts: dict[str, Any] = {"multiple": True, "type": Amount()}
_texts = click.option(
    "--text",
    "texts",
    multiple=True,
    type=Translation(),
    help="Name in another language, such as zh-Hant=快速配送; once for each language. Names in languages that are not "
    "given are kept, unless NAME, which is English, changes.",
)


@click.group(cls=Group)
def pricing() -> None:
    """Tax, delivery methods and discount codes."""


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A command of the group, in an app context."""

    def declare(do: Callable[..., Any]) -> click.Command:
        return pricing.command(name)(with_appcontext(do))

    return declare


@_command("list")
def list_all() -> None:
    """List tax rates, delivery methods and discount codes."""
    for tax in db.session.scalars(select(TaxRate).order_by(TaxRate.country)):
        how = "included in prices" if tax.is_included else "added to prices"
        click.echo(f"tax       {tax.country:<20} {_named(tax)} {_rates(tax.rate, tax.reduced_rate)}, {how}")
    for method in db.session.scalars(select(DeliveryMethod).order_by(DeliveryMethod.position, DeliveryMethod.key)):
        free = f", free from {_all(method.free_from)}" if method.free_from else ""
        to, codes = ("to all except" if method.exceptions else "to"), method.exceptions or method.countries
        where = f", {to} {', '.join(codes)}" if codes else ""
        off = "" if method.is_offered else ", off"
        click.echo(f"delivery  {method.key:<20} {_named(method)}: {_all(method.prices)}{free}{where}{off}")
    for code in db.session.scalars(select(DiscountCode).order_by(DiscountCode.code)):
        click.echo(f"code      {code.code:<20} {_described(code)}")


@_command("set-tax")
@click.argument("country", type=Country())
@click.argument("name", type=Words())
@click.argument("rate", type=Rate())
@click.option("--included/--added", "is_included", default=True, help="Whether prices contain it. Default: included.")
@click.option("--reduced", type=Rate(), help="Rate of products of the class reduced, in percent. Default: as it is.")
@click.option("--no-reduced", is_flag=True, help="Remove the reduced rate: RATE is that of the class reduced too.")
@_texts
@by_staff
def set_tax(
    country: str,
    name: str,
    rate: int,
    is_included: bool,
    reduced: int | None,
    no_reduced: bool,
    texts: Texts,
    by: Actor,
) -> None:
    """Set the tax of COUNTRY: its NAME on orders, and its RATE in percent. The reduced rate is kept unless given."""
    if no_reduced and reduced is not None:
        raise click.UsageError("Give either --reduced or --no-reduced.")
    change.set_tax(
        country,
        _short(name),
        rate,
        is_included=is_included,
        reduced_rate=reduced,
        keeps_reduced=reduced is None and not no_reduced,
        by=by,
        names=_by_locale(texts),
    )
    saved = db.session.get_one(TaxRate, country, populate_existing=True)
    how = "included in" if is_included else "added to"
    click.echo(f"{country}: {name} {_rates(rate, saved.reduced_rate)}, {how} prices.")


@_command("remove-tax")
@click.argument("country", type=Country())
@by_staff
def remove_tax(country: str, by: Actor) -> None:
    """Remove the tax of COUNTRY."""
    click.echo(f"{country} has no tax{'' if change.remove_tax(country, by=by) else ', and had none'}.")


@_command("set-delivery")
@click.argument("key")
@click.argument("name", type=Words())
@click.option("--price", "prices", **_amounts, required=True, help="Price, such as TWD=120; once for each currency.")
@click.option("--free-from", **_amounts, help="Amount of goods from which it is free; once for each currency.")
@click.option("--country", "countries", multiple=True, type=Country(), help="Country; all countries without it.")
@click.option("--except-country", "exceptions", multiple=True, type=Country(), help="Country that it does not reach.")
@click.option("--position", type=click.IntRange(0, 999), default=0, help="The lowest position is preselected.")
@click.option("--offered/--off", "is_offered", default=True, help="Whether checkouts offer it. Default: offered.")
@_texts
@by_staff
def set_delivery(
    key: str,
    name: str,
    prices: tuple[Money, ...],
    free_from: tuple[Money, ...],
    countries: tuple[str, ...],
    exceptions: tuple[str, ...],
    position: int,
    is_offered: bool,
    texts: Texts,
    by: Actor,
) -> None:
    """Set the delivery method KEY, which customers see as NAME."""
    if countries and exceptions:
        raise click.UsageError("Give either --country or --except-country.")
    if not _KEY.fullmatch(key):
        raise BadInput("bad_key", "A key has at most 40 small letters from a to z, digits and hyphens.")
    change.set_delivery(
        key,
        _short(name),
        _by_currency(prices),
        free_from=_by_currency(free_from),
        countries=countries or exceptions,
        all_except=bool(exceptions),
        position=position,
        by=by,
        names=_by_locale(texts),
        is_offered=is_offered,
    )
    click.echo(f"{key} is {'offered' if is_offered else 'off'}.")


@_command("remove-delivery")
@click.argument("key")
@by_staff
def remove_delivery(key: str, by: Actor) -> None:
    """Remove the delivery method KEY. Without any method delivery is free."""
    if not change.remove_delivery(key, by=by):
        raise BadInput("unknown_method", f"There is no delivery method {key[:40]}.")
    click.echo(f"{key} is no longer offered.")


@_command("set-code")
@click.argument("code")
@click.option("--percent", "percent_off", type=click.IntRange(1, 100), help="Percentage taken off the goods.")
@click.option("--amount", "amounts", **_amounts, help="Amount taken off, such as TWD=100; once for each currency.")
@click.option("--budget", "budgets", **_amounts, help="Most that its discounts may sum to; once for each currency.")
@click.option("--from", "starts_at", type=Moment(), help="First moment at which it is valid.")
@click.option("--until", "ends_at", type=Moment(), help="First moment at which it is not valid any more.")
@click.option("--limit", "use_limit", type=click.IntRange(1), help="Most orders that may use it.")
@click.option("--once/--often", "once", default=True, help="Whether an e-mail address can use it once or often.")
@by_staff
def set_code(
    code: str,
    percent_off: int | None,
    amounts: tuple[Money, ...],
    budgets: tuple[Money, ...],
    starts_at: datetime | None,
    ends_at: datetime | None,
    use_limit: int | None,
    once: bool,
    by: Actor,
) -> None:
    """Create the discount code CODE, or change and enable it."""
    change.set_code(
        change.NewCode(
            code, percent_off, _by_currency(amounts), _by_currency(budgets), starts_at, ends_at, use_limit, once
        ),
        by=by,
    )
    click.echo(f"{text.plain(code).upper()} can be used.")


@_command("disable-code")
@click.argument("code")
@by_staff
def disable_code(code: str, by: Actor) -> None:
    """Disable the discount code CODE. Orders that use it keep their discount."""
    if not change.disable_code(code, by=by):
        raise BadInput("unknown_code", f"There is no discount code {code[:40]}.")
    click.echo(f"{text.plain(code).upper()} can no longer be used.")


def _rates(rate: int, reduced: int | None) -> str:
    return f"{rates.percent(rate)} %{'' if reduced is None else f' (reduced {rates.percent(reduced)} %)'}"


def _named(row: TaxRate | DeliveryMethod) -> str:
    """Name of a row, with its translations."""
    others = ", ".join(f"{languages.tag(locale)}: {text['name']}" for locale, text in row.texts.items())
    return f"{row.name} ({others})" if others else row.name


def _short(name: str) -> str:
    if not 1 <= len(name) <= 60:
        raise BadInput("bad_name", "A name has 1 to 60 characters.")
    return name


def _by_currency(amounts: Sequence[Money]) -> dict[str, Money]:
    found = {money.currency: money for money in amounts}
    if len(found) != len(amounts):
        raise BadInput("bad_amount", "Give one amount for each currency.")
    return found


def _by_locale(texts: Texts) -> dict[str, str]:
    found = dict(texts)
    if len(found) != len(texts):
        raise BadInput("bad_name", "Give one name for each language.")
    return found


def _all(amounts: dict[str, int]) -> str:
    return ", ".join(Money(amount, currency).with_code() for currency, amount in amounts.items())


def _described(code: DiscountCode) -> str:
    values = db.session.scalars(select(DiscountValue).where(DiscountValue.code == code.code)).all()
    amounts = {value.currency: value.amount for value in values if value.amount is not None}
    budgets = [
        f"{Money(one.spent, one.currency).with_code()} of {Money(one.budget, one.currency).with_code()} given"
        for one in values
        if one.budget is not None
    ]
    parts = [
        f"{code.percent} %" if code.percent is not None else _all(amounts),
        f"used {code.uses} times" + (f" of {code.use_limit}" if code.use_limit is not None else ""),
        *budgets,
        *([f"from {code.starts_at.isoformat()}"] if code.starts_at else []),
        *([f"until {code.ends_at.isoformat()}"] if code.ends_at else []),
        *([] if code.once_per_email else ["often by one address"]),
        *([] if code.is_active else ["disabled"]),
    ]
    return ", ".join(parts)
