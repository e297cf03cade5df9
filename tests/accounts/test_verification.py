"""Verification of addresses: the mailed link, its binding, its single use, and races for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from sqlalchemy import select, update

from shop.accounts import links, mail_limits, signin, verification
from shop.accounts.decide import LASTS, LinkProblem, LinkPurpose
from shop.accounts.models import AccountLink, User
from shop.core import clock, rate_limit
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.outbox import OutboxRow
from shop.mail import compose
from tests.mail.conftest import stored
from tests.shop_fixtures import Shop

EMAIL, PASSWORD = "mei@example.com", "paper lantern 7"


@pytest.fixture
def mei(shop: Shop) -> int:
    """An account whose address is not verified yet."""
    return signin.register(EMAIL, "Mei", PASSWORD).id


def newest_token(purpose: LinkPurpose = LinkPurpose.VERIFY) -> str:
    """The token of the newest link of a purpose."""
    db.session.rollback()
    newest = select(AccountLink.id).where(AccountLink.purpose == purpose).order_by(AccountLink.id.desc()).limit(1)
    found = links.token(db.session.scalars(newest).one())
    assert found and found[0] == purpose
    return found[1]


def is_verified(user_id: int) -> bool:
    db.session.rollback()
    return db.session.get_one(User, user_id, populate_existing=True).email_verified_at is not None


def problem(token: str, by: int | None) -> str:
    with pytest.raises(Refusal) as refused:
        verification.confirm(token, by=by or 0)
    return refused.value.code


def test_a_new_account_is_mailed_one_link_that_verifies_its_address_once(shop: Shop, mei: int) -> None:
    shop.sweep()
    [mail] = stored()
    token = newest_token()
    assert (mail.kind, mail.recipient, mail.language) == ("verification", EMAIL, "en")
    assert f"/account/verify/{token}\n" in compose.content(mail).text
    assert not is_verified(mei)
    verification.confirm(token, by=mei)
    assert is_verified(mei)
    assert problem(token, mei) == LinkProblem.USED
    assert len(stored()) == 1


def test_the_link_is_in_no_table_and_in_no_event(shop: Shop, mei: int) -> None:
    shop.sweep()
    token = newest_token()
    rows = [*db.session.execute(select(AccountLink.__table__)), *db.session.execute(select(OutboxRow.__table__))]
    rows += [(mail.data, mail.event) for mail in stored()]
    assert token not in repr(rows)
    [event] = db.session.scalars(select(OutboxRow.payload).where(OutboxRow.kind == "account.link_made"))
    assert event == {"schema_version": 1, "link": 1, "purpose": "verify"} | {"link": event["link"]}


def test_a_link_of_another_account_verifies_nothing(shop: Shop, mei: int) -> None:
    """Anyone may register the address of another person; the click of that person must not verify it for them."""
    other = signin.register("bo@example.com", "Bo", PASSWORD).id
    token = newest_token()
    assert problem(token, mei) == "link_of_other_account"
    assert not is_verified(mei) and not is_verified(other)
    verification.confirm(token, by=other)


@pytest.mark.parametrize("forged", ["", "x", "a.b", "{}", "é.é", "\x00", "W10.abc", "x" * 4000])
def test_a_forged_link_is_unknown(shop: Shop, mei: int, forged: str) -> None:
    assert problem(forged, mei) == LinkProblem.UNKNOWN


def test_a_link_with_another_signature_or_for_another_purpose_is_unknown(shop: Shop, mei: int) -> None:
    token = newest_token()
    assert problem(token[:-1] + ("A" if token[-1] != "A" else "B") + "A", mei) == LinkProblem.UNKNOWN
    with pytest.raises(links.LinkEnded) as refused:
        links.read(LinkPurpose.RESET, token)
    assert (refused.value.problem, refused.value.status) == (LinkProblem.UNKNOWN, 404)
    assert not is_verified(mei)


def test_a_link_expires_on_wall_time(shop: Shop, mei: int) -> None:
    token = newest_token()
    shop.turn(days=20)  # the shop's clock
    with time_machine.travel(clock.wall() + LASTS[LinkPurpose.VERIFY] + timedelta(seconds=1)):
        assert problem(token, mei) == LinkProblem.EXPIRED
    assert not is_verified(mei)
    verification.confirm(token, by=mei)


def test_a_link_is_no_longer_valid_after_the_address_has_changed(shop: Shop, mei: int) -> None:
    token = newest_token()
    with transaction():
        db.session.execute(update(User).values(email="other@example.com"))
    assert problem(token, mei) == LinkProblem.OUTDATED
    assert not is_verified(mei)


def test_a_link_stays_valid_while_the_key_that_signed_it_is_accepted(shop: Shop, mei: int) -> None:
    token, key = newest_token(), shop.app.config["SECRET_KEY"]
    shop.app.config.update(SECRET_KEY="a new key " * 5, SECRET_KEY_FALLBACKS=[key])
    verification.confirm(token, by=mei)
    assert is_verified(mei)


def test_of_eight_uses_at_once_exactly_one_counts(shop: Shop, mei: int) -> None:
    token, start = newest_token(), Barrier(8)

    def use() -> str:
        with shop.app.app_context():
            start.wait()
            try:
                verification.confirm(token, by=mei)
            except Refusal as refusal:
                return refusal.code
            return "verified"

    with ThreadPoolExecutor(8) as pool:
        outcomes = [done.result() for done in [pool.submit(use) for _ in range(8)]]
    assert sorted(outcomes) == ["link_used"] * 7 + ["verified"]


def test_another_link_can_be_requested_until_the_address_is_verified(shop: Shop, mei: int) -> None:
    first = newest_token()
    verification.request(mei, "en")
    shop.sweep()
    assert [mail.kind for mail in stored()] == ["verification", "verification"]
    assert newest_token() != first
    verification.confirm(first, by=mei)
    with pytest.raises(Refusal) as refused:
        verification.request(mei, "en")
    assert refused.value.code == "already_verified"


def test_an_address_gets_three_mails_of_a_kind_an_hour(shop: Shop, mei: int) -> None:
    rate_limit._limiters().local.storage.reset()
    address = f"limited{clock.wall().timestamp()}@example.com"
    for _ in range(mail_limits.PER_ADDRESS.amount):
        mail_limits.count(LinkPurpose.VERIFY, address)
    with pytest.raises(mail_limits.TooManyMails) as refused:
        mail_limits.count(LinkPurpose.VERIFY, address.upper())
    assert (refused.value.status, refused.value.retry_after) == (429, 3600)
    mail_limits.count(LinkPurpose.RESET, address)


def test_an_event_that_is_published_twice_sends_one_mail(shop: Shop, mei: int) -> None:
    shop.sweep()
    with transaction():
        db.session.execute(update(OutboxRow).values(due_at=clock.now(), published_at=None))
    shop.sweep()
    assert len(stored()) == 1


def test_an_account_created_by_an_operator_can_be_verified_from_the_start(shop: Shop) -> None:
    assert is_verified(
        signin.create("boss@example.com", "Boss", PASSWORD, ["finance"], is_verified=True, by=Actor.operator()).id
    )
    assert not is_verified(signin.create("kim@example.com", "Kim", PASSWORD, by=Actor.operator()).id)
    shop.sweep()
    assert stored() == []
