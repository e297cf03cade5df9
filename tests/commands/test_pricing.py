"""`flask pricing`: tax, delivery methods and discount codes, with refusals as sentences."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shop.accounts.permissions import Role
from shop.core.db import db
from shop.core.errors import Refusal
from shop.pricing.models import DeliveryMethod, DiscountCode, DiscountValue, TaxRate
from tests.shop_fixtures import PEN, Shop

Command = Callable[..., str]


@pytest.fixture
def flask(shop: Shop) -> Command:
    """`flask("list")`: the output of `flask pricing list`; Sam sets taxes, and Mia the rest. A failure begins with its
    exit code.
    """
    assert shop.sam and shop.colleague("mia", Role.MERCHANDISER)

    def run(*arguments: str) -> str:
        person = "sam" if arguments[0].endswith("tax") else "mia"
        who = () if arguments[0] == "list" or "--by" in arguments else ("--by", f"{person}@example.com")
        done = shop.app.test_cli_runner().invoke(args=["pricing", *arguments, *who], catch_exceptions=False)
        db.session.rollback()
        return done.stdout if done.exit_code == 0 else f"{done.exit_code} {done.stderr[done.stderr.index('Error: ') :]}"

    return run


def everything() -> list[tuple[object, ...]]:
    """All rows of prices."""
    db.session.rollback()
    models = (TaxRate, DeliveryMethod, DiscountCode, DiscountValue)
    return [tuple(row) for model in models for row in db.session.execute(db.select(*model.__table__.c))]


def test_what_is_set_is_listed_and_charged(shop: Shop, flask: Command) -> None:
    assert flask("set-tax", "tw", "VAT", "5") == "TW: VAT 5 %, included in prices.\n"
    assert flask("set-tax", "US", "Sales tax", "8.875%", "--added") == "US: Sales tax 8.875 %, added to prices.\n"
    flask("set-delivery", "express", "Express", "--price", "TWD=120", "--price", "usd=9", "--free-from", "TWD=3000")
    flask("set-code", "welcome", "--percent", "10", "--limit", "5", "--budget", "TWD=50")
    flask("set-code", "OFF", "--amount", "TWD=100", "--often", "--until", "2027-01-01T00:00+08:00")
    order = shop.order((PEN, 2), code="WELCOME")
    assert [(line.kind, line.total.amount) for line in order.charges] == [
        ("discount", -1800),
        ("delivery", 12000),
        ("tax", 1300),
    ]
    assert flask("list") == (
        "tax       TW                   VAT 5 %, included in prices\n"
        "tax       US                   Sales tax 8.875 %, added to prices\n"
        "delivery  express              Express: NT$120, $9.00 USD, free from NT$3,000\n"
        "code      OFF                  NT$100, used 0 times, until 2026-12-31T16:00:00+00:00,"
        " often by one address\n"
        "code      WELCOME              10 %, used 1 times of 5, NT$18 of NT$50 given\n"
    )


def test_a_delivery_method_has_exceptions(shop: Shop, flask: Command) -> None:
    flask("set-delivery", "express", "Express", "--price", "TWD=120", "--except-country", "jp")
    assert "Express: NT$120, to all except JP" in flask("list")
    with pytest.raises(Refusal):
        shop.order(delivery="express", country="JP")
    assert shop.order(delivery="express").total_amount > 0
    flask("set-delivery", "express", "Express", "--price", "TWD=120")
    assert "all except" not in flask("list")


def test_what_is_removed_is_charged_no_more(shop: Shop, flask: Command) -> None:
    flask("set-tax", "TW", "VAT", "5", "--added")
    flask("set-delivery", "express", "Express", "--price", "TWD=120")
    flask("set-code", "TEN", "--percent", "10")
    assert flask("remove-tax", "TW") == "TW has no tax.\n"
    assert flask("remove-delivery", "express") == "express is no longer offered.\n"
    assert flask("disable-code", "ten") == "TEN can no longer be used.\n"
    assert shop.order((PEN, 1)).total_amount == 9000
    assert "disabled" in flask("list")


def test_names_have_translations_that_are_kept_while_the_english_name_is_the_same(shop: Shop, flask: Command) -> None:
    def names() -> list[str]:
        return [line[31:].partition(": NT$")[0].partition(" 5 %")[0] for line in flask("list").splitlines()]

    tax, delivery = ("set-tax", "TW", "VAT", "5"), ("set-delivery", "express", "Express", "--price", "TWD=120")
    flask(*tax, "--text", "zh-Hant=營業稅")
    flask(*delivery, "--text", "zh-TW=快速配送")
    assert db.session.get_one(TaxRate, "TW").texts == {"zh_Hant": {"name": "營業稅"}}
    assert names() == ["VAT (zh-Hant: 營業稅)", "Express (zh-Hant: 快速配送)"]
    flask("set-tax", "TW", "VAT", "5", "--added")
    flask(*delivery, "--position", "3")
    assert names() == ["VAT (zh-Hant: 營業稅)", "Express (zh-Hant: 快速配送)"]
    flask(*delivery, "--text", "zh-Hant=快遞")
    assert names() == ["VAT (zh-Hant: 營業稅)", "Express (zh-Hant: 快遞)"]
    flask("set-tax", "TW", "Sales tax", "5")
    flask("set-delivery", "express", "Fast", "--price", "TWD=120")
    assert names() == ["Sales tax", "Fast"]


REFUSED = {
    "a name in a language that the shop does not have": (
        ("set-tax", "TW", "VAT", "5", "--text", "ko=부가세"),
        "'ko' is not a language that names are translated to. Use zh-Hant, zh-Hans, ja.",
    ),
    "an English name as a translation": (
        ("set-delivery", "express", "Express", "--price", "TWD=1", "--text", "en=Fast"),
        "'en' is not a language",
    ),
    "two names in a language": (
        ("set-tax", "TW", "VAT", "5", "--text", "zh-Hant=稅", "--text", "zh-TW=稅"),
        "Give one name for each language.",
    ),
    "an empty translation": (("set-tax", "TW", "VAT", "5", "--text", "zh-Hant"), "A name has 1 to 60 characters."),
    "a country that is none": (("set-tax", "XQ", "VAT", "5"), "is not a country code, such as TW"),
    "a rate in words": (("set-tax", "TW", "VAT", "five"), "is not a percentage with at most three decimals"),
    "a rate with too many decimals": (("set-tax", "TW", "VAT", "5.12345"), "at most three decimals"),
    "a rate above 100": (("set-tax", "TW", "VAT", "101"), "A tax rate must be from 0 to 100 percent."),
    "a reduced rate and none": (("set-tax", "TW", "VAT", "5", "--reduced", "1", "--no-reduced"), "Give either"),
    "a tax without a name": (("set-tax", "TW", "", "5"), "A name has 1 to 60 characters."),
    "a name with control characters": (("set-tax", "TW", "V\x07AT", "5"), "control characters"),
    "a method without a price": (("set-delivery", "express", "Express"), "--price"),
    "a price in no currency": (("set-delivery", "express", "Express", "--price", "120"), "not a currency"),
    "a price that is no number": (("set-delivery", "express", "Express", "--price", "TWD=1e3"), "not an amount"),
    "a price below nothing": (("set-delivery", "express", "Express", "--price", "TWD=-1"), "multiples of"),
    "a price with cents of a dollar": (("set-delivery", "express", "Express", "--price", "TWD=1.50"), "multiples of"),
    "two prices in a currency": (
        ("set-delivery", "express", "Express", "--price", "TWD=1", "--price", "TWD=2"),
        "one amount for each currency",
    ),
    "countries and exceptions": (
        ("set-delivery", "express", "Express", "--price", "TWD=1", "--country", "TW", "--except-country", "JP"),
        "either --country or --except-country",
    ),
    "a key in capitals": (("set-delivery", "Express!", "Express", "--price", "TWD=1"), "A key has at most 40"),
    "a method that is not there": (("remove-delivery", "teleport"), "There is no delivery method teleport."),
    "a code that takes off nothing": (("set-code", "TEN"), "either a percentage or an amount"),
    "a code that takes off both": (("set-code", "TEN", "--percent", "5", "--amount", "TWD=5"), "either a percentage"),
    "more than everything": (("set-code", "TEN", "--percent", "101"), "--percent"),
    "a code in another alphabet": (("set-code", "歓迎", "--percent", "10"), "2 to 40 letters from A to Z"),
    "a code of ten thousand letters": (("set-code", "A" * 10_000, "--percent", "10"), "2 to 40 letters from A to Z"),
    "a budget of another currency": (
        ("set-code", "TEN", "--amount", "TWD=5", "--budget", "USD=5"),
        "A budget needs an amount in the same currency.",
    ),
    "a limit of nothing": (("set-code", "TEN", "--percent", "5", "--limit", "0"), "--limit"),
    "a time without a zone": (("set-code", "TEN", "--percent", "5", "--from", "2026-12-24"), "a time with a zone"),
    "an end before the start": (
        ("set-code", "TEN", "--percent", "5", "--from", "2026-12-24T00:00Z", "--until", "2026-12-23T00:00Z"),
        "must be after its start",
    ),
    "everything off, without a limit": (("set-code", "ALL", "--percent", "100", "--often"), "needs a limit of uses"),
    "everything off, with a budget in one currency": (
        ("set-code", "ALL", "--percent", "100", "--budget", "TWD=500"),
        "or a budget in every currency",
    ),
    "a change by nobody": (("set-code", "TEN", "--percent", "10", "--by", "bob@example.com"), "No account has this"),
    "a code that is not there": (("disable-code", "NOPE"), "There is no discount code NOPE."),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_a_command_refuses(flask: Command, arguments: tuple[str, ...], message: str) -> None:
    before = everything()
    refused = flask(*arguments)
    assert refused[0] in "12" and message in refused
    assert everything() == before


def test_a_change_of_a_code_names_the_member_of_staff(shop: Shop, flask: Command) -> None:
    assert flask("set-code", "ALL", "--percent", "100", "--limit", "5") == "ALL can be used.\n"
    assert db.session.get_one(DiscountCode, "ALL").changed_by == shop.colleague("mia")
    max_ = shop.colleague("max", Role.MERCHANDISER)
    flask("disable-code", "ALL", "--by", "max@example.com")
    assert db.session.get_one(DiscountCode, "ALL").changed_by == max_


def test_the_demo_has_prices_and_a_merchants_own_are_kept(shop: Shop, flask: Command) -> None:
    run = shop.app.test_cli_runner()
    assert run.invoke(args=["seed"]).exit_code == 0
    listed = flask("list")
    assert "VAT (zh-Hant: 營業稅, zh-Hans: 增值税, ja: 付加価値税) 5 %" in listed
    assert "express" in listed and "WELCOME10" in listed
    flask("remove-delivery", "express")
    run.invoke(args=["seed"])
    assert "express" not in flask("list")


def test_a_country_has_a_reduced_rate(flask: Command) -> None:
    shown = flask("set-tax", "DE", "VAT", "19", "--reduced", "7")
    assert shown == "DE: VAT 19 % (reduced 7 %), included in prices.\n"
    assert "VAT 19 % (reduced 7 %), included in prices" in flask("list")
    assert flask("set-tax", "DE", "VAT", "20") == "DE: VAT 20 % (reduced 7 %), included in prices.\n", "it is kept"
    assert flask("set-tax", "DE", "VAT", "20", "--no-reduced") == "DE: VAT 20 %, included in prices.\n"
    assert "VAT 20 %, included in prices" in flask("list")
