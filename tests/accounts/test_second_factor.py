"""Second factor of staff: set-up, sign-in with a code, replay, recovery codes, and the rule that requires it."""

from __future__ import annotations

from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select

from shop.accounts import people, second_factor, signin
from shop.accounts.models import RecoveryCode, TotpSecret, User
from shop.accounts.permissions import Role
from shop.core import clock
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find
from shop.core.db import db
from shop.core.errors import BadInput, Refusal
from shop.production import _second_factor
from shop.setting_kinds import SecondFactorRule
from tests.ops.conftest import PASSWORD, visitor_as
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor

IP = "203.0.113.7"


@pytest.fixture
def bo(shop: Shop) -> int:
    return signin.create("bo@example.com", "Bo", PASSWORD, ["support"], by=Actor.operator()).id


def account(user_id: int) -> User:
    db.session.rollback()
    return db.session.get_one(User, user_id, populate_existing=True)


def set_up(user_id: int) -> tuple[pyotp.TOTP, list[str]]:
    """Set up an app, with the code of the step before the present one; the app and the recovery codes."""
    second_factor.begin(user_id)
    address = second_factor.pending_address(account(user_id))
    assert address
    app = pyotp.TOTP(pyotp.parse_uri(address).secret)
    return app, second_factor.confirm(user_id, app.at(clock.wall() - timedelta(seconds=30)))


def password_step(shop: Shop) -> Visitor:
    """A browser in which Bo has entered the password."""
    shop.app.config["RATE_LIMITS"] = False
    visitor = Visitor(shop.app)
    visitor.get("/sign-in")
    form = {"email": "bo@example.com", "password": PASSWORD, "next": "/ops?x=1"}
    assert visitor.post("/sign-in", form).location == "/sign-in/code"
    visitor.get("/sign-in/code")
    return visitor


def test_a_sign_in_needs_a_code_once_an_app_is_set_up(shop: Shop, bo: int) -> None:
    assert signin.sign_in("bo@example.com", PASSWORD, IP).second_factor_at is None
    app, _ = set_up(bo)
    visitor = password_step(shop)
    assert visitor.get("/ops").location == "/sign-in?next=/ops", "the password alone opens nothing"
    visitor.get("/sign-in/code")
    wrong = visitor.post("/sign-in/code", {"code": "000000"})
    assert wrong.status_code == 422 and "This code is wrong or was used before." in wrong.text
    done = visitor.post("/sign-in/code", {"code": app.at(clock.wall())})
    assert (done.status_code, done.location) == (303, "/ops?x=1")
    assert visitor.get("/ops").status_code == 200
    acts = [entry.act for entry in find().rows[:3]]
    assert acts == [Act.SIGN_IN_SUCCEEDED, Act.SIGN_IN_FAILED, Act.SECOND_FACTOR_SET]


def test_the_second_step_needs_the_first_one_lately(shop: Shop, bo: int, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = set_up(bo)
    guest = Visitor(shop.app)
    guest.get("/sign-in")
    assert guest.get("/sign-in/code").location == guest.post("/sign-in/code", {"code": "1"}).location == "/sign-in"
    visitor, late = password_step(shop), clock.wall() + timedelta(minutes=10)
    monkeypatch.setattr(clock, "wall", lambda: late)
    assert visitor.post("/sign-in/code", {"code": app.at(late)}).location == "/sign-in"
    assert visitor.get("/ops").status_code == 303


def test_the_second_step_is_refused_after_the_account_was_disabled(shop: Shop, bo: int) -> None:
    app, _ = set_up(bo)
    visitor = password_step(shop)
    people.disable(bo, by=Actor.operator(), reason="left")
    assert visitor.post("/sign-in/code", {"code": app.at(clock.wall())}).location == "/sign-in"
    assert visitor.get("/ops").status_code == 303


def test_a_code_is_used_once_and_then_no_older_one(shop: Shop, bo: int) -> None:
    app, _ = set_up(bo)
    now = clock.wall()
    for used in (app.at(now - timedelta(seconds=30)), app.at(now - timedelta(seconds=90))):
        with pytest.raises(BadInput) as refused:
            second_factor.check(bo, used, IP)
        assert (refused.value.code, refused.value.status) == ("wrong_code", 422)
    code = app.at(now)
    second_factor.check(bo, f" {code[:3]} {code[3:]} ", IP)
    with pytest.raises(BadInput):
        second_factor.check(bo, code, IP)


def test_of_several_uses_of_one_code_at_once_one_counts(shop: Shop, bo: int, race: Race) -> None:
    app, codes = set_up(bo)
    code = app.at(clock.wall())
    shop.app.config["RATE_LIMITS"] = False
    for used in (code, codes[0]):
        results = race(lambda number, used=used: second_factor.check(bo, used, f"198.51.100.{number}"))
        assert results.count(None) == 1, results


def test_each_recovery_code_replaces_one_code_and_is_stored_as_a_hash(shop: Shop, bo: int) -> None:
    _, codes = set_up(bo)
    assert len(set(codes)) == 10 == second_factor.unused_codes(bo)
    stored = db.session.scalars(select(RecoveryCode.code_hash)).all()
    assert not any(code in text or code.replace("-", "") in text for code in codes for text in stored)
    second_factor.check(bo, codes[3].upper().replace("-", " "), IP)
    assert second_factor.unused_codes(bo) == 9
    with pytest.raises(BadInput):
        second_factor.check(bo, codes[3], IP)
    newer = second_factor.new_recovery_codes(bo)
    with pytest.raises(BadInput):
        second_factor.check(bo, codes[4], IP)
    second_factor.check(bo, newer[0], IP)


def test_the_secret_is_encrypted_and_follows_the_key_ring(shop: Shop, bo: int) -> None:
    app, codes = set_up(bo)
    assert app.secret not in str(db.session.scalars(select(TotpSecret.secret)).one())
    config = shop.app.config
    config["SECRET_KEY_FALLBACKS"], config["SECRET_KEY"] = [config["SECRET_KEY"]], "another key " * 4
    second_factor.check(bo, app.at(clock.wall()), IP)
    config["SECRET_KEY_FALLBACKS"] = []
    with pytest.raises(BadInput):
        second_factor.check(bo, app.at(clock.wall() + timedelta(seconds=30)), IP)
    second_factor.check(bo, codes[0], IP)


def test_wrong_codes_are_limited(shop: Shop, bo: int) -> None:
    app, _ = set_up(bo)
    shop.app.config["RATE_LIMITS"] = True
    refusals: list[Refusal] = []
    for _ in range(8):
        with pytest.raises(Refusal) as refused:
            second_factor.check(bo, "000000", IP)
        refusals.append(refused.value)
    assert {one.code for one in refusals} == {"wrong_code", "too_many_attempts"}
    with pytest.raises(Refusal) as refused:
        second_factor.check(bo, app.at(clock.wall()), IP)
    assert refused.value.status == 429
    second_factor.check(bo, app.at(clock.wall()), "198.51.100.9")


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "\0", "１２３４５", "x" * 5000])
def test_text_that_is_no_code_is_refused_and_changes_nothing(shop: Shop, bo: int, typed: str) -> None:
    set_up(bo)
    with pytest.raises(BadInput):
        second_factor.check(bo, typed, IP)
    second_factor.begin(bo)
    with pytest.raises(BadInput):
        second_factor.confirm(bo, typed)


