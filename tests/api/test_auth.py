"""Sign-in by the API: access tokens, rotated refresh tokens, second factor, and what ends them at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import time_machine
from sqlalchemy import update

from shop.accounts import api_decide, second_factor, sessions
from shop.accounts.api_decide import Refresh, SessionSnapshot
from shop.accounts.api_models import ApiSession
from shop.accounts.models import User
from shop.accounts.permissions import Role
from shop.core.db import db, transaction
from shop.core.event_types import EventKind
from shop.core.outbox import OutboxRow
from tests.api.conftest import PASSWORD, Program, account, log_in, signed_in
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)


def refresh(shop: Shop, token: str) -> dict[str, str] | None:
    """The answer to a refresh token; None if it was refused."""
    answer = Program(shop).post("/auth/refresh", {"refresh_token": token})
    assert answer.status_code in (200, 401), answer.text
    return dict(answer.json) if answer.status_code == 200 else None


def user_of(email: str) -> int:
    return db.session.scalars(db.select(User.id).where(User.email == email)).one()


def test_a_sign_in_gives_a_token_that_shows_the_profile(shop: Shop) -> None:
    email = account(shop, Role.SUPPORT)
    answer = log_in(shop, email)
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 900)
    profile = Program(shop, answer.json["access_token"]).get("/auth/profile").json
    assert (profile["email"], profile["roles"]) == (email, ["support"])
    assert "order.read" in profile["permissions"] and "payout.approve" not in profile["permissions"]


def test_a_program_is_mailed_about_once_a_day_and_once_more_from_another_network(shop: Shop) -> None:
    email = account(shop)

    def mails(address: str) -> int:
        body = {"email": email, "password": PASSWORD}
        with shop.app.app_context():
            Program(shop)._client.post("/api/v1/auth/login", json=body, environ_base={"REMOTE_ADDR": address})
        events = db.select(OutboxRow.id).where(OutboxRow.kind == EventKind.ACCOUNT_NEW_DEVICE)
        found = len(db.session.scalars(events).all())
        db.session.rollback()
        return found

    assert [mails("203.0.113.7") for _ in range(3)] == [1, 1, 1]
    assert [mails("198.51.100.9"), mails("203.0.113.7")] == [2, 2]
    log_in(shop, account(shop))
    assert mails("203.0.113.7") == 3, "another account from a network that one account knows"


def test_wrong_passwords_are_401_and_soon_429(shop: Shop) -> None:
    email = account(shop)
    bad = {"email": email, "password": "wrong"}
    answers = [Program(shop).post("/auth/login", bad) for _ in range(8)]
    assert answers[0].status_code == 401 and answers[0].json["code"] == "invalid_credentials"
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")
    assert (answers[-1].status_code, answers[-1].json["code"]) == (429, "too_many_attempts")
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_a_person_with_a_second_factor_sends_a_code_which_works_once(shop: Shop) -> None:
    email = account(shop, Role.FINANCE)
    user_id = user_of(email)
    second_factor.begin(user_id)
    secret = pyotp.parse_uri(second_factor.pending_address(db.session.get_one(User, user_id)) or "")
    second_factor.confirm(user_id, secret.at(datetime.now(UTC) - timedelta(seconds=30)))
    assert log_in(shop, email).json["code"] == "otp_required"
    code = secret.now()
    assert log_in(shop, email, otp="000000" if code != "000000" else "111111").json["code"] == "invalid_otp"
    assert log_in(shop, email, otp=code).status_code == 200
    assert log_in(shop, email, otp=code).json["code"] == "invalid_otp"


def test_where_staff_need_a_second_factor_they_do_not_sign_in_without(shop: Shop) -> None:
    kay, may = signed_in(shop, Role.SUPPORT), signed_in(shop)
    shop.app.config["STAFF_SECOND_FACTOR"] = "required"
    assert log_in(shop, account(shop, Role.SUPPORT)).json["code"] == "second_factor_needed"
    assert kay.get("/orders/1/timeline").json["code"] == "second_factor_needed"
    assert may.get("/orders").status_code == 200 and log_in(shop, account(shop)).status_code == 200


def test_a_disabled_account_a_changed_role_and_a_new_password_count_at_once(shop: Shop) -> None:
    kay, email = signed_in(shop, Role.SUPPORT, email="kay@example.com"), "kay@example.com"
    assert kay.get("/orders").json["total"] == 0
    with transaction():
        db.session.execute(update(User).where(User.email == email).values(roles=[]))
    assert kay.get("/orders/1/timeline").status_code == 403
    with transaction():
        sessions.end_all(user_of(email))
    assert kay.get("/orders").json["code"] == "invalid_token"
    again = Program(shop, str(log_in(shop, email).json["access_token"]))
    assert again.get("/orders").status_code == 200
    with transaction():
        db.session.execute(update(User).where(User.email == email).values(disabled_at=AT))
    assert again.get("/orders").status_code == 401
    assert log_in(shop, email).json["code"] == "account_disabled"


def test_a_logout_ends_the_access_token_and_the_refresh_token(shop: Shop) -> None:
    tokens = log_in(shop, account(shop)).json
    program = Program(shop, tokens["access_token"])
    assert program.post("/auth/logout").status_code == 204
    assert program.get("/auth/profile").status_code == 401
    assert refresh(shop, tokens["refresh_token"]) is None


def test_an_access_token_expires_and_one_of_another_shop_or_algorithm_is_refused(shop: Shop) -> None:
    token = str(log_in(shop, account(shop)).json["access_token"])
    assert Program(shop, token).get("/auth/profile").status_code == 200
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=15, seconds=1)):
        assert Program(shop, token).get("/auth/profile").status_code == 401
    head, claims, signature = token.split(".")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    for forged in (
        f"{unsigned}.{claims}.",
        f"{unsigned}.{claims}.{signature}",
        f"{head}.{claims}.x",
        "a.b.c",
        "x" * 40,
    ):
        assert Program(shop, forged).get("/auth/profile").status_code == 401, forged
    shop.app.config["SHOP_URL"] = "https://other.example"
    assert Program(shop, token).get("/auth/profile").status_code == 401


def test_tokens_of_the_former_key_are_valid_while_it_is_listed(shop: Shop) -> None:
    tokens, former = log_in(shop, account(shop)).json, shop.app.config["API_TOKEN_KEY"]
    shop.app.config["API_TOKEN_KEY"] = f"{'new key ' * 5},{former}"
    assert Program(shop, tokens["access_token"]).get("/auth/profile").status_code == 200
    assert refresh(shop, tokens["refresh_token"])
    shop.app.config["API_TOKEN_KEY"] = "new key " * 5
    assert Program(shop, tokens["access_token"]).get("/auth/profile").status_code == 401


def test_a_lost_answer_is_repeated_and_a_later_reuse_ends_the_session(shop: Shop) -> None:
    tokens = log_in(shop, account(shop)).json
    first = refresh(shop, tokens["refresh_token"])
    again = refresh(shop, tokens["refresh_token"])
    assert first and again and first["refresh_token"] == again["refresh_token"]
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=31)):
        assert refresh(shop, tokens["refresh_token"]) is None
        assert refresh(shop, first["refresh_token"]) is None, "a copy is in use"
        assert Program(shop, first["access_token"]).get("/auth/profile").status_code == 401


def test_callers_that_refresh_at_once_get_one_successor(shop: Shop, race: Race) -> None:
    token = log_in(shop, account(shop)).json["refresh_token"]
    found = race(lambda _: refresh(shop, token))
    assert len({one["refresh_token"] for one in found}) == 1
    assert db.session.scalars(db.select(ApiSession.generation)).one() == 1


@pytest.mark.parametrize("token", ["", "x", "settled_refresh.a.0.b", "settled_refresh.a.é.b", "settled_refresh.a.-1.b"])
def test_a_refresh_token_that_the_shop_did_not_make_is_refused(shop: Shop, token: str) -> None:
    answer = Program(shop).post("/auth/refresh", {"refresh_token": token})
    assert answer.status_code == (401 if token else 422)


def test_staff_sign_in_again_after_the_time_of_staff(shop: Shop) -> None:
    token = log_in(shop, account(shop, Role.SUPPORT)).json["refresh_token"]
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=12, minutes=1)):
        assert refresh(shop, token) is None


def test_an_account_has_a_limited_number_of_sessions(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop.accounts.api_sessions.MOST", 2)
    email = account(shop)
    first, *others = [log_in(shop, email).json["refresh_token"] for _ in range(3)]
    assert refresh(shop, first) is None and all(refresh(shop, token) for token in others)


@pytest.mark.parametrize(
    ("generation", "seconds", "expected"),
    [
        (3, 0, Refresh.ROTATE),
        (3, 10**6, Refresh.ROTATE),
        (2, 30, Refresh.SAME_SUCCESSOR),
        (2, 31, Refresh.REUSED),
        (1, 0, Refresh.REUSED),
        (4, 0, Refresh.REUSED),
    ],
)
def test_the_answer_to_a_refresh_token_depends_on_its_generation(
    generation: int, seconds: int, expected: Refresh
) -> None:
    session = SessionSnapshot(3, AT - timedelta(seconds=seconds), AT + timedelta(days=1), False, True)
    assert api_decide.decide(session, generation, AT) is expected


@pytest.mark.parametrize(
    "ended",
    [
        SessionSnapshot(0, AT, AT, False, True),
        SessionSnapshot(0, AT, AT + timedelta(days=1), True, True),
        SessionSnapshot(0, AT, AT + timedelta(days=1), False, False),
    ],
)
def test_a_session_that_has_ended_gives_no_tokens(ended: SessionSnapshot) -> None:
    assert api_decide.decide(ended, 0, AT) is Refresh.REFUSED


def test_the_password_is_in_no_log(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    log_in(shop, account(shop))
    captured = capsys.readouterr()
    assert PASSWORD not in captured.err + captured.out


def test_a_sign_in_from_before_the_second_factor_gives_no_rights_of_staff(shop: Shop) -> None:
    email = account(shop)
    tokens = log_in(shop, email).json
    program, user_id = Program(shop, tokens["access_token"]), user_of(email)
    with transaction():
        db.session.execute(update(User).where(User.id == user_id).values(roles=[Role.SUPPORT]))
    shop.app.config["STAFF_SECOND_FACTOR"] = "required"
    assert program.get("/orders/1/timeline").json["code"] == "second_factor_needed"
    second_factor.begin(user_id)
    secret = pyotp.parse_uri(second_factor.pending_address(db.session.get_one(User, user_id)) or "")
    second_factor.confirm(user_id, secret.now())
    assert program.get("/orders/1/timeline").status_code == 401
    assert refresh(shop, tokens["refresh_token"]) is None


def test_a_sign_in_of_a_customer_who_is_staff_by_now_ends_after_the_time_of_staff(shop: Shop) -> None:
    shop.app.config["STAFF_IDLE_MINUTES"] = 24 * 60
    email = account(shop)
    token = log_in(shop, email).json["refresh_token"]
    with transaction():
        db.session.execute(update(User).where(User.email == email).values(roles=[Role.SUPPORT]))
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=11)):
        renewed = refresh(shop, token) or {}
        program = Program(shop, renewed["access_token"])
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=11, minutes=10)):
        assert program.get("/auth/profile").status_code == 200
    shop.app.config["STAFF_SIGN_IN_HOURS"] = 11
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=11, minutes=10)):
        assert program.get("/auth/profile").status_code == 401
        assert refresh(shop, renewed["refresh_token"]) is None


def test_signing_out_everywhere_else_signs_programs_out(shop: Shop) -> None:
    email = account(shop)
    tokens = log_in(shop, email).json
    assert sessions.revoke_all(user_of(email), but_here=True) == 1
    assert Program(shop, tokens["access_token"]).get("/auth/profile").status_code == 401
    assert refresh(shop, tokens["refresh_token"]) is None
