"""International names, addresses and numbers; and every form error in the shop's own words."""

from __future__ import annotations

import gettext
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import wtforms
from flask import Flask
from flask_wtf import FlaskForm
from wtforms import SelectField

import shop as the_shop
from shop.accounts import signin
from shop.accounts.throttle import TooManyAttempts
from shop.core.actor import Actor
from shop.core.db import db
from shop.credit_gifts import gifts
from shop.orders.models import Order
from tests.shop_fixtures import KETTLE, Shop
from tests.web.conftest import Visitor
from tests.web.order_links import newest_link

PASSWORD = "a kettle whistles politely"  # noqa: S105
SPELLINGS = [
    "ada@xn--bcher-kva.example",
    "ADA@bu\u0308cher.example",
    "ａｄａ＠ｂücher．example",
    "\u200bada@bücher.example",
]


def _newest(app: Flask) -> Order:
    with app.app_context():
        return db.session.scalars(db.select(Order).order_by(Order.id.desc()).limit(1)).one()


@pytest.mark.parametrize("name", ["علی‌رضا", "ශ්‍රී", "\U00031350 田"])
def test_a_name_is_kept_as_it_is_written(app: Flask, visitor: Visitor, name: str) -> None:
    visitor.order(name=name)
    assert _newest(app).name == name


def test_marks_that_came_with_a_paste_are_taken_out_of_every_field(app: Flask, visitor: Visitor) -> None:
    visitor.order(name="\u202aAda\u200b Lin\u202c", line1="12\u00a0Yongkang St\ufeff", city="Tai\u00adpei")
    order = _newest(app)
    assert (order.name, order.line1, order.city) == ("Ada Lin", "12 Yongkang St", "Taipei")


@pytest.mark.parametrize("name", ["\u3164", "\u200b\u200d"])
def test_a_name_of_which_nothing_is_seen_is_missing(app: Flask, visitor: Visitor, name: str) -> None:
    visitor.add()
    response = visitor.checkout(name=name)
    assert response.status_code == 422
    assert 'id="wrong-name"' in response.text


def test_a_control_character_is_refused_with_words_that_help(app: Flask, visitor: Visitor) -> None:
    visitor.add()
    response = visitor.checkout(name="Ada\x07")
    assert response.status_code == 422
    assert "Please type it again." in response.text


def test_an_order_is_found_by_every_spelling_of_its_address(
    app: Flask, visitor: Visitor, other_visitor: Visitor
) -> None:
    paths = []
    for spelt in SPELLINGS:
        paths.append(visitor.order(email=spelt))
        assert _newest(app).email == "ada@bücher.example"
        visitor.post(f"{paths[-1]}/cancel")
    for spelt in SPELLINGS:
        other_visitor.get("/orders")
        assert other_visitor.post("/orders", {"email": spelt}).status_code == 303
        with app.app_context():
            link = newest_link()
        listed = other_visitor.get(link).text
        assert all(path in listed for path in paths)


def test_an_account_is_one_for_every_spelling_of_its_address(app: Flask, shop: Shop) -> None:
    user = signin.create(SPELLINGS[0], "Ada", PASSWORD, is_verified=True, by=Actor.operator())
    for number, spelt in enumerate(SPELLINGS):
        assert signin.sign_in(spelt, PASSWORD, f"192.0.2.{number}").id == user.id
        with pytest.raises(signin.Refusal, match="already an account"):
            signin.register(spelt, "Ada", PASSWORD)
    shop.staff("sam")
    given = ["money", "give-credit", SPELLINGS[1], "５", "TWD", "--by", "sam@example.com"]
    done = app.test_cli_runner().invoke(args=given)
    assert "NT$5 is waiting for approval" in done.stdout
    [gift] = gifts.waiting()
    assert (gift.user_id, gift.amount) == (user.id, 500)


