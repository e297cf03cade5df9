"""Template helpers: money, times, durations and texts in the customer's language."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from babel.dates import format_date, format_datetime, format_time, get_datetime_format
from babel.numbers import format_decimal
from flask import Flask, request
from flask_babel import gettext
from markupsafe import Markup

from shop.core import clock, email_typos
from shop.core.languages import tag
from shop.core.line_kinds import LineKind
from shop.core.money import Money
from shop.core.postal import lines
from shop.fulfilment.carriers import local_name
from shop.http_kit import visitor
from shop.http_kit.barcode import Barcode, code39
from shop.http_kit.device_name import browser_of, system_of
from shop.http_kit.translation import locale, locale_name, translated
from shop.orders.models import Order, OrderLine
from shop.orders.states import OrderState
from shop.payments.providers import registry
from shop.payments.providers.types import ActionKind
from shop.pricing.decide import Charge
from shop.seller import Seller
from shop.seller_data import seller_data

_NEAR = timedelta(hours=12)
_STATIC = Path(__file__).resolve().parents[2] / "static"


def init_app(app: Flask) -> None:
    """Give the templates of `app` these filters and functions."""
    app.jinja_env.filters.update(carrier=carrier, full_time=full_time, money=money, time=time)
    app.jinja_env.globals.update(
        address_lines=address_lines,
        asset=asset,
        barcode=barcode,
        cart_count=visitor.cart_count,
        charge_says=charge_says,
        decline_text=decline_text,
        device_name=device_name,
        duration=duration,
        email_meant=email_typos.suggestion,
        method_hint=method_hint,
        method_title=method_title,
        methods_not_offered=methods_not_offered,
        own_unpaid=visitor.own_unpaid,
        units_of=units_of,
        page_language=page_language,
        pay_by=pay_by,
        payment_methods=payment_methods,
        seconds_between=seconds_between,
        seller=seller,
        space=space,
        state_word=state_word,
    )


def asset(name: str) -> str:
    """Address of a file under static/, with a hash of its content, so that browsers may cache it for long."""
    return f"{request.script_root}{_static_path(name)}"


@lru_cache(maxsize=256)
def _static_path(name: str) -> str:
    path = _STATIC / name
    mark = hashlib.sha256(path.read_bytes()).hexdigest()[:10] if path.is_file() else "none"
    return f"/static/{quote(name)}?v={mark}"


def page_language() -> str:
    """The locale as HTML's `lang` attribute spells it."""
    return tag(locale_name())


def space() -> str:
    """The space before a text in brackets: none in Chinese and Japanese, whose brackets are as wide as a character."""
    return "" if locale().language in ("ja", "zh") else " "


def money(amount: Money) -> str:
    """An amount with its ISO code, in the customer's number format."""
    return amount.format(locale_name())


def time(at: datetime) -> Markup:
    """A <time> element in UTC, without the date if it is within 12 hours; the page converts it to the browser's time
    zone.
    """
    return _time(at.astimezone(UTC).replace(microsecond=0), abs(at - clock.now()) < _NEAR, locale_name())


def full_time(at: datetime) -> Markup:
    """A <time> element as `time` gives it, always with the date in full."""
    return _full_time(at.astimezone(UTC).replace(microsecond=0), locale_name())


@lru_cache(maxsize=1024)
def _full_time(at: datetime, language: str) -> Markup:
    day, moment = format_date(at, "long", locale=language), format_time(at, "short", tzinfo=UTC, locale=language)
    text = str(get_datetime_format("long", locale=language)).replace("'", "").format(moment, day)
    stamp = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-full>{} UTC</time>').format(stamp, text)


@lru_cache(maxsize=1024)
def _time(at: datetime, is_near: bool, language: str) -> Markup:
    if is_near:
        text = format_time(at, "short", tzinfo=UTC, locale=language)
    else:
        text = format_datetime(at, "medium", tzinfo=UTC, locale=language)
    stamp = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{} UTC</time>').format(stamp, text)


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds from `start` to `end`, never less than 0."""
    return max(0, round((end - start).total_seconds()))


def duration(seconds: int) -> str:
    """Minutes and seconds in the format of the countdown."""
    return f"{seconds // 60}:{seconds % 60:02d}"


def payment_methods(order: Order) -> list[registry.Method]:
    """Payment methods that accept this order's currency and amount."""
    return [method for method in registry.methods(order.currency) if registry.takes(method.provider, order.to_pay)]


def methods_not_offered(order: Order) -> list[str]:
    """Reasons why the other payment methods of this currency cannot charge the amount to pay."""
    reasons = (
        registry.reason_not_offered(method.provider, order.to_pay) for method in registry.methods(order.currency)
    )
    return [translated(reason) for reason in reasons if reason]


