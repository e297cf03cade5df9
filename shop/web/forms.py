"""HTML forms and their error messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from babel import Locale
from flask_babel import get_locale, lazy_gettext
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.validators import DataRequired, Length, NumberRange, Optional, Regexp, ValidationError

from shop.accounts import address_book
from shop.accounts.models import SavedAddress
from shop.core import countries as names
from shop.core import email_address, text
from shop.core.countries import SHIPS_TO
from shop.core.postal import formats, regions
from shop.http_kit.translation import locale_name, translated

Check = Callable[[FlaskForm, Any], None]
_TOO_LONG = lazy_gettext("This e-mail address is too long.")


def _tidy(typed: str | None) -> str | None:
    return text.tidy(typed) if typed else typed


def _plain(typed: str | None) -> str | None:
    return text.plain(typed) if typed else typed


def _address(typed: str | None) -> str | None:
    return email_address.typed(typed) if typed else typed


def _printable(_form: FlaskForm, field: StringField) -> None:
    if field.data and text.is_unusable(field.data):
        raise ValidationError(lazy_gettext("This contains characters that cannot be printed. Please type it again."))


def _is_address(_form: FlaskForm, field: StringField) -> None:
    if email_address.is_too_long(field.data or ""):
        raise ValidationError(_TOO_LONG)
    try:
        email_address.normal(field.data or "")
    except email_address.NotAnAddress as wrong:
        message = lazy_gettext("Enter an e-mail address in the format name@example.com.")
        raise ValidationError(message) from wrong


def _at_most(longest: int) -> Length:
    return Length(max=longest, message=lazy_gettext("Enter at most %(max)d characters."))


def _listed(sentence: Any) -> Check:
    """Validator: the value must be one of the choices. Replaces the field's own check, whose message is the
    library's.
    """

    def check(_form: FlaskForm, field: SelectField) -> None:
        if field.data not in [choice[0] for choice in field.choices or ()]:
            raise ValidationError(sentence)

    return check


class WholeNumberField(IntegerField):
    """Field for a whole number in the digits of any script."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Parse the number. Raises ValueError with a message."""
        typed = text.plain(valuelist[0]) if valuelist else ""
        self.data = None
        if typed and not re.fullmatch("[0-9]{1,15}", typed):
            raise ValueError(lazy_gettext("Enter a whole number."))
        self.data = int(typed) if typed else None


def countries() -> list[tuple[str, str]]:
    """Code and name of the countries that the shop ships to, sorted by name in the customer's language."""
    locale = get_locale() or Locale("en")
    return sorted(((code, names.name(code, locale)) for code in SHIPS_TO), key=lambda pair: pair[1])


def _text(label: str, missing: str, longest: int) -> StringField:
    return StringField(label, filters=[_tidy], validators=[DataRequired(missing), _at_most(longest), _printable])


def _optional(label: str, longest: int) -> StringField:
    return StringField(label, filters=[_tidy], validators=[Optional(), _at_most(longest), _printable])


def _is_phone(_form: FlaskForm, field: StringField) -> None:
    if field.data and not formats.is_phone(field.data):
        raise ValidationError(lazy_gettext("Enter a phone number such as +886 2 2345 6789, or leave it empty."))


_STALE = lazy_gettext("This form has expired. Please send it again.")
_email = [
    DataRequired(lazy_gettext("Enter your e-mail address.")),
    Length(max=email_address.LONGEST, message=_TOO_LONG),
    _is_address,
]


class AddressFields(FlaskForm):
    """A delivery address with its recipient. Its country decides which fields there are, their names and their order.

    `fitted` is the country whose fields the page shows.
    """

    name = _text(lazy_gettext("Full name"), lazy_gettext("Enter the recipient's name."), 100)
    line1 = _text(lazy_gettext("Street and number"), lazy_gettext("Enter the street and number."), 120)
    line2 = _optional(lazy_gettext("Flat, floor, building"), 120)
    city = _optional(lazy_gettext("City"), 80)
    region = _optional(lazy_gettext("State"), 80)
    postcode = StringField(
        lazy_gettext("Postcode"), filters=[_plain], validators=[Optional(), _at_most(16), _printable]
    )
    country = SelectField(
        lazy_gettext("Country"),
        validate_choice=False,
        validators=[_listed(lazy_gettext("Choose a country from the list."))],
    )
    phone = StringField(
        lazy_gettext("Phone number"), filters=[_plain], validators=[Optional(), _at_most(40), _is_phone]
    )
    fitted = HiddenField()

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.country.choices = countries()

    def fit(self) -> None:
        """Name the fields as the chosen country does."""
        wanted = formats.of(self.country.data or "")
        for name in wanted.fields:
            self[name].label.text = translated(wanted.words(name).label)
            self[name].flags.required = name in wanted.required
        self.fitted.data = self.country.data

    @property
    def address_fields(self) -> list[Any]:
        """The fields of the country, in its order."""
        return [self[name] for name in formats.of(self.country.data or "").fields]

    @property
    def in_page_order(self) -> list[Any]:
        """The fields that can be wrong, as the page shows them."""
        return [self.country, self.name, *self.address_fields, self.phone]

    def take(self, saved: Any) -> None:
        """Fill in an address of the address book."""
        for name in address_book.FIELDS:
            self[name].data = getattr(saved, name)

    saved: Sequence[SavedAddress] | None = None
    """The customer's address book, once it is read."""

    def clear(self) -> None:
        """Empty the address; its recipient and its country stay."""
        for name in (*formats.FIELDS, "phone"):
            self[name].data = ""

    def holds(self, saved: Any) -> bool:
        """True if the form has this address."""
        return all((self[name].data or "") == getattr(saved, name) for name in address_book.FIELDS)

    @property
    def address(self) -> dict[str, str]:
        """The address as it is stored; read it from a valid form."""
        return {name: self[name].data or "" for name in address_book.FIELDS}

    @property
    def regions(self) -> list[tuple[str, str]]:
        """Key and name of the country's regions; empty if they are typed."""
        return regions.listed(self.country.data or "", locale_name())

    def validate(self, extra_validators: Any = None) -> bool:
        """Check the fields, then the parts of the address against its country."""
        super().validate(extra_validators)
        if not self.country.errors:
            typed = {name: self[name].data or "" for name in formats.FIELDS}
            stored, wrong = formats.checked(self.country.data, typed)
            for name, problem in wrong.items():
                self[name].errors = self[name].errors or [translated(problem)]
            for name in formats.FIELDS:
                if name not in formats.of(self.country.data).fields:
                    self[name].data, self[name].errors = "", []
                elif not self[name].errors:
                    self[name].data = stored[name]
        return not self.errors


