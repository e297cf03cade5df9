"""Forgotten passwords, changes of password and address, and mailed unlocks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from sqlalchemy import select

from shop.accounts import credentials, links, passwords, preferences, recovery, signin, throttle
from shop.accounts.credentials import Origin
from shop.accounts.decide import LinkProblem, LinkPurpose
from shop.accounts.models import AccountLink, SignInFailures, User
from shop.core import clock
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Refusal
from shop.mail import compose
from tests.accounts.test_verification import is_verified, newest_token
from tests.mail.conftest import stored
from tests.parts.statements import everything, statements
from tests.shop_fixtures import Shop

EMAIL, PASSWORD, NEW = "mei@example.com", "paper lantern 7", "a new lantern 8"
PLACE, ELSEWHERE = "192.0.2.1", "198.51.100.7"
HERE = Origin(PLACE)


@pytest.fixture
def mei(shop: Shop) -> int:
    """An account with an unverified address."""
    shop.app.config["RATE_LIMITS"] = False
    return signin.create(EMAIL, "Mei", PASSWORD, by=Actor.operator()).id


def refused(do: Callable[[], object]) -> str:
    """The code of the refusal."""
    with pytest.raises(Refusal) as refusal:
        do()
    return refusal.value.code


def epoch(user_id: int) -> int:
    db.session.rollback()
    return db.session.get_one(User, user_id, populate_existing=True).session_epoch


def at_once(shop: Shop, *jobs: Callable[[], object]) -> list[str]:
    """The outcomes of jobs that start together: the code of a refusal, or `done`."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], object]) -> str:
        with shop.app.app_context():
            start.wait()
            try:
                job()
            except Refusal as refusal:
                return refusal.code
            return "done"

    with ThreadPoolExecutor(len(jobs)) as pool:
        return sorted(done.result() for done in [pool.submit(run, job) for job in jobs])


def test_mails_about_an_account_are_in_its_language(shop: Shop, mei: int) -> None:
    preferences.set_language(mei, "en")
    recovery.request(LinkPurpose.RESET, EMAIL, "zh_Hant")
    shop.sweep()
    recovery.reset(newest_token(LinkPurpose.RESET), NEW, PLACE)
    signin.sign_in(EMAIL, NEW, PLACE, None, "Firefox", "zh_Hant")
    shop.sweep()
    found = {mail.kind: mail.language for mail in stored()}
    assert found == {"password_reset": "en", "password_changed": "en", "new_device": "en"}


def test_a_forgotten_password_is_replaced_by_a_mailed_link(shop: Shop, mei: int) -> None:
    recovery.request(LinkPurpose.RESET, " MEI@example.com ", "en")
    shop.sweep()
    [mail] = stored()
    token = newest_token(LinkPurpose.RESET)
    assert (mail.kind, mail.recipient) == ("password_reset", EMAIL)
    assert f"/account/reset/{token}\n" in compose.content(mail).text
    recovery.reset(token, NEW, PLACE)
    assert refused(lambda: signin.sign_in(EMAIL, PASSWORD, PLACE)) == "wrong_credentials"
    assert signin.sign_in(EMAIL, NEW, PLACE).id == mei
    assert is_verified(mei), "the owner has read mail at this address"
    assert epoch(mei) == 1
    assert refused(lambda: recovery.reset(token, "another one 99", PLACE)) == LinkProblem.USED
    shop.sweep()
    assert sorted(mail.kind for mail in stored()) == ["new_device", "password_changed", "password_reset"]


def test_a_request_about_an_unknown_address_sends_the_same_statements_and_no_mail(shop: Shop, mei: int) -> None:
    sent = []
    for email in (EMAIL, "nobody@example.com", EMAIL, "not an address", "a\r\nBcc: b@example.com"):
        for purpose in (LinkPurpose.RESET, LinkPurpose.UNLOCK):
            with statements() as found:
                recovery.request(purpose, email, "en")
            sent.append([one for one in found if "clock_offset" not in one])
    assert all(one == sent[0] for one in sent) and len(sent[0]) >= 3
    shop.sweep()
    assert [mail.recipient for mail in stored()] == [EMAIL] * 4
    assert "nobody@" not in repr(everything()), "addresses without an account are not stored"


def test_a_reset_link_lasts_an_hour(shop: Shop, mei: int) -> None:
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    token = newest_token(LinkPurpose.RESET)
    with time_machine.travel(clock.wall() + timedelta(minutes=59)):
        assert links.read(LinkPurpose.RESET, token)
    with time_machine.travel(clock.wall() + timedelta(minutes=61)):
        assert refused(lambda: recovery.reset(token, NEW, PLACE)) == LinkProblem.EXPIRED
    assert passwords.matches(db.session.get_one(User, mei).password_hash, PASSWORD)
    shop.sweep()


