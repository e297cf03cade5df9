"""Strict fields, and the base of all schemas: unknown fields are refused, and no value is converted silently."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from shop.core import email_address, text
from shop.core.money import CURRENCIES, Money

LARGEST = 10**15
"""Largest amount in minor units."""


class Strict(Schema):
    """Base of all schemas."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "This field is not known.", "type": "This must be an object."}


def changed_schema(item: type[Strict], *always: str) -> type[Strict]:
    """Schema of the answer to a change of a resource with the schema `item`: callers that may not read the resource get
    the fields `always` alone.
    """

    def bind(self: Strict, name: str, field: Any) -> None:
        item.on_bind_field(self, name, field)
        field.required = name in always

    named = ", ".join(f"`{name}`" for name in always)
    made = type(f"Changed{item.__name__}", (item,), {"on_bind_field": bind})
    made.__doc__ = f"{item.__doc__} Callers that may not read it get {named} alone."
    return made


class WholeNumber(fields.Integer):
    """A whole number as a JSON number without fraction or exponent; 1e3, 1.0, "1" and true are refused."""

    default_error_messages = {"invalid": "This must be a whole number.", "required": "This field is required."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return value


class Switch(fields.Boolean):
    """True or false as JSON states it; 1, "true" and "on" are refused."""

    default_error_messages = {"invalid": "This must be true or false.", "required": "This field is required."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if type(value) is not bool:
            raise self.make_error("invalid", input=value)
        return value


class QueryNumber(fields.Integer):
    """A whole number in the query of an address: ASCII digits only, by default at most nine."""

    default_error_messages = {"invalid": "This must be a whole number."}

    def __init__(self, *, digits: int = 9, **more: Any) -> None:
        super().__init__(**more)
        self.pattern = re.compile(f"[0-9]{{1,{digits}}}")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or not self.pattern.fullmatch(value):
            raise self.make_error("invalid", input=value)
        return int(value)


class Line(fields.String):
    """Text of one line, in NFC and without invisible characters; empty and control characters are refused.

    A field that is not required may be empty.
    """

    default_error_messages = {
        "invalid": "This must be text.",
        "required": "This field is required.",
        "empty": "This must not be empty.",
        "unusable": "This contains characters that cannot be printed.",
        "too_long": "This has at most {longest} characters.",
    }

    def __init__(self, longest: int, **more: Any) -> None:
        metadata = {"maxLength": longest} | ({"minLength": 1} if more.get("required") else {})
        super().__init__(metadata=metadata | more.pop("metadata", {}), **more)
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid", input=value)
        tidied = text.tidy(value)
        if text.is_unusable(tidied):
            raise self.make_error("unusable")
        if self.required and not tidied:
            raise self.make_error("empty")
        if len(tidied) > self.longest:
            raise self.make_error("too_long", longest=self.longest)
        return tidied


class Secret(fields.String):
    """Text that is taken as it is, such as a password. NUL is refused, which no database takes."""

    default_error_messages = {
        "invalid": "This must be text.",
        "required": "This field is required.",
        "unusable": "This contains characters that cannot be used.",
    }

    def __init__(self, longest: int, **more: Any) -> None:
        super().__init__(validate=validate.Length(1, longest), **more)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        if isinstance(found, str) and "\0" in found:
            raise self.make_error("unusable")
        return found


class EmailAddress(fields.String):
    """An e-mail address, in its normal form."""

    default_error_messages = {
        "invalid": "This must be an e-mail address such as name@example.com.",
        "required": "This field is required.",
    }

    def __init__(self, **more: Any) -> None:
        metadata = {"format": "email", "maxLength": email_address.LONGEST} | more.pop("metadata", {})
        super().__init__(metadata=metadata, **more)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or email_address.is_too_long(value) or text.is_unusable(value):
            raise self.make_error("invalid", input=value)
        try:
            return email_address.normal(email_address.typed(value))
        except email_address.NotAnAddress as error:
            raise self.make_error("invalid", input=value) from error


class OneOf(fields.String):
    """One of some texts."""

    default_error_messages = {"invalid": "This must be text.", "required": "This field is required."}

    def __init__(self, *choices: str, **more: Any) -> None:
        words = f"This must be one of {', '.join(choices)}."
        super().__init__(validate=validate.OneOf(choices, error=words), **more)


class Time(fields.DateTime):
    """A time in UTC as RFC 3339."""

    def __init__(self, **more: Any) -> None:
        example = {"example": "2026-12-01T09:30:00Z"}
        super().__init__(format="iso", metadata=example | more.pop("metadata", {}), **more)


class MoneySchema(Strict):
    """An amount in minor units of its currency: 118000 TWD are NT$1,180, 1180 JPY are ¥1,180."""

    class Meta:
        unknown = RAISE

    amount = WholeNumber(
        required=True,
        validate=validate.Range(-LARGEST, LARGEST),
        metadata={"description": "Minor units.", "example": 118000},
    )
    currency = OneOf(*CURRENCIES, required=True, metadata={"example": "TWD"})


def money(value: Money) -> dict[str, Any]:
    """The body of an amount."""
    return {"amount": value.amount, "currency": value.currency}


def positive(value: int) -> None:
    """Validator of an amount that must be more than zero. Raises ValidationError."""
    if value <= 0:
        raise ValidationError("This must be more than zero.")
