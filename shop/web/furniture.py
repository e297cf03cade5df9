"""What templates may call: money, times, words and lengths of time as the reader reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from babel import Locale
from babel.dates import format_datetime, format_time
from flask import Flask
from flask_babel import get_locale, gettext
from markupsafe import Markup

from shop.core import clock
from shop.core.money import Money
from shop.orders.models import Order
from shop.payments import registry
from shop.web import visitor
from shop.web.barcode import Barcode, code39

_NEAR = timedelta(hours=12)


def init_app(app: Flask) -> None:
    """Give the templates of `app` these filters and functions."""
    app.jinja_env.filters.update(money=money, time=time)
    app.jinja_env.globals.update(
        barcode=barcode,
        cart_count=visitor.cart_count,
        country=country,
        decline_says=decline_says,
        duration=duration,
        how_it_goes=how_it_goes,
        page_language=page_language,
        payment_methods=payment_methods,
        seconds_between=seconds_between,
        state_word=state_word,
    )


def locale() -> Locale:
    """The reader's locale; English outside of any request."""
    return get_locale() or Locale("en")


def page_language() -> str:
    """The locale as HTML's `lang` wants it."""
    return str(locale()).replace("_", "-")


def money(amount: Money) -> str:
    """An amount with its ISO code, as the reader writes numbers."""
    return amount.format(str(locale()))


def time(at: datetime) -> Markup:
    """A <time> element: the hour when that is near, else the day too. In UTC; the page makes it the reader's own."""
    if abs(at - clock.now()) < _NEAR:
        text = format_time(at, "short", tzinfo=UTC, locale=locale())
    else:
        text = format_datetime(at, "medium", tzinfo=UTC, locale=locale())
    stamp = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}">{} UTC</time>').format(stamp, text)


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds from `start` to `end`, never less than 0."""
    return max(0, round((end - start).total_seconds()))


def duration(seconds: int) -> str:
    """Minutes and seconds, as a clock that runs down shows them."""
    return f"{seconds // 60}:{seconds % 60:02d}"


def payment_methods(order: Order) -> list[registry.Method]:
    """The ways in which this order can be paid."""
    return registry.methods(order.currency)


def how_it_goes(method: registry.Method) -> str:
    """What will happen when this way to pay is chosen."""
    if method.action == "qr":
        return gettext("You will scan a code with %(name)s on your phone.", name=method.name)
    return gettext("You will pay on a secure page run by %(name)s.", name=method.name)


def barcode(said: object) -> Barcode | None:
    """The bars of a store code; None when there are none for it."""
    try:
        return code39(said) if isinstance(said, str) and said else None
    except ValueError:
        return None


def country(code: str) -> str:
    """The country's name in the reader's language."""
    return str(locale().territories.get(code, code))


def state_word(state: str) -> str:
    """An order's state in one or two words."""
    words = {
        "PENDING": gettext("Not paid yet"),
        "WAITING_PAYMENT": gettext("Not paid yet"),
        "FAILED": gettext("Not paid yet"),
        "PAID": gettext("Paid"),
        "PARTIALLY_REFUNDED": gettext("Partly refunded"),
        "REFUNDED": gettext("Refunded"),
        "EXPIRED": gettext("Expired"),
        "CANCELLED": gettext("Cancelled"),
    }
    return words[state]


def decline_says(decline: dict[str, Any]) -> str:
    """Why the bank said no, in plain words: by its code, else by what helps."""
    by_code = {
        "insufficient_funds": gettext("There is not enough money on this card."),
        "expired_card": gettext("This card has expired."),
        "incorrect_cvc": gettext("The security code on the back was not right."),
        "incorrect_number": gettext("The card number was not right."),
        "authentication_required": gettext("Your bank wanted to confirm that it is you, and that did not work."),
        "processing_error": gettext("The bank could not answer just then. Trying again may help."),
        "lost_card": gettext("The bank does not accept this card. Please use another one."),
        "stolen_card": gettext("The bank does not accept this card. Please use another one."),
    }
    by_class = {
        "fix_input": gettext("Something in the card details was not right."),
        "other_method": gettext("The bank did not accept this card. Another card or another way to pay may work."),
        "authenticate": gettext("Your bank wanted to confirm that it is you, and that did not work."),
        "retry_later": gettext("The bank could not answer just then. Trying again may help."),
        "never_retry": gettext("The bank does not accept this card. Please use another one."),
    }
    klass = decline.get("class") or decline.get("klass", "")
    return by_code.get(decline.get("code", "")) or by_class.get(klass) or gettext("The bank did not say why.")
