"""Passkeys of staff: set-up, sign-in, confirmation, removal, and the answers that are refused. In-process, with an
authenticator in software.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select

from shop.accounts import passkey_challenges, passkeys, people, second_factor, signin
from shop.accounts.models import Passkey, RecoveryCode, TotpSecret, User
from shop.core import clock
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from tests.ops.conftest import PASSWORD
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.software_authenticator import Authenticator
from tests.web.conftest import Visitor

PAGE = "/ops/second-factor"


@pytest.fixture
def bo(shop: Shop) -> int:
    return signin.create("bo@example.com", "Bo", PASSWORD, ["support"], by=Actor.operator()).id


def password_step(shop: Shop, following: str = "/ops") -> Visitor:
    """A browser in which Bo has entered the password."""
    shop.app.config["RATE_LIMITS"] = False
    visitor = Visitor(shop.app)
    visitor.get("/sign-in")
    visitor.post("/sign-in", {"email": "bo@example.com", "password": PASSWORD, "next": following})
    return visitor


def options(visitor: Visitor, path: str = f"{PAGE}/passkeys/options") -> str:
    answer = visitor.post(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def add(visitor: Visitor, key: Authenticator, name: str = "Laptop") -> str:
    """Add a passkey on the page of the second factor; the page that is shown, or the address of a redirect."""
    visitor.get(PAGE)
    done = visitor.post(f"{PAGE}/passkeys", {"name": name, "passkey": key.create(options(visitor))})
    assert done.status_code in (200, 303), done.text
    return done.location or done.text


def use(visitor: Visitor, answer: str) -> tuple[int, str]:
    """Status and text, or address, of the answer to a passkey at the second step of a sign-in."""
    done = visitor.post("/sign-in/passkey", {"passkey": answer})
    return done.status_code, done.location or html.unescape(done.text)


def sign_in_options(visitor: Visitor) -> str:
    visitor.get("/sign-in/code")
    return options(visitor, "/sign-in/passkey/options")


def acts(*, most: int = 1) -> list[str]:
    db.session.rollback()
    return [entry.act for entry in find(limit=most).rows]


@pytest.fixture
def key(shop: Shop, bo: int) -> Authenticator:
    """The passkey of Bo."""
    made = Authenticator(count=7)
    add(password_step(shop), made)
    return made


def test_the_first_passkey_comes_with_recovery_codes_and_each_sign_in_needs_it(shop: Shop, bo: int) -> None:
    visitor, key = password_step(shop), Authenticator()
    page = add(visitor, key, "<Laptop>")
    assert page.count("<li>") >= 10 and "Each replaces a passkey" in page
    listed = visitor.get(PAGE).text
    assert "&lt;Laptop&gt;" in listed and "not yet" in listed
    second = password_step(shop, "/ops?x=1")
    assert second.get("/ops").location == "/sign-in?next=/ops", "the password alone opens nothing"
    assert use(second, key.get(sign_in_options(second))) == (303, "/ops?x=1")
    assert "not yet" not in second.get(PAGE).text
    assert acts(most=4) == [Act.SIGN_IN_SUCCEEDED, Act.PASSKEY_USED, Act.PASSKEY_ADDED, Act.SIGN_IN_SUCCEEDED]
    third = password_step(shop)
    third.get("/sign-in/code")
    code = re.findall("<li>([a-z2-7-]{19})</li>", page)[0]
    assert third.post("/sign-in/code", {"code": code}).status_code == 303, "a recovery code replaces it"


def test_a_passkey_is_bound_to_the_address_of_the_shop(shop: Shop, bo: int) -> None:
    visitor = password_step(shop)
    visitor.get(PAGE)
    shop.app.config["SHOP_URL"] = "https://shop.example:443/"
    given = json.loads(options(visitor))
    assert given["rp"]["id"] == "shop.example" and given["user"]["name"] == "bo@example.com"
    assert passkeys._origin() == "https://shop.example"
    good = Authenticator(origin="https://shop.example", host="shop.example")
    for wrong in (replace(good, origin="https://shop.example.evil.org"), replace(good, host="evil.org")):
        refused = visitor.post(f"{PAGE}/passkeys", {"name": "x", "passkey": wrong.create(options(visitor))})
        assert refused.status_code == 422 and "This passkey was not accepted." in refused.text
    assert shop.count(Passkey) == 0
    add(visitor, good)


def test_an_answer_counts_once_in_one_browser_and_for_five_minutes(
    shop: Shop, key: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = password_step(shop), password_step(shop)
    answer = key.get(sign_in_options(first))
    sign_in_options(second)
    refused = use(second, answer)
    assert refused[0] == 422 and "This passkey was not accepted." in refused[1], "the challenge of another browser"
    cookie = first.client.get_cookie("settled")
    assert cookie and use(first, answer)[0] == 303
    replayed = password_step(shop)
    replayed.client.set_cookie("settled", cookie.value)
    replayed.page = first.page
    assert use(replayed, answer)[0] == 409, "the cookie of that moment brings no challenge back"
    monkeypatch.setattr(passkey_challenges, "LASTS", timedelta(milliseconds=2))
    late = password_step(shop)
    refused = use(late, key.get(sign_in_options(late)))
    assert refused[0] == 409 and "This took too long, or was sent twice." in refused[1]
    assert late.get("/ops").status_code == 303


def test_a_challenge_for_one_purpose_is_none_for_another(shop: Shop, key: Authenticator) -> None:
    visitor = password_step(shop)
    answer = key.get(sign_in_options(visitor))
    assert use(visitor, answer)[0] == 303
    visitor.get("/ops/confirm")
    assert visitor.post("/ops/confirm", {"confirm_passkey": answer}).status_code == 409
    again = key.get(options(visitor, "/ops/confirm/passkey"))
    assert visitor.post(f"{PAGE}/passkeys", {"name": "x", "passkey": again}).status_code == 409


def test_a_counter_that_does_not_rise_is_refused_and_recorded(shop: Shop, bo: int, key: Authenticator) -> None:
    copy = replace(key)
    first = password_step(shop)
    assert use(first, key.get(sign_in_options(first)))[0] == 303
    second = password_step(shop)
    refused = use(second, copy.get(sign_in_options(second)))
    assert refused[0] == 422 and "a copy of it may be in use" in refused[1]
    db.session.rollback()
    failed, entry = find(limit=2).rows
    assert (failed.act, entry.act, entry.actor) == (Act.SIGN_IN_FAILED, Act.PASSKEY_REFUSED, "unproven")
    assert (entry.before or {})["sign_count"] == (entry.after or {})["sign_count"] == 8
    assert second.get("/ops").status_code == 303
    third = password_step(shop)
    assert use(third, key.get(sign_in_options(third)))[0] == 303, "the owner goes on"


def test_a_forged_counter_without_the_key_is_no_copy(shop: Shop, key: Authenticator) -> None:
    thief, visitor = Authenticator(id=key.id, count=1), password_step(shop)
    refused = use(visitor, thief.get(sign_in_options(visitor)))
    assert refused[0] == 422 and "This passkey was not accepted." in refused[1]
    assert acts() == [Act.SIGN_IN_FAILED]


def test_the_passkey_of_another_person_is_refused(shop: Shop, key: Authenticator) -> None:
    stranger, visitor = Authenticator(), password_step(shop)
    refused = use(visitor, stranger.get(sign_in_options(visitor)))
    assert refused[0] == 422 and "This passkey does not belong to your account." in refused[1]


def test_the_second_step_needs_the_password_first(shop: Shop, key: Authenticator) -> None:
    guest = Visitor(shop.app)
    guest.get("/sign-in")
    assert guest.post("/sign-in/passkey", {"passkey": "{}"}).location == "/sign-in"
    given = guest.post("/sign-in/passkey/options", headers={"Accept": "application/json"})
    assert (given.status_code, given.json["detail"]) == (401, "Your sign-in took too long. Enter your password again.")


def test_a_confirmation_by_passkey_checks_the_person_and_sends_the_form(
    shop: Shop, bo: int, key: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = password_step(shop)
    assert use(visitor, key.get(sign_in_options(visitor)))[0] == 303
    late = clock.wall() + timedelta(minutes=16)
    monkeypatch.setattr(clock, "wall", lambda: late)
    visitor.get(PAGE)
    new = Authenticator()
    form = {"name": "Phone", "passkey": new.create(options(visitor))}
    prompt = visitor.post(f"{PAGE}/passkeys", form)
    assert prompt.status_code == 401 and "Use a passkey instead" in prompt.text and 'value="Phone"' in prompt.text
    assert json.loads(given := options(visitor, "/ops/confirm/passkey"))["userVerification"] == "required"
    touched = replace(key, verifies=False)
    refused = visitor.post(f"{PAGE}/passkeys", {**form, "confirm_passkey": touched.get(given)})
    assert refused.status_code == 422 and "Enter your password instead." in refused.text
    assert shop.count(Passkey) == 1
    given = options(visitor, "/ops/confirm/passkey")
    done = visitor.post(f"{PAGE}/passkeys", {**form, "confirm_passkey": key.get(given)})
    assert done.status_code == 303 and shop.count(Passkey) == 2
    assert acts(most=2) == [Act.PASSKEY_ADDED, Act.PASSKEY_USED]


def test_the_last_factor_stays_where_one_is_required(shop: Shop, bo: int, key: Authenticator) -> None:
    visitor = password_step(shop)
    assert use(visitor, key.get(sign_in_options(visitor)))[0] == 303
    shop.app.config["STAFF_SECOND_FACTOR"] = "required"
    [stored] = passkeys.of_user(bo)
    visitor.get(PAGE)
    refused = visitor.post(f"{PAGE}/passkeys/{stored.id}/remove")
    assert refused.status_code == 409 and "This is your only second factor" in refused.text
    second_factor.begin(bo)
    address = second_factor.pending_address(db.session.get_one(User, bo)) or ""
    second_factor.confirm(bo, pyotp.TOTP(pyotp.parse_uri(address).secret).at(clock.wall()))
    visitor.get(PAGE)
    assert visitor.post(f"{PAGE}/passkeys/{stored.id}/remove").status_code == 303
    assert visitor.post(f"{PAGE}/passkeys/{stored.id}/remove").status_code == 409, "it is removed"
    assert visitor.post(f"{PAGE}/remove-app").status_code == 409, "now the app is the last one"
    shop.app.config["STAFF_SECOND_FACTOR"] = "optional"
    visitor.get(PAGE)
    assert visitor.post(f"{PAGE}/remove-app").status_code == 303
    assert acts(most=2) == [Act.APP_REMOVED, Act.PASSKEY_REMOVED]
    assert shop.count(RecoveryCode) == shop.count(TotpSecret) == 0
    assert signin.sign_in("bo@example.com", PASSWORD, "203.0.113.7").second_factor_at is None


def test_of_two_factors_that_are_removed_at_once_one_stays(shop: Shop, bo: int, key: Authenticator, race: Race) -> None:
    visitor = password_step(shop)
    assert use(visitor, key.get(sign_in_options(visitor)))[0] == 303
    add(visitor, Authenticator())
    shop.app.config["STAFF_SECOND_FACTOR"] = "required"
    ids = [one.id for one in passkeys.of_user(bo)]
    db.session.rollback()
    race(lambda number: passkeys.remove(bo, ids[number % 2]))
    assert shop.count(Passkey) == 1


def test_an_account_cannot_remove_the_passkey_of_another(shop: Shop, bo: int, key: Authenticator) -> None:
    ann = signin.create("ann@example.com", "Ann", PASSWORD, ["support"], by=Actor.operator()).id
    with pytest.raises(Refusal, match="no such passkey"):
        passkeys.remove(ann, passkeys.of_user(bo)[0].id)


def test_a_passkey_is_stored_once_with_a_name_and_twenty_are_the_most(
    shop: Shop, bo: int, key: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = password_step(shop)
    assert use(visitor, key.get(sign_in_options(visitor)))[0] == 303
    visitor.get(PAGE)
    assert json.loads(options(visitor))["excludeCredentials"], "the browser is told which it has"
    again = visitor.post(f"{PAGE}/passkeys", {"name": "x", "passkey": key.create(options(visitor))})
    assert again.status_code == 409 and "This passkey is set up already." in again.text
    for name in ("", " ", "x" * 61, "a\x07b"):
        refused = visitor.post(f"{PAGE}/passkeys", {"name": name, "passkey": "{}"})
        assert refused.status_code == 422 and "Enter a name of 1 to 60 characters." in refused.text
    monkeypatch.setattr(passkeys, "MOST", 1)
    full = visitor.post(f"{PAGE}/passkeys", {"name": "x", "passkey": Authenticator().create(options(visitor))})
    assert full.status_code == 409 and "at most 1 passkeys" in full.text


BAD = [
    "",
    "x",
    "[]",
    "null",
    "{}",
    '{"id": 7}',
    '{"id":"AA","rawId":"AA","type":"public-key","response":{}}',
    "[" * 5000,
]


@pytest.mark.parametrize("answer", [*BAD, "client", "signature", "truncated"])
def test_an_answer_that_cannot_be_read_is_refused_with_a_sentence(
    shop: Shop, bo: int, key: Authenticator, answer: str
) -> None:
    visitor = password_step(shop)
    given = sign_in_options(visitor)
    if answer == "client":
        answer = key.get(given, type="webauthn.create")
    elif answer == "signature":
        answer = json.dumps(json.loads(key.get(given)) | {"id": "AAAA"})
    elif answer == "truncated":
        found = json.loads(key.get(given))
        found["response"]["authenticatorData"] = found["response"]["authenticatorData"][:20]
        answer = json.dumps(found)
    refused = use(visitor, answer)
    assert refused[0] == 422 and "This passkey was not accepted. Try again, or use another factor." in refused[1]
    assert visitor.get("/ops").status_code == 303


@pytest.mark.parametrize("answer", BAD)
def test_a_new_passkey_that_cannot_be_read_is_refused_with_a_sentence(shop: Shop, bo: int, answer: str) -> None:
    visitor = password_step(shop)
    visitor.get(PAGE)
    options(visitor)
    refused = visitor.post(f"{PAGE}/passkeys", {"name": "x", "passkey": answer})
    assert refused.status_code == 422 and "This passkey was not accepted." in refused.text
    assert shop.count(Passkey) == 0


def test_attempts_with_passkeys_are_limited_with_those_of_codes(shop: Shop, bo: int, key: Authenticator) -> None:
    with shop.app.test_request_context():
        for _ in range(5):
            with pytest.raises(Refusal) as refused:
                passkeys.check(bo, "{}", "203.0.113.7")
            assert refused.value.code == "passkey_expired"
        with pytest.raises(Refusal) as refused:
            second_factor.check(bo, "000000", "203.0.113.7")
        assert refused.value.status == 429


def test_an_admin_removes_all_factors_of_a_person_who_has_lost_them(shop: Shop, bo: int, key: Authenticator) -> None:
    people.remove_second_factor(bo, by=Actor.operator(), reason="lost")
    assert shop.count(Passkey) == 0
    with shop.app.test_request_context(), pytest.raises(BadInput):
        passkeys.use_options(bo, passkey_challenges.Purpose.SIGN_IN)
    assert db.session.scalar(select(User.second_factor_at).where(User.id == bo)) is None
