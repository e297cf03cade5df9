"""Payouts: paid once, after two people approved, and only while the balance covers them."""

from __future__ import annotations

import pytest

from shop.core.actor import Actor, ActorKind
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.ledger import book, chart, funds
from shop.payouts import payouts
from shop.payouts.models import Payout
from tests.parts import staff_accounts
from tests.payouts.settlement import settled, twd
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

SAM, KIM, LEE = (Actor.staff(number) for number in (1001, 1002, 1003))


@pytest.fixture(autouse=True)
def people(shop: Shop) -> None:
    """Accounts of SAM, KIM, LEE and those who decide at once."""
    staff_accounts.hire(range(1001, 1030))


def balance(account: str) -> int:
    """The present balance, whatever this test has read before."""
    db.session.rollback()
    return book.balance(account, "TWD").amount


def states() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(db.select(Payout.state).order_by(Payout.requested_at)))


def code(refused: pytest.ExceptionInfo[Refusal]) -> str:
    return refused.value.code


def test_two_people_pay_out_what_was_settled(shop: Shop) -> None:
    settled(1000)
    payout = payouts.request(twd(600), by=SAM, note="rent")
    assert funds.available("TWD") == twd(400)
    assert [one.id for one in payouts.waiting()] == [payout.id]
    payouts.approve(payout.id, by=KIM)
    assert balance(chart.BANK) == 400
    assert balance(chart.OWNER_PAYOUTS) == 600
    assert payouts.waiting() == []


def test_the_requester_cannot_approve_and_a_payout_is_approved_once(shop: Shop) -> None:
    """Case 29."""
    settled(1000)
    payout = payouts.request(twd(600), by=SAM)
    with pytest.raises(Refusal) as own:
        payouts.approve(payout.id, by=SAM)
    payouts.approve(payout.id, by=KIM)
    with pytest.raises(Refusal) as twice:
        payouts.approve(payout.id, by=LEE)
    assert (code(own), code(twice)) == ("not_to_decide", "not_to_decide")
    assert balance(chart.OWNER_PAYOUTS) == 600


def test_a_payout_requested_by_a_name_without_an_account_can_only_be_rejected(shop: Shop) -> None:
    """Requester and approver could be the same person."""
    settled(1000)
    payout = payouts.request(twd(600), by=SAM)
    with transaction():
        db.session.execute(db.update(Payout).values(requested_by=Actor(ActorKind.STAFF, name="sam")))
    with pytest.raises(Refusal) as refused:
        payouts.approve(payout.id, by=KIM)
    assert code(refused) == "not_to_decide"
    payouts.reject(payout.id, by=KIM)
    assert funds.available("TWD") == twd(1000)


def test_a_payout_cannot_be_approved_beyond_the_balance(shop: Shop) -> None:
    """Case 29: the acquirer took money back between the two approvals."""
    settled(1000)
    payout = payouts.request(twd(600), by=SAM)
    settled(-500)
    with pytest.raises(Refusal) as refused:
        payouts.approve(payout.id, by=KIM)
    assert (code(refused), refused.value.details["available"]) == ("not_enough_funds", 500)
    assert states() == ["REQUESTED"]
    payouts.reject(payout.id, by=KIM)
    assert funds.available("TWD") == twd(500)


def test_more_than_the_available_funds_cannot_be_requested(shop: Shop) -> None:
    settled(1000)
    for wrong, why in ((twd(1001), "not_enough_funds"), (Money(1, "JPY"), "not_enough_funds")):
        with pytest.raises(Refusal) as refused:
            payouts.request(wrong, by=SAM)
        assert code(refused) == why
    for wrong in (twd(0), twd(-5), Money(5, "EUR")):
        with pytest.raises(BadInput):
            payouts.request(wrong, by=SAM)
    assert states() == []


def test_the_requester_may_withdraw_a_payout_and_then_it_is_final(shop: Shop) -> None:
    settled(1000)
    payout = payouts.request(twd(1000), by=SAM)
    payouts.reject(payout.id, by=SAM)
    assert funds.available("TWD") == twd(1000)
    with pytest.raises(Refusal):
        payouts.approve(payout.id, by=KIM)


def test_of_eight_concurrent_approvals_one_pays_out(shop: Shop, race: Race) -> None:
    settled(1000)
    payout_id = payouts.request(twd(600), by=SAM).id
    results = race(lambda number: payouts.approve(payout_id, by=Actor.staff(1010 + number)))
    assert results.count(None) == 1
    assert balance(chart.OWNER_PAYOUTS) == 600


def test_of_eight_concurrent_requests_of_60_percent_one_succeeds(shop: Shop, race: Race) -> None:
    settled(1000)
    results = race(lambda number: payouts.request(twd(600), by=Actor.staff(1010 + number)).id)
    assert len([r for r in results if isinstance(r, str)]) == 1
    assert funds.available("TWD") == twd(400)


def test_approving_and_rejecting_at_once_does_one_of_both(shop: Shop, race: Race) -> None:
    settled(1000)
    payout_id = payouts.request(twd(600), by=SAM).id

    def decide(number: int) -> str:
        (payouts.approve if number % 2 else payouts.reject)(payout_id, by=Actor.staff(1010 + number))
        return "done"

    assert race(decide).count("done") == 1
    paid = balance(chart.OWNER_PAYOUTS)
    assert funds.available("TWD").amount + paid == 1000
