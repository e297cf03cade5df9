"""Gifts of store credit: two people, verified addresses, one journal each, and races."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from shop.accounts import verification
from shop.accounts.models import User
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift
from shop.integrity import invariants
from shop.ledger import book, chart, store_credit
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

FIFTY = Money(5000, "TWD")


@pytest.fixture
def ada(shop: Shop) -> int:
    """A customer whose address is verified."""
    person = shop.customer()
    with transaction():
        verification.mark(person)
    return person


def code(do: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        do()
    return refused.value.code


def goodwill() -> int:
    db.session.rollback()
    return book.balance(chart.GOODWILL, "TWD").amount


def test_a_gift_is_booked_at_its_approval_by_another_person(shop: Shop, ada: int) -> None:
    gift = gifts.request(ada, FIFTY, by=shop.sam, reason="broken kettle")
    assert (goodwill(), shop.credit(ada), [one.id for one in gifts.waiting()]) == (0, 0, [gift.id])
    assert code(lambda: gifts.approve(gift.id, by=shop.sam)) == "not_to_decide"
    gifts.approve(gift.id, by=shop.kim)
    assert (goodwill(), shop.credit(ada), gifts.waiting()) == (5000, 5000, [])
    decided = db.session.get_one(CreditGift, gift.id)
    assert (decided.requested_by, decided.decided_by, decided.reason) == (shop.sam, shop.kim, "broken kettle")


def test_a_declined_gift_is_never_booked(shop: Shop, ada: int) -> None:
    gift = gifts.request(ada, FIFTY, by=shop.sam)
    gifts.decline(gift.id, by=shop.sam)
    assert code(lambda: gifts.approve(gift.id, by=shop.kim)) == "not_to_decide"
    assert (goodwill(), shop.credit(ada)) == (0, 0)


def test_an_unverified_customer_gets_no_gift_and_an_approval_checks_again(shop: Shop, ada: int) -> None:
    assert code(lambda: gifts.request(shop.customer(), FIFTY, by=shop.sam)) == "not_verified"
    gift = gifts.request(ada, FIFTY, by=shop.sam)
    with transaction():
        db.session.execute(update(User).where(User.id == ada).values(email_verified_at=None))
    assert code(lambda: gifts.approve(gift.id, by=shop.kim)) == "not_verified"
    assert [one.id for one in gifts.waiting()] == [gift.id], "it stays undecided"
    assert goodwill() == 0


def test_of_eight_approvals_at_once_one_books_the_gift(shop: Shop, ada: int, race: Race) -> None:
    gift_id, kim = gifts.request(ada, FIFTY, by=shop.sam).id, shop.kim
    db.session.rollback()

    def approve(_number: int) -> str:
        try:
            gifts.approve(gift_id, by=kim)
        except Refusal as refusal:
            return refusal.code
        return "approved"

    assert sorted(race(approve)) == ["approved"] + ["not_to_decide"] * 7
    assert (goodwill(), shop.credit(ada)) == (5000, 5000)


def test_of_eight_requests_with_one_key_at_once_there_is_one_gift(shop: Shop, ada: int, race: Race) -> None:
    sam = shop.sam
    found = race(lambda _number: gifts.request(ada, FIFTY, by=sam, key="birthday").id)
    assert len(set(found)) == 1 and shop.count(CreditGift) == 1


def test_a_key_that_gave_credit_before_gifts_needed_two_people_gives_none_again(shop: Shop, ada: int) -> None:
    with transaction():
        key = f"credit_given:{ada}:birthday"
        store_credit.give(ada, FIFTY, key=key, kind="credit_given", debit=chart.GOODWILL, by=shop.sam)
    assert code(lambda: gifts.request(ada, FIFTY, by=shop.sam, key="birthday")) == "given_before"
    assert shop.count(CreditGift) == 0


def test_the_database_refuses_an_approval_by_the_requester(shop: Shop, ada: int) -> None:
    gift = gifts.request(ada, FIFTY, by=shop.sam)
    with pytest.raises(IntegrityError), transaction():
        change = update(CreditGift).where(CreditGift.id == gift.id)
        db.session.execute(change.values(state="APPROVED", decided_by=shop.sam))


def test_an_approved_gift_without_its_journal_breaks_an_invariant(shop: Shop, ada: int) -> None:
    gift_id, kim = gifts.request(ada, FIFTY, by=shop.sam).id, shop.kim
    change = update(CreditGift).where(CreditGift.id == gift_id)
    with transaction():
        db.session.execute(change.values(state="APPROVED", decided_by=kim))
    [broken] = [one for one in invariants.check(with_acquirers=False) if one.rows]
    assert broken.rows[0]["id"] == gift_id
    with transaction():
        db.session.execute(change.values(state="DECLINED"))