def test_a_link_from_before_a_change_of_the_password_or_address_is_no_longer_valid(shop: Shop, mei: int) -> None:
    for _ in range(2):
        recovery.request(LinkPurpose.RESET, EMAIL, "en")
    second = newest_token(LinkPurpose.RESET)
    first = links.token(min(db.session.scalars(select(AccountLink.id))))
    assert first
    recovery.reset(first[1], NEW, PLACE)
    assert refused(lambda: recovery.reset(second, PASSWORD, PLACE)) == LinkProblem.OUTDATED
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    third = newest_token(LinkPurpose.RESET)
    credentials.request_email_change(mei, NEW, "new@example.com", HERE)
    credentials.change_email(newest_token(LinkPurpose.CHANGE_EMAIL), by=mei)
    assert refused(lambda: recovery.reset(third, PASSWORD, PLACE)) == LinkProblem.OUTDATED
    assert passwords.matches(db.session.get_one(User, mei, populate_existing=True).password_hash, NEW)
    shop.sweep()


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaa", EMAIL, "x" * 257])
def test_a_password_that_may_not_be_chosen_keeps_the_link_usable(shop: Shop, mei: int, password: str) -> None:
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    token = newest_token(LinkPurpose.RESET)
    assert refused(lambda: recovery.reset(token, password, PLACE)) in ("bad_password", "weak_password")
    recovery.reset(token, NEW, PLACE)
    shop.sweep()


def test_of_eight_uses_of_a_reset_link_at_once_one_sets_the_password(shop: Shop, mei: int) -> None:
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    token = newest_token(LinkPurpose.RESET)
    outcomes = at_once(shop, *(lambda n=n: recovery.reset(token, f"{NEW} {n}", PLACE) for n in range(8)))
    assert outcomes.count("done") == 1 and set(outcomes) <= {"done", "link_used", "link_outdated"}
    shop.sweep()
    assert [mail.kind for mail in stored()].count("password_changed") == 1
    assert epoch(mei) == 1


def test_of_two_reset_links_used_at_once_one_sets_the_password(shop: Shop, mei: int) -> None:
    for _ in range(2):
        recovery.request(LinkPurpose.RESET, EMAIL, "en")
    tokens = [links.token(number) for number in db.session.scalars(select(AccountLink.id))]
    db.session.rollback()
    jobs = [lambda token=token: recovery.reset(token[1], NEW, PLACE) for token in tokens if token]
    assert at_once(shop, *jobs) == ["done", "link_outdated"]
    assert epoch(mei) == 1
    shop.sweep()


def test_a_changed_password_ends_all_sign_ins_and_is_mailed(shop: Shop, mei: int) -> None:
    assert refused(lambda: credentials.change_password(mei, "wrong password", NEW, HERE)) == "wrong_password"
    assert refused(lambda: credentials.change_password(mei, PASSWORD, "short", HERE)) == "bad_password"
    assert epoch(mei) == 0
    credentials.change_password(mei, PASSWORD, NEW, HERE)
    assert epoch(mei) == 1
    assert signin.sign_in(EMAIL, NEW, PLACE)
    shop.sweep()
    [mail] = [one for one in stored() if one.kind == "password_changed"]
    assert mail.recipient == EMAIL and "/forgot-password" in compose.content(mail).text


def test_of_two_changes_of_the_password_at_once_one_counts(shop: Shop, mei: int) -> None:
    jobs = [lambda n=n: credentials.change_password(mei, PASSWORD, f"{NEW} {n}", HERE) for n in range(4)]
    outcomes = at_once(shop, *jobs)
    assert outcomes.count("done") == 1 and set(outcomes) <= {"done", "account_changed", "wrong_password"}
    assert epoch(mei) == 1
    shop.sweep()


def test_guesses_of_the_current_password_are_throttled_as_at_a_sign_in(shop: Shop, mei: int) -> None:
    def guess() -> None:
        credentials.change_password(mei, "a wrong guess", NEW, HERE)

    codes = [refused(guess) for _ in range(throttle.FREE_FAILURES + 1)]
    assert codes == ["wrong_password"] * throttle.FREE_FAILURES + ["too_many_attempts"]