def units_of(sku: str, orders: Iterable[Order]) -> int:
    """The number of units of a product in these orders."""
    return sum(line.quantity for order in orders for line in order.lines if line.sku == sku)


def charge_says(line: OrderLine | Charge) -> str:
    """Text of a line that is no product."""
    if line.kind == LineKind.DISCOUNT:
        return str(gettext("Discount (%(code)s)", code=line.name))
    if line.kind == LineKind.DELIVERY:
        return str(gettext("Delivery (%(name)s)", name=line.name))
    rate = format_decimal(Decimal(line.rate or 0) / 1000, locale=locale())
    if line.is_included:
        return str(gettext("Includes %(name)s (%(rate)s%%)", name=line.name, rate=rate))
    return str(gettext("%(name)s (%(rate)s%%)", name=line.name, rate=rate))


def method_title(method: registry.Method) -> str:
    """The payment method as customers know it; its provider's name for a wallet."""
    titles = {"card": gettext("Credit card"), "card or store": gettext("Credit card or convenience store")}
    return str(titles.get(method.pays_by, method.name))


def pay_by(method: registry.Method) -> str:
    """Text of the button that pays with the method."""
    texts = {"card": gettext("Pay by credit card"), "card or store": gettext("Pay by card or at a convenience store")}
    return str(texts.get(method.pays_by) or gettext("Pay with %(name)s", name=method.name))


def method_hint(method: registry.Method) -> str:
    """Description of the next step with this payment method."""
    if method.action == ActionKind.QR:
        return str(gettext("You will scan a code with %(name)s on your phone.", name=method.name))
    return str(gettext("You will pay on a secure page run by %(name)s.", name=method.name))


def barcode(code: object) -> Barcode | None:
    """The bars of a store payment code; None if it has no barcode."""
    try:
        return code39(code) if isinstance(code, str) and code else None
    except ValueError:
        return None


def seller() -> Seller:
    """The seller of the shop."""
    return seller_data.shown()


def carrier(name: str) -> str:
    """The name of a carrier in the language of the page or mail."""
    return local_name(name, locale().language)


def address_lines(address: lines.Printed) -> list[str]:
    """The lines of a delivery address, in the order of its country and of the customer's language."""
    return lines.of(address, locale())


def device_name(user_agent: str) -> str:
    """Browser and operating system of a sign-in."""
    browser, system = browser_of(user_agent), system_of(user_agent)
    if browser and system:
        return str(gettext("%(browser)s on %(system)s", browser=browser, system=system))
    return browser or system or str(gettext("Unknown device"))


def state_word(state: OrderState) -> str:
    """An order's state in one or two words."""
    words = {
        OrderState.PENDING: gettext("Not paid yet"),
        OrderState.WAITING_PAYMENT: gettext("Not paid yet"),
        OrderState.FAILED: gettext("Not paid yet"),
        OrderState.PAID: gettext("Paid"),
        OrderState.PARTIALLY_REFUNDED: gettext("Partially refunded"),
        OrderState.REFUNDED: gettext("Refunded"),
        OrderState.EXPIRED: gettext("Expired"),
        OrderState.CANCELLED: gettext("Cancelled"),
    }
    return str(words[state])


def decline_text(decline: dict[str, Any]) -> str:
    """Message for a decline: by its code, else by its class."""
    by_code = {
        "insufficient_funds": gettext("Insufficient funds."),
        "expired_card": gettext("This card has expired."),
        "incorrect_cvc": gettext("The security code is incorrect."),
        "incorrect_number": gettext("The card number is incorrect."),
        "authentication_required": gettext(
            "Your bank could not confirm your identity. Try again, or use another card."
        ),
        "processing_error": gettext("Your bank could not process the payment. Please try again."),
        "lost_card": gettext("Your bank declined this card. Use another card."),
        "stolen_card": gettext("Your bank declined this card. Use another card."),
    }
    by_class = {
        "fix_input": gettext("Some of the card details are incorrect."),
        "other_method": gettext("Your bank declined this card. Try another card or another payment method."),
        "authenticate": gettext("Your bank could not confirm your identity. Try again, or use another card."),
        "retry_later": gettext("Your bank could not process the payment. Please try again."),
        "never_retry": gettext("Your bank declined this card. Use another card."),
    }
    klass = decline.get("class") or decline.get("klass", "")
    return str(
        by_code.get(decline.get("code", "")) or by_class.get(klass) or gettext("Your bank did not give a reason.")
    )
