"""Stripe's request encoding: form fields with brackets, such as `line_items[0][price_data][unit_amount]=1200`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from mock_acquirer import targets
from mock_acquirer.errors import Refused

NAME = re.compile(r"([A-Za-z0-9_.-]{1,100})((?:\[[A-Za-z0-9_. -]{0,100}\]){0,6})")
MOST_FIELDS = 1000
WHOLE = re.compile(r"-?[0-9]{1,15}")


def wrong(code: str, param: str | None, message: str) -> Refused:
    """400 with Stripe's type `invalid_request_error`, about the field `param`."""
    return Refused(400, "invalid_request", code, message, param=param)


def parse(written: bytes) -> dict[str, Any]:
    """Parse into nested dicts and lists of text. Refuses malformed forms with 400."""
    try:
        pairs = parse_qsl(
            written.decode("utf-8"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as broken:
        raise wrong("parameter_invalid", None, "The body must be form fields in UTF-8, fewer than 1000.") from broken
    found: dict[str, Any] = {}
    for name, value in pairs:
        match = NAME.fullmatch(name)
        if match is None or "\x00" in value:
            raise wrong("parameter_unknown", name[:80].replace("\x00", ""), "There is no parameter of this name.")
        _put(found, [match[1], *re.findall(r"\[([^\]]*)\]", match[2])], value, name)
    return {name: _with_lists(value) for name, value in found.items()}


def _put(found: dict[str, Any], path: list[str], value: str, name: str) -> None:
    for step in path[:-1]:
        found = found.setdefault(step or str(len(found)), {})
        if not isinstance(found, dict):
            raise wrong("parameter_invalid", name, f"{name} is given both as one value and as several.")
    last = path[-1] or str(len(found))
    if isinstance(found.get(last), dict):
        raise wrong("parameter_invalid", name, f"{name} is given both as one value and as several.")
    found[last] = value


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and value.keys() == {str(place) for place in range(len(value))}:
        return [_with_lists(value[str(place)]) for place in range(len(value))]
    return {key: _with_lists(kept) for key, kept in value.items()}


class Fields:
    """The form's fields, read one by one; an invalid field is refused (400) by its full name."""

    def __init__(self, values: dict[str, Any], place: str = "") -> None:
        self._values, self._place = values, place

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) not in (None, "")

    def name(self, field: str) -> str:
        """The full name, as written in the form."""
        return f"{self._place}[{field}]" if self._place else field

    def missing(self, field: str) -> Refused:
        return wrong("parameter_missing", self.name(field), f"Missing required param: {self.name(field)}.")

    def text(self, field: str, longest: int, default: str | None = None) -> str:
        """Text of 1 to `longest` characters; required without a default."""
        value = self._values.get(field)
        if value in (None, ""):
            if default is None:
                raise self.missing(field)
            return default
        if not isinstance(value, str) or len(value) > longest or any(ord(letter) < 32 for letter in value):
            raise wrong(
                "parameter_invalid_string",
                self.name(field),
                f"Invalid string: {self.name(field)} must be text of at most {longest} characters.",
            )
        return value

    def choice(self, field: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of `choices`."""
        value = self.text(field, 100, default)
        if value not in choices:
            raise wrong(
                "parameter_invalid_enum", self.name(field), f"{self.name(field)} must be one of {', '.join(choices)}."
            )
        return value

    def whole(self, field: str, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        if field not in self and default is not None:
            return default
        written = self.text(field, 100)
        if not WHOLE.fullmatch(written):
            raise wrong("parameter_invalid_integer", self.name(field), f"Invalid integer: {written:.40}")
        if not least <= int(written) <= most:
            raise wrong(
                "parameter_invalid_integer", self.name(field), f"{self.name(field)} must be from {least} to {most}."
            )
        return int(written)

    def address(self, field: str, needed: bool = True) -> str:
        """A plain http(s) address."""
        url = self.text(field, targets.LONGEST, None if needed else "")
        try:
            if url:
                targets.origin_of(url)
        except ValueError as odd:
            raise wrong("url_invalid", self.name(field), "Not a valid URL: it must be http or https.") from odd
        return url

    def inside(self, field: str) -> Fields:
        """The fields under `field`; empty when it is missing."""
        value = self._values.get(field)
        if value in (None, ""):
            return Fields({}, self.name(field))
        if not isinstance(value, dict):
            raise wrong("parameter_invalid", self.name(field), f"Invalid object: {self.name(field)} has fields.")
        return Fields(value, self.name(field))

    def each(self, field: str, most: int) -> list[Fields]:
        """The objects in a list of 1 to `most`."""
        value = self._values.get(field)
        if not value:
            raise self.missing(field)
        if not isinstance(value, list) or len(value) > most or not all(isinstance(one, dict) for one in value):
            raise wrong("parameter_invalid", self.name(field), f"Invalid array: at most {most} objects.")
        return [Fields(one, f"{self.name(field)}[{place}]") for place, one in enumerate(value)]

    def words(self, field: str) -> list[str]:
        """A list of words, such as `expand[]`."""
        value = self._values.get(field) or []
        if not isinstance(value, list) or len(value) > 20 or not all(isinstance(one, str) for one in value):
            raise wrong("parameter_invalid", self.name(field), f"Invalid array: {self.name(field)} has text values.")
        return value

    def metadata(self, field: str = "metadata") -> dict[str, str]:
        """At most 50 keys of 40 characters with values of 500."""
        place, value = self.name(field), self._values.get(field) or {}
        if isinstance(value, list):  # numeric keys
            value = {str(number): kept for number, kept in enumerate(value)}
        if not isinstance(value, dict) or len(value) > 50:
            raise wrong("parameter_invalid", place, "metadata has at most 50 keys.")
        for key, kept in value.items():
            if not isinstance(kept, str) or len(key) > 40 or len(kept) > 500:
                raise wrong(
                    "parameter_invalid", f"{place}[{key}]", "metadata: keys up to 40, values up to 500 letters."
                )
        return {key: kept for key, kept in value.items() if kept}
