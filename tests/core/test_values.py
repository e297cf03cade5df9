"""Basic values: money, names, durations, and redaction in logs."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from shop.core import countries, durations, ids, logs
from shop.core.money import Money


@pytest.mark.parametrize(
    ("money", "locale", "text"),
    [
        (Money(120000, "TWD"), "en", "NT$1,200"),
        (Money(5600, "JPY"), "en", "¥5,600"),
        (Money(120050, "TWD"), "en", "NT$1,200.50"),
        (Money(-50000, "TWD"), "en", "−NT$500"),
        (Money(3800, "USD"), "en", "$38.00"),
        (Money(1, "USD"), "en", "$0.01"),
        (Money(1, "USD"), "zh_Hant", "US$0.01"),
        (Money(118000, "TWD"), "zh_Hant", "NT$1,180"),
        (Money(1200, "JPY"), "zh_Hans", "JP¥1,200"),
        (Money(1200, "JPY"), "ja", "¥1,200"),
        (Money(0, "JPY"), "en", "¥0"),
    ],
)
def test_money_is_written_as_people_write_it(money: Money, locale: str, text: str) -> None:
    assert money.format(locale) == text


def test_money_with_its_code_is_not_taken_for_another_currency() -> None:
    texts = [Money(120000, code).with_code() for code in ("TWD", "JPY", "USD")]
    assert texts == ["NT$1,200", "¥120,000 JPY", "$1,200.00 USD"]
    assert Money(-2600, "TWD").with_code() == "-NT$26", "commands write ASCII"


@given(one=st.integers(), other=st.integers(), times=st.integers(0, 99))
def test_money_adds_up_exactly(one: int, other: int, times: int) -> None:
    assert (Money(one, "TWD") + Money(other, "TWD")) == Money(one + other, "TWD")
    assert Money(one, "TWD") * times == Money(one * times, "TWD")


def test_currencies_are_not_mixed_and_parts_of_a_minor_unit_are_none() -> None:
    with pytest.raises(ValueError, match="cannot be added"):
        Money(1, "TWD") + Money(1, "JPY")
    for wrong in (1.0, True, "1", None):
        with pytest.raises(TypeError):
            Money(wrong, "TWD")  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "minor"), [("12.50", 1250), ("12", 1200), ("-0.5", -50), ("1.0000", 100)])
def test_money_is_read_as_people_write_it(text: str, minor: int) -> None:
    assert Money.parse(text, "TWD") == Money(minor, "TWD")


@pytest.mark.parametrize(
    "text", ["", " 5", "5\n", "+5", "1_0", "1e3", "1e999999", "１２", "٣", "12,50", "1.001", f"1.{'0' * 33}1", "9" * 15]
)
def test_anything_else_is_no_money(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        Money.parse(text, "TWD")


def test_names_are_unguessable_or_short_and_never_the_same() -> None:
    assert len({ids.token() for _ in range(1000)}) == 1000
    assert len({ids.payment_id() for _ in range(1000)}) == 1000
    assert min(len(ids.token()) for _ in range(100)) * 6 >= 128, "bits"
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{2}", ids.order_number())
    assert re.fullmatch(r"[A-Z0-9]{20}", ids.payment_id()), "the strictest acquirer takes twenty letters and digits"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT35M", timedelta(minutes=35)),
        ("PT1H30M", timedelta(minutes=90)),
        ("P1DT2H", timedelta(hours=26)),
        ("P2W", timedelta(weeks=2)),
        ("P3D", timedelta(days=3)),
        ("PT0S", timedelta(0)),
        ("PT0.5S", timedelta(seconds=0.5)),
        ("PT90000S", timedelta(seconds=90000)),
    ],
)
def test_lengths_of_time_are_read_as_iso_8601_writes_them(text: str, length: timedelta) -> None:
    assert durations.parse(text) == length


@pytest.mark.parametrize(
    "text",
    ["", "P", "PT", "P1DT", "35M", "PT35", "pt35m", "PT-5M", "-PT1M", "P1M", "P1Y", "PT1M1H", "P1WT1H", "PT1.5M",
     "PT1M ", "PT1S\n", "PT1e3S", "PT١M", "PT99999999H", "P99999D", "PT999999999999S"],
)  # fmt: skip
def test_anything_else_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        durations.parse(text)


@pytest.mark.parametrize(
    "secret",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4000-0000-0000-0002",
        "378282246310005",
        "whsec_a3BheS1kZW1vLXdlYmhvb2s=",
        "kp_test_demo",
        "kp_live_abcdef",
        "sk_test_demo",
        "Bearer abc.def.ghi",
    ],
)
def test_cards_and_secrets_are_taken_out_of_every_text_that_is_logged(secret: str) -> None:
    shown = logs.scrub_text(f"the acquirer said {secret} and more")
    assert secret not in shown
    assert secret.partition("_")[2] not in shown or "_" not in secret
    assert shown.startswith("the acquirer said ")
    assert shown.endswith(" and more")


def test_numbers_that_are_no_cards_stay() -> None:
    kept = "order 7K3M-9QXT-2F, payment P1M7YATVMD7JWY8Z6WX7, 1200000000000 of 4242424242424241"
    assert logs.scrub_text(kept) == kept


@pytest.mark.parametrize(
    ("locale", "macao", "taiwan"),
    [("en", "Macao", "Taiwan"), ("zh_Hant", "澳門", "台灣"), ("zh_Hans", "澳门", "台湾"), ("ja", "マカオ", "台湾")],
)
def test_countries_have_short_names_in_the_script_of_the_language(locale: str, macao: str, taiwan: str) -> None:
    assert [countries.name(code, Locale.parse(locale)) for code in ("MO", "TW", "XX")] == [macao, taiwan, "XX"]
