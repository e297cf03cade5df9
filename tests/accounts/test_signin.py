from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import time_machine
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select, update

from shop.accounts import known_devices, passwords, signin, throttle
from shop.accounts.models import SignInFailures, User
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from tests.parts.redis_server import RedisServer

EMAIL, PASSWORD, PLACE = "mei@example.com", "paper lantern 7", "192.0.2.7"
pytestmark = pytest.mark.usefixtures("inside")
ONE_DATABASE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests that no database decides."""


@pytest.fixture
def mei(inside: None) -> User:
    return signin.register(EMAIL, "Mei", PASSWORD)


def try_wrong(email: str = EMAIL, place: str = PLACE, password: str = "not this one") -> str:
    """Code of the refusal."""
    with pytest.raises(Refusal) as refused:
        signin.sign_in(email, password, place)
    return refused.value.code


@pytest.fixture
def unlimited(app: Flask) -> None:
    """Only the limit kept in the database."""
    app.config["RATE_LIMITS"] = False


def test_the_right_password_signs_in_however_the_address_is_spelled(mei: User) -> None:
    assert signin.sign_in(" Mei@Example.COM ", PASSWORD, PLACE).id == mei.id


@ONE_DATABASE
def test_a_password_typed_on_another_keyboard_is_the_same_password() -> None:
    user = signin.register("ami@example.com", "Ami", "caf\u00e9 and tea \uff11")
    assert signin.sign_in("ami@example.com", "cafe\u0301 and tea 1", PLACE).id == user.id


def test_an_unknown_address_and_a_wrong_password_get_the_same_message_after_the_same_work(
    mei: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda *args: checked.append(args[0]) or verify(*args))
    refusals = []
    for email in (EMAIL, "nobody@example.com", "no address at all", ""):
        with pytest.raises(signin.WrongCredentials) as refused:
            signin.sign_in(email, "not this one", PLACE)
        refusals.append((refused.value.code, refused.value.message, refused.value.status))
    assert len(set(refusals)) == 1
    assert len(checked) == 4
    assert len({hashed.rsplit("$", 2)[0] for hashed in checked}) == 1, "all with the same parameters"


@ONE_DATABASE
def test_a_sixth_try_in_a_minute_from_one_place_waits(mei: User) -> None:
    assert [try_wrong() for _ in range(6)] == ["wrong_credentials"] * 5 + ["too_many_attempts"]
    assert try_wrong(place="198.51.100.1") == "wrong_credentials", "another place has its own five"


@ONE_DATABASE
def test_trying_one_password_on_many_accounts_is_delayed_too(mei: User) -> None:
    codes = [try_wrong(email=f"user{n}@example.com") for n in range(31)]
    assert codes.count("too_many_attempts") == 1


@ONE_DATABASE
def test_the_throttle_holds_while_redis_is_away(mei: User, own_redis: RedisServer) -> None:
    own_redis.stop()
    assert [try_wrong() for _ in range(6)][-1] == "too_many_attempts"


@pytest.mark.usefixtures("unlimited")
def test_a_stranger_who_guesses_is_delayed_and_the_delay_ends_and_grows(mei: User) -> None:
    with time_machine.travel(datetime(2026, 5, 1, tzinfo=UTC), tick=False) as clock:
        assert [try_wrong() for _ in range(throttle.FREE_FAILURES)] == ["wrong_credentials"] * throttle.FREE_FAILURES
        waits = []
        for _ in range(4):
            with pytest.raises(throttle.TooManyAttempts) as refused:
                signin.sign_in(EMAIL, PASSWORD, PLACE)
            waits.append(refused.value.retry_after)
            clock.shift(refused.value.retry_after)
            assert try_wrong() == "wrong_credentials"
        assert waits == [60, 120, 240, 480]
        clock.shift(900)
        assert signin.sign_in(EMAIL, PASSWORD, PLACE).id == mei.id
        assert db.session.scalar(select(SignInFailures)) is None
        db.session.rollback()
        assert try_wrong() == "wrong_credentials", "the count starts anew"


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("networks", [1, 30])
def test_wrong_passwords_of_strangers_never_lock_the_owner_out(mei: User, networks: int) -> None:
    """Neither in the browser that the owner has used before, nor in a new one in another network."""
    known = known_devices.load(known_devices.remember(None, EMAIL))
    for n in range(throttle.ATTACKED_FROM + 20):
        try_wrong(place=f"203.0.113.{n % networks}")
    assert signin.sign_in(EMAIL, PASSWORD, "203.0.113.0", known).id == mei.id, "even from the network of a stranger"
    for n in range(throttle.ATTACKED_FROM + 20):
        try_wrong(place=f"203.0.113.{n % networks}")
    assert signin.sign_in(EMAIL, PASSWORD, PLACE).id == mei.id


@pytest.mark.usefixtures("unlimited")
def test_of_an_account_under_attack_each_network_has_one_try_before_it_waits(mei: User) -> None:
    for n in range(throttle.ATTACKED_FROM):
        assert try_wrong(place=f"203.0.113.{n}") == "wrong_credentials"
    assert [try_wrong() for _ in range(2)] == ["wrong_credentials", "too_many_attempts"]
    assert [try_wrong(place="2001:db8::1"), try_wrong(place="2001:db8::2")] == [
        "wrong_credentials",
        "too_many_attempts",
    ], "an IPv6 network counts as one"


@pytest.mark.usefixtures("unlimited")
def test_a_known_browser_has_a_count_of_its_own_and_only_for_its_accounts(mei: User) -> None:
    known = known_devices.load(known_devices.remember(None, EMAIL))
    assert known
    codes = []
    for _ in range(throttle.FREE_ON_KNOWN_DEVICE + 1):
        with pytest.raises(Refusal) as refused:
            signin.sign_in(EMAIL, "not this one", PLACE, known)
        codes.append(refused.value.code)
    assert codes == ["wrong_credentials"] * throttle.FREE_ON_KNOWN_DEVICE + ["too_many_attempts"]
    assert signin.sign_in(EMAIL, PASSWORD, PLACE).id == mei.id, "others are not delayed by it"
    assert not known.knows("other@example.com")


@pytest.mark.parametrize("cookie", [None, "", "rubbish", "W10.abc.def", "ÿ"])
@ONE_DATABASE
def test_a_forged_cookie_makes_no_browser_known(cookie: str | None) -> None:
    assert known_devices.load(cookie) is None


@ONE_DATABASE
def test_a_browser_is_known_for_the_five_accounts_used_last() -> None:
    known = None
    for n in range(7):
        known = known_devices.load(known_devices.remember(known, f"user{n}@example.com"))
    assert known
    assert [n for n in range(7) if known.knows(f"user{n}@example.com")] == [2, 3, 4, 5, 6]


@pytest.mark.usefixtures("unlimited")
def test_an_account_that_does_not_exist_delays_in_the_same_way() -> None:
    codes = [try_wrong(email="nobody@example.com") for _ in range(throttle.FREE_FAILURES + 1)]
    assert codes == ["wrong_credentials"] * throttle.FREE_FAILURES + ["too_many_attempts"]


@pytest.mark.usefixtures("unlimited")
def test_forty_tries_at_the_same_moment_are_forty_tries(app: Flask, mei: User, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    monkeypatch.setattr(passwords, "matches", lambda stored, password: looked_at.append(1))
    start = Barrier(8)

    def guess() -> None:
        with app.app_context():
            start.wait()
            for _ in range(5):
                try_wrong()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(guess) for _ in range(8)]:
            done.result()
    assert len(looked_at) == throttle.FREE_FAILURES


@pytest.mark.usefixtures("unlimited")
def test_failures_are_forgotten_after_a_day_and_addresses_are_not_kept(mei: User) -> None:
    with time_machine.travel(datetime(2026, 5, 1, tzinfo=UTC), tick=False) as clock:
        try_wrong(email="stranger@example.com")
        rows = db.session.scalars(select(SignInFailures)).all()
        assert not any("stranger" in row.account for row in rows)
        db.session.rollback()
        clock.shift(timedelta(days=1, seconds=1))
        try_wrong(email="other@example.com")
        assert len(db.session.scalars(select(SignInFailures)).all()) == 2


def test_a_hash_made_with_older_parameters_is_renewed_at_the_next_sign_in(mei: User) -> None:
    older = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    with transaction():
        db.session.execute(update(User).values(password_hash=older))
    signin.sign_in(EMAIL, PASSWORD, PLACE)
    renewed = db.session.scalars(select(User.password_hash)).one()
    assert renewed != older
    assert not passwords.is_outdated(renewed)
    db.session.rollback()
    assert signin.sign_in(EMAIL, PASSWORD, PLACE)


@ONE_DATABASE
@pytest.mark.parametrize(
    ("email", "name", "password", "field"),
    [
        ("not an address", "Mei", PASSWORD, "email"),
        ("", "Mei", PASSWORD, "email"),
        ("mei@", "Mei", PASSWORD, "email"),
        ("a" * 300 + "@example.com", "Mei", PASSWORD, "email"),
        (EMAIL, "  ", PASSWORD, "name"),
        (EMAIL, "x" * 101, PASSWORD, "name"),
        (EMAIL, "Me\x00i", PASSWORD, "name"),
        (EMAIL, "Mei", "short", "password"),
        (EMAIL, "Mei", "x" * 257, "password"),
        (EMAIL, "Mei", "aaaaaaaaaaaaaa", "password"),
        (EMAIL, "Mei", "MEI@example.com", "password"),
    ],
)
def test_a_refused_registration_names_its_field(email: str, name: str, password: str, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        signin.register(email, name, password)
    assert refused.value.details == {"field": field}
    assert db.session.scalar(select(User)) is None


def test_an_address_has_one_account_however_many_register_at_once(app: Flask) -> None:
    start = Barrier(8)

    def make() -> str:
        with app.app_context():
            start.wait()
            try:
                signin.register(EMAIL.upper(), "Mei", PASSWORD)
            except Refusal as refusal:
                return refusal.code
            return "made"

    with ThreadPoolExecutor(8) as pool:
        outcomes = [done.result() for done in [pool.submit(make) for _ in range(8)]]
    assert sorted(outcomes) == ["email_taken"] * 7 + ["made"]
    assert db.session.scalars(select(User.email)).all() == [EMAIL]


@ONE_DATABASE
def test_staff_get_known_roles_only() -> None:
    assert signin.create(
        "boss@example.com", "Boss", PASSWORD, ["finance", "admin", "admin"], by=Actor.operator()
    ).roles == [
        "admin",
        "finance",
    ]
    with pytest.raises(BadInput, match="janitor is not a role"):
        signin.create("jan@example.com", "Jan", PASSWORD, ["janitor"], by=Actor.operator())