def test_wrong_passwords_count_for_the_account_however_its_address_is_spelt(app: Flask, shop: Shop) -> None:
    signin.register(SPELLINGS[0], "Ada", PASSWORD)
    with pytest.raises(TooManyAttempts):
        for number in range(14):
            with pytest.raises(signin.WrongCredentials):
                signin.sign_in(SPELLINGS[number % 4], "wrong", "192.0.2.1")


def test_quantities_postcodes_and_order_numbers_are_read_in_full_width_digits(app: Flask, visitor: Visitor) -> None:
    assert visitor.add(KETTLE, "２").status_code == 303
    assert visitor.cart() == {KETTLE: 2}
    visitor.get("/cart")
    visitor.post(f"/cart/lines/{KETTLE}", {"quantity": "３"})
    assert visitor.cart() == {KETTLE: 3}
    visitor.checkout(postcode="１５０－０００１", region="Tokyo", country="JP")
    order = _newest(app)
    assert order.postcode == "150-0001"
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in order.number.lower())
    for typed in (wide, order.number.replace("-", ""), order.number.replace("-", "ー")):
        message = app.test_cli_runner().invoke(args=["orders", "show", typed]).output
        assert order.number in message


def _stock_sentences() -> list[re.Pattern[str]]:
    """All messages of the form library, from its own catalogue of translations."""
    folder = Path(wtforms.__file__).parent / "locale"  # msgids of a translation
    with (folder / "de" / "LC_MESSAGES" / "wtforms.mo").open("rb") as opened:
        catalog = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]  # noqa: SLF001
    sentences = {key[0] if isinstance(key, tuple) else key for key in catalog} - {""}
    assert "This field is required." in sentences
    patterns = [re.sub(r"%\\\(\w+\\\)[sd]|%[sd]", ".*", re.escape(one)) for one in sentences]
    return [re.compile(re.sub("characters?", "characters?", pattern)) for pattern in patterns]


def _forms() -> Iterator[type[FlaskForm]]:
    """Every form of the shop."""
    for module in pkgutil.walk_packages(the_shop.__path__, "shop."):
        importlib.import_module(module.name)
    waiting = FlaskForm.__subclasses__()
    while waiting:
        form = waiting.pop()
        waiting += form.__subclasses__()
        if form.__module__.startswith("shop."):
            yield form


BAD = ["", " ", "x", "\x01", "x" * 3000, "9" * 3000, "-1", "1.5", "not@", "<b>", "９" * 20]


def test_no_sentence_of_the_form_library_is_shown_by_any_form(app: Flask) -> None:
    stock = _stock_sentences()
    seen = 0
    for kind in set(_forms()):
        for bad in [*BAD, None]:
            with app.test_request_context("/", method="POST"):
                data = {} if bad is None else {name: bad for name, _ in kind()._fields.items()}  # noqa: SLF001
            with app.test_request_context("/", method="POST", data=data):
                form = kind(meta={"csrf": False})
                for field in form:
                    if isinstance(field, SelectField) and field.choices is None:
                        field.choices = [("TW", "Taiwan")]
                form.validate()
                for field in form:
                    for error in field.errors:
                        seen += 1
                        message = str(error)
                        assert not any(sentence.fullmatch(message) for sentence in stock), (
                            kind,
                            field.name,
                            bad,
                            message,
                        )
    assert seen > 100


def test_the_check_finds_a_form_with_messages_of_the_form_library(app: Flask) -> None:
    stock = _stock_sentences()

    class Careless(FlaskForm):
        name = wtforms.StringField(validators=[wtforms.validators.DataRequired(), wtforms.validators.Length(max=5)])
        many = wtforms.IntegerField()
        one = wtforms.SelectField(choices=["a"])

    for data in ({"name": "", "many": "x", "one": "b"}, {"name": "x" * 9, "many": "y", "one": "c"}):
        with app.test_request_context("/", method="POST", data=data):
            form = Careless(meta={"csrf": False})
            form.validate()
            for field in form:
                assert all(any(sentence.fullmatch(str(error)) for sentence in stock) for error in field.errors)
                assert field.errors