class CheckoutForm(AddressFields):
    """Contact, delivery address and payment method. `credit` is in minor units.

    `key` is the checkout key: a form that is sent twice places one order. `terms` is the digest of the terms that the
    page showed, `shown` is their text, used only to list changes, and `customer` marks the person to whom the page was
    shown.
    """

    email = EmailField(lazy_gettext("E-mail"), filters=[_address], validators=_email)
    method = RadioField(
        lazy_gettext("Payment method"),
        validate_choice=False,
        validators=[_listed(lazy_gettext("Choose one of the listed payment methods."))],
    )
    delivery = StringField(validators=[Optional()])
    code = StringField(lazy_gettext("Discount code"), filters=[_plain])
    credit = WholeNumberField(
        lazy_gettext("Store credit"),
        validators=[Optional(), NumberRange(0, 10**12, lazy_gettext("You do not have that much store credit."))],
    )
    save_address = BooleanField(lazy_gettext("Save this address in my address book"))
    key = HiddenField(validators=[Regexp(r"[A-Za-z0-9_-]{8,64}\Z", message=_STALE)])
    terms = HiddenField()
    shown = HiddenField()
    customer = HiddenField()

    @property
    def in_page_order(self) -> list[Any]:
        """The fields that can be wrong, as the page shows them."""
        return [self.email, *super().in_page_order, self.method, self.credit, self.key]


class AddressForm(AddressFields):
    """An address of the address book."""

    is_default = BooleanField(lazy_gettext("Use this address by default"))


class EmailForm(FlaskForm):
    """E-mail address only."""

    email = EmailField(lazy_gettext("E-mail"), filters=[_address], validators=_email)


class SignInForm(EmailForm):
    """E-mail and password."""

    password = PasswordField(
        lazy_gettext("Password"), validators=[DataRequired(lazy_gettext("Enter your password.")), _at_most(256)]
    )


def _new_password(label: str) -> PasswordField:
    return PasswordField(label, validators=[DataRequired(lazy_gettext("Choose a password.")), _at_most(256)])


def _current_password() -> PasswordField:
    missing = lazy_gettext("Enter your current password.")
    return PasswordField(lazy_gettext("Current password"), validators=[DataRequired(missing), _at_most(256)])


class NewPasswordForm(FlaskForm):
    """New password; `shop.accounts.signin.check_password` checks it."""

    password = _new_password(lazy_gettext("New password"))


class InvitationForm(FlaskForm):
    """Name and password of an invited person; `shop.accounts.invitations.accept` checks the password."""

    name = _text(lazy_gettext("Name"), lazy_gettext("Enter your name."), 100)
    password = _new_password(lazy_gettext("Password"))


class CodeForm(FlaskForm):
    """Code of an authenticator app, or a recovery code."""

    code = _text(lazy_gettext("Code"), lazy_gettext("Enter the code."), 40)


class OwnerForm(FlaskForm):
    """Current password, empty for an account without one; `credentials.confirm_owner` checks it."""

    current = PasswordField(lazy_gettext("Current password"), validators=[Optional(), _at_most(256)])


class ConfirmIdentityForm(OwnerForm):
    """Confirmation that an identity is added."""


class ExportForm(OwnerForm):
    """Confirmation that the data of the account are downloaded."""


class DeleteAccountForm(OwnerForm):
    """Confirmation that the account is deleted: its e-mail address, typed, and what becomes of store credit."""

    confirmation = EmailField(
        lazy_gettext("E-mail address of your account"),
        filters=[_address],
        validators=[
            DataRequired(
                lazy_gettext("Enter the e-mail address of your account, to confirm that you want to delete it.")
            )
        ],
    )
    gives_up_credit = BooleanField(lazy_gettext("I give up my store credit"))


class ChangePasswordForm(FlaskForm):
    """Current and new password."""

    current = _current_password()
    password = _new_password(lazy_gettext("New password"))


class ChangeEmailForm(FlaskForm):
    """New address and current password."""

    email = EmailField(lazy_gettext("New e-mail address"), filters=[_address], validators=_email)
    current = _current_password()


class RegisterForm(EmailForm):
    """New account; `shop.accounts.signin.register` checks the password."""

    name = _text(lazy_gettext("Name"), lazy_gettext("Enter your name."), 100)
    password = _new_password(lazy_gettext("Password"))