def test_a_new_address_counts_once_it_is_confirmed_and_the_old_one_is_mailed(shop: Shop, mei: int) -> None:
    credentials.request_email_change(mei, PASSWORD, "New@Example.com", HERE)
    shop.sweep()
    [mail] = stored()
    assert (mail.kind, mail.recipient) == ("email_change", "new@example.com")
    assert signin.sign_in(EMAIL, PASSWORD, PLACE).email == EMAIL
    token = newest_token(LinkPurpose.CHANGE_EMAIL)
    assert f"/account/change-email/{token}\n" in compose.content(mail).text
    assert refused(lambda: credentials.change_email(token, by=mei + 1)) == "link_of_other_account"
    credentials.change_email(token, by=mei)
    assert signin.sign_in("new@example.com", PASSWORD, PLACE).id == mei
    assert refused(lambda: signin.sign_in(EMAIL, PASSWORD, PLACE)) == "wrong_credentials"
    assert is_verified(mei) and epoch(mei) == 1
    shop.sweep()
    assert [(one.kind, one.recipient) for one in stored() if one.kind == "email_changed"] == [("email_changed", EMAIL)]
    assert refused(lambda: credentials.change_email(token, by=mei)) == LinkProblem.USED


def test_an_address_of_another_account_is_not_revealed_and_never_taken(shop: Shop, mei: int) -> None:
    signin.create("bo@example.com", "Bo", PASSWORD, by=Actor.operator())
    assert credentials.request_email_change(mei, PASSWORD, "bo@example.com", HERE) == "bo@example.com"
    credentials.request_email_change(mei, PASSWORD, "cy@example.com", HERE)
    shop.sweep()
    assert [mail.recipient for mail in stored()] == ["cy@example.com"]
    token = newest_token(LinkPurpose.CHANGE_EMAIL)
    signin.create("cy@example.com", "Cy", PASSWORD, by=Actor.operator())
    before = everything()
    assert refused(lambda: credentials.change_email(token, by=mei)) == "email_taken"
    assert everything() == before
    assert refused(lambda: credentials.request_email_change(mei, PASSWORD, EMAIL, HERE)) == "same_email"


@pytest.mark.parametrize(
    "address",
    ["a@example.com\r\nBcc: b@example.com", "a@example.com\nX: y", "a@b", "a b@example.com", "a@example.com,b@c.de"],
)
def test_an_address_that_could_add_a_header_is_refused(shop: Shop, mei: int, address: str) -> None:
    before = everything()["account_links"]
    assert refused(lambda: credentials.request_email_change(mei, PASSWORD, address, HERE)) == "bad_email"
    assert everything()["account_links"] == before


def test_a_mailed_link_ends_the_delay_here_and_leaves_other_networks_delayed(shop: Shop, mei: int) -> None:
    for place in (PLACE, ELSEWHERE):
        codes = [refused(lambda at=place: signin.sign_in(EMAIL, "wrong one 1", at)) for _ in range(6)]
        assert codes[-1] == "too_many_attempts"
    recovery.request(LinkPurpose.UNLOCK, EMAIL, "en")
    shop.sweep()
    [mail] = stored()
    token = newest_token(LinkPurpose.UNLOCK)
    assert mail.kind == "unlock" and f"/account/unlock/{token}\n" in compose.content(mail).text
    recovery.unlock(token, PLACE)
    assert signin.sign_in(EMAIL, PASSWORD, PLACE).id == mei
    assert refused(lambda: signin.sign_in(EMAIL, PASSWORD, ELSEWHERE)) == "too_many_attempts"
    assert refused(lambda: recovery.unlock(token, ELSEWHERE)) == LinkProblem.USED
    assert not is_verified(mei), "an unlock proves nothing about who chose the password"
    shop.sweep()


def test_a_reset_ends_the_delay_too(shop: Shop, mei: int) -> None:
    for _ in range(6):
        refused(lambda: signin.sign_in(EMAIL, "wrong one 1", PLACE))
    recovery.request(LinkPurpose.RESET, EMAIL, "en")
    recovery.reset(newest_token(LinkPurpose.RESET), NEW, PLACE)
    assert signin.sign_in(EMAIL, NEW, PLACE).id == mei
    assert db.session.scalars(select(SignInFailures)).all() == []
    shop.sweep()


def test_a_link_without_its_account_causes_no_mail_and_opens_nothing(shop: Shop, mei: int) -> None:
    recovery.request(LinkPurpose.RESET, "nobody@example.com", "en")
    assert refused(lambda: recovery.reset(newest_token(LinkPurpose.RESET), NEW, PLACE)) == LinkProblem.OUTDATED
    shop.sweep()
    assert stored() == []
