"""The forms that people fill in, and the sentences that tell them what is missing."""

from __future__ import annotations

import re

from babel import Locale
from flask_babel import get_locale, lazy_gettext
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, IntegerField, PasswordField, RadioField, SelectField, StringField
from wtforms.validators import DataRequired, Email, Length, NumberRange, Optional, Regexp, ValidationError

SHIPS_TO = frozenset(re.findall("..", "TWJPHKMOSGMYTHVNPHKRIDINAUNZUSCAMXBRGBIEFRDEATCHNLBELUDKSENOFIISESPTITPLCZGR"))
"""Countries that the shop sends to, as ISO 3166 codes."""


def _tidy(text: str | None) -> str | None:
    return " ".join(text.split()) if text else text


def _printable(_form: FlaskForm, field: StringField) -> None:
    if field.data and not field.data.isprintable():
        raise ValidationError(lazy_gettext("There are characters in here that cannot be printed on a label."))


def countries() -> list[tuple[str, str]]:
    """Code and name of the countries that we send to, by name in the reader's language."""
    names = (get_locale() or Locale("en")).territories
    return sorted(((code, str(names.get(code, code))) for code in SHIPS_TO), key=lambda pair: pair[1])


def _text(label: str, missing: str, longest: int) -> StringField:
    too_long = lazy_gettext("Please keep this to %(max)d characters.")
    return StringField(
        label, filters=[_tidy], validators=[DataRequired(missing), Length(max=longest, message=too_long), _printable]
    )


_STALE = lazy_gettext("This form has gone stale. Please send it again.")
_email = [
    DataRequired(lazy_gettext("Please give your e-mail address.")),
    Length(max=254, message=lazy_gettext("This e-mail address is too long.")),
    Email(lazy_gettext("This is not an e-mail address. It looks like name@example.com.")),
]


class CheckoutForm(FlaskForm):
    """Who buys, where it goes, how it is paid. `key` makes sending it twice one order; `credit` is in minor units."""

    email = EmailField(lazy_gettext("E-mail"), filters=[_tidy], validators=_email)
    name = _text(lazy_gettext("Full name"), lazy_gettext("Please give a name for the label."), 100)
    line1 = _text(lazy_gettext("Street and number"), lazy_gettext("Please give a street and number."), 120)
    line2 = StringField(
        lazy_gettext("Flat, floor, building"), filters=[_tidy], validators=[Optional(), Length(max=120), _printable]
    )
    city = _text(lazy_gettext("City"), lazy_gettext("Please give a city."), 80)
    postcode = StringField(
        lazy_gettext("Postcode"), filters=[_tidy], validators=[Optional(), Length(max=16), _printable]
    )
    country = SelectField(lazy_gettext("Country"))
    method = RadioField(lazy_gettext("Payment method"))
    credit = IntegerField(lazy_gettext("Store credit"), validators=[Optional(), NumberRange(0, 10**12)])
    key = HiddenField(validators=[Regexp(r"[A-Za-z0-9_-]{8,64}\Z", message=_STALE)])


class EmailForm(FlaskForm):
    """An e-mail address alone."""

    email = EmailField(lazy_gettext("E-mail"), filters=[_tidy], validators=_email)


class SignInForm(EmailForm):
    """E-mail and password."""

    password = PasswordField(
        lazy_gettext("Password"), validators=[DataRequired(lazy_gettext("Please give your password.")), Length(max=256)]
    )


class RegisterForm(EmailForm):
    """A new account; whether the password is good is decided where accounts are made."""

    name = _text(lazy_gettext("Name"), lazy_gettext("Please give a name."), 100)
    password = PasswordField(
        lazy_gettext("Password"), validators=[DataRequired(lazy_gettext("Please choose a password.")), Length(max=256)]
    )