def test_an_admin_removes_the_second_factor_of_a_person_who_has_lost_it(shop: Shop, bo: int) -> None:
    set_up(bo)
    [ann] = shop.staff("ann", role=Role.ADMIN)
    epoch = account(bo).session_epoch
    people.remove_second_factor(bo, by=ann, reason="lost the phone")
    assert (account(bo).second_factor_at, account(bo).session_epoch) == (None, epoch + 1)
    assert shop.count(RecoveryCode) == shop.count(TotpSecret) == 0
    assert signin.sign_in("bo@example.com", PASSWORD, IP).second_factor_at is None
    with pytest.raises(Refusal, match="no second factor"):
        people.remove_second_factor(bo, by=ann, reason="again")


def test_where_it_is_required_staff_set_it_up_before_any_other_page(shop: Shop, bo: int) -> None:
    support, elsewhere = visitor_as(shop, "support"), Visitor(shop.app)
    elsewhere.get("/sign-in")
    assert elsewhere.post("/sign-in", {"email": "support@example.com", "password": PASSWORD}).status_code == 303
    shop.app.config["STAFF_SECOND_FACTOR"] = "required"
    for path in ("/ops", f"/ops/orders/{shop.order().number}/ledgers.json", "/ops/confirm"):
        answer = support.get(path)
        assert (answer.status_code, answer.location) == (303, "/ops/second-factor"), path
    assert "Set up a second factor before you use the console." in support.get("/ops/second-factor").text
    assert support.post("/ops/second-factor/begin").location == "/ops/second-factor"
    assert "data:image/svg+xml" in support.get("/ops/second-factor").text
    wrong = support.post("/ops/second-factor/confirm", {"code": "12"})
    assert wrong.status_code == 422 and "This code is wrong" in wrong.text
    db.session.rollback()
    user = db.session.scalars(select(User).where(User.email == "support@example.com")).one()
    app = pyotp.TOTP(pyotp.parse_uri(second_factor.pending_address(user) or "").secret)
    page = support.post("/ops/second-factor/confirm", {"code": app.at(clock.wall())})
    assert page.status_code == 200 and page.text.count("<li>") >= 10 and page.headers["Cache-Control"] == "no-store"
    assert support.get("/ops").status_code == 200
    assert elsewhere.get("/ops").location.startswith("/sign-in"), "it was begun without the second factor"


def test_production_requires_it_and_development_does_not(shop: Shop) -> None:
    config = shop.app.config
    assert not second_factor.is_required()
    config["SETTLED_ENV"] = "production"
    assert second_factor.is_required()
    config["SETTLED_ENV"] = "development"
    config["STAFF_SECOND_FACTOR"] = SecondFactorRule("required")
    assert second_factor.is_required()
    assert _second_factor("optional") and not _second_factor("required") and not _second_factor("")
    with pytest.raises(ValueError, match="sometimes"):
        SecondFactorRule("sometimes")
