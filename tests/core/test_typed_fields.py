"""Fields of forms, read as people type them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from shop.core.errors import BadInput
from shop.core.money import Money
from shop.core.typed_fields import InvalidFields, Typed, amount_text, moment_text

TAIPEI = ZoneInfo("Asia/Taipei")


def read(value: str, how: Callable[[Typed], object], name: str = "a") -> object:
    """The value that a field with this text has; the sentence about it if it cannot be used."""
    form = Typed({name: [value]}, [name])
    found = how(form)
    return form.errors.get(name) or found


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("1180", 118000),
        ("1,180", 118000),
        ("１１８０", 118000),
        ("1180.00", 118000),
        ("0", 0),
        ("", None),
        ("  ", None),
    ],
)
def test_an_amount_is_read_as_people_write_it(typed: str, amount: int | None) -> None:
    found = read(typed, lambda form: form.amounts("a", least=0), "a.TWD")
    assert found == ({} if amount is None else {"TWD": Money(amount, "TWD")})


@pytest.mark.parametrize("typed", ["-1", "1e3", "1_000", "1,18", "NaN", "∞", "😀", "0x10", "1 180", "1.2.3", "9" * 500])
def test_anything_else_is_no_amount(typed: str) -> None:
    assert str(read(typed, lambda form: form.amounts("a", least=0), "a.TWD")).startswith("Enter an amount such as")


@pytest.mark.parametrize(
    ("typed", "number"),
    [("1", 1), ("1,000", 1000), ("٣", 3), ("", None), ("0", 0), ("1001", ""), ("-1", ""), ("1e1", "")],
)
def test_a_whole_number_is_within_its_limits(typed: str, number: object) -> None:
    found = read(typed, lambda form: form.whole("a", 0, 1000))
    assert found == ("Enter a whole number from 0 to 1,000." if number == "" else number)


def test_a_time_is_of_the_zone_of_the_shop() -> None:
    at = datetime(2026, 12, 24, 1, 30, tzinfo=UTC)
    assert read("2026-12-24T09:30", lambda form: form.moment("a", TAIPEI)) == at
    assert moment_text(at, TAIPEI) == "2026-12-24T09:30" and moment_text(None, TAIPEI) == ""


@pytest.mark.parametrize(
    "typed", ["soon", "2026-13-01T00:00", "1999-12-31T23:59", "10000-01-01T00:00", "2026-01-01T00:00Z"]
)
def test_other_times_are_refused(typed: str) -> None:
    assert str(read(typed, lambda form: form.moment("a", TAIPEI))).startswith("Enter a date and a time")


def test_a_text_is_tidied_and_one_that_cannot_be_stored_refused() -> None:
    assert read(" a \u202e b\u200b ", lambda form: form.line("a", 10)) == "a b"
    assert read("a\r\n\r\n b  c \n", lambda form: form.lines("a", 20)) == "a\n\nb c"
    assert read("a\x00", lambda form: form.line("a", 10)) == "The text contains control characters."
    assert read("a\x00", lambda form: form.lines("a", 10)) == "The text contains control characters."
    assert read("", lambda form: form.line("a", 10, needed="Enter it.")) == "Enter it."


def test_all_errors_are_collected_and_unknown_fields_refused_at_once() -> None:
    form = Typed({"a": ["x"], "b": ["y"]}, ["a", "b"])
    form.whole("a", 0, 1), form.whole("b", 0, 1)
    with pytest.raises(InvalidFields) as refused:
        form.checked()
    assert list(refused.value.errors) == ["a", "b"]
    for fields in ({"c": ["x"]}, {"a": ["x", "y"]}):
        with pytest.raises(BadInput) as unknown:
            Typed(fields, ["a"])
        assert unknown.value.code == "unknown_field"
    assert Typed({"a": ["y", "x", "y"]}, [], ["a"]).each("a", ("x", "y"), "known") == ["x", "y"]


@pytest.mark.parametrize(
    ("amount", "currency", "text"), [(118000, "TWD", "1180"), (1250, "USD", "12.50"), (5, "JPY", "5")]
)
def test_an_amount_is_written_as_it_is_read(amount: int, currency: str, text: str) -> None:
    assert amount_text(amount, currency) == text and amount_text(None, currency) == ""
