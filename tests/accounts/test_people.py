"""Access of staff accounts: disable, enable, roles, and requests for roles that need a second admin."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from shop.accounts import invitations, people, rights, role_requests, sessions, signin, staff
from shop.accounts.models import RoleRequest, RoleRequestState, User
from shop.accounts.permissions import MONEY, PERMISSIONS, Permission, Role
from shop.core.actor import Actor
from shop.core.audit import Act
from shop.core.audit_search import find
from shop.core.db import db, transaction
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.credit_gifts import gifts
from shop.credit_gifts.models import CreditGift
from shop.ledger import book, chart, funds
from shop.payments.records.models import Refund
from shop.payments.refunds import requests
from shop.payouts import payouts
from shop.payouts.models import Payout
from tests.race_fixtures import Race
from tests.shop_fixtures import Shop

PASSWORD = "correct horse battery"


@pytest.fixture
def admins(shop: Shop) -> tuple[Actor, Actor]:
    ann, ben = shop.staff("ann", "ben", role=Role.ADMIN)
    return ann, ben


@pytest.fixture
def bo(shop: Shop) -> int:
    """The number of an account of support that can sign in."""
    return signin.create("bo@example.com", "Bo", PASSWORD, ["support"], by=Actor.operator()).id


def account(user_id: int | None) -> User:
    return db.session.get_one(User, user_id, populate_existing=True)


def code_of(refused: pytest.ExceptionInfo[Refusal]) -> tuple[str, int]:
    return refused.value.code, refused.value.status


def settled(shop: Shop) -> None:
    """An amount that can be paid out."""
    with transaction():
        book.transfer("settled:x", "settled", Money(1000, "TWD"), debit=chart.BANK, credit=chart.receivable("x"))
        funds.received(Money(1000, "TWD"))


def test_a_disabled_account_cannot_sign_in_and_its_sign_ins_have_ended(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    epoch = account(bo).session_epoch
    people.disable(bo, by=admins[0], reason="left the company")
    assert sessions.snapshot(bo, epoch) is None and sessions.snapshot(bo, epoch + 1) is None
    with pytest.raises(signin.AccountDisabled):
        signin.sign_in("bo@example.com", PASSWORD, "203.0.113.7")
    with pytest.raises(signin.WrongCredentials):
        signin.sign_in("bo@example.com", "wrong", "203.0.113.7")
    people.enable(bo, by=admins[1], reason="came back")
    assert signin.sign_in("bo@example.com", PASSWORD, "203.0.113.7").roles == ["support"]
    entries = [entry for entry in find().rows if entry.act in (Act.ACCOUNT_DISABLED, Act.ACCOUNT_ENABLED)]
    assert [(entry.actor, entry.reason) for entry in entries] == [
        (str(admins[1]), "came back"),
        (str(admins[0]), "left the company"),
    ]


def test_a_disabled_account_has_no_permission_and_acts_in_no_command(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    people.disable(bo, by=admins[0], reason="left")
    with pytest.raises(rights.Forbidden), transaction():
        rights.demand(Actor.staff(bo), next(iter(PERMISSIONS[Role.SUPPORT])))
    with pytest.raises(BadInput, match="is disabled"):
        staff.actor_of("bo@example.com")


@pytest.mark.parametrize("reason", ["", "  ", "\x07", "x" * 501])
def test_a_reason_is_required(shop: Shop, admins: tuple[Actor, Actor], bo: int, reason: str) -> None:
    for change in (
        lambda: people.disable(bo, by=admins[0], reason=reason),
        lambda: people.enable(bo, by=admins[0], reason=reason),
        lambda: people.set_roles(bo, ["admin"], by=admins[0], reason=reason),
    ):
        with pytest.raises(BadInput) as refused:
            change()
        assert code_of(refused) == ("bad_reason" if reason.strip() else "reason_needed", 422)
    assert (account(bo).disabled_at, account(bo).roles) == (None, ["support"])


def test_only_admins_change_the_access_of_staff(shop: Shop, bo: int) -> None:
    for actor in (shop.sam, Actor.customer(shop.customer())):
        for change in (
            lambda by=actor: people.disable(bo, by=by, reason="x"),
            lambda by=actor: people.set_roles(bo, [], by=by, reason="x"),
        ):
            with pytest.raises(rights.Forbidden):
                change()
    assert (account(bo).disabled_at, account(bo).roles) == (None, ["support"])


def test_people_change_neither_their_own_roles_nor_disable_themselves(shop: Shop, admins: tuple[Actor, Actor]) -> None:
    ann = admins[0]
    for change in (
        lambda: people.set_roles(ann.user_id or 0, ["admin", "support"], by=ann, reason="x"),
        lambda: people.disable(ann.user_id or 0, by=ann, reason="x"),
    ):
        with pytest.raises(Refusal) as refused:
            change()
        assert code_of(refused) == ("own_account", 409)
    assert (account(ann.user_id).roles, account(ann.user_id).disabled_at) == (["admin"], None)


def test_one_admin_takes_roles_away_and_gives_those_without_money(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    changed = people.set_roles(bo, ["merchandiser"], by=admins[0], reason="moved")
    assert (changed.now, changed.waiting, changed.request) == (["merchandiser"], [], None)
    assert account(bo).roles == ["merchandiser"]
    entry = find().rows[0]
    assert (entry.act, entry.before, entry.after) == (
        Act.ROLES_CHANGED,
        {"roles": ["support"]},
        {"roles": ["merchandiser"]},
    )


def test_exactly_the_roles_with_a_permission_about_money_or_roles_need_a_second_admin() -> None:
    assert (
        [role for role in Role if people.needs_two_admins(role)]
        == [role for role in Role if PERMISSIONS[role] & {*MONEY, Permission.USER_WRITE}]
        == [Role.FINANCE, Role.ADMIN]
    )


def test_a_role_that_decides_about_money_counts_once_a_second_admin_has_approved_it(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    changed = people.set_roles(bo, ["merchandiser", "finance"], by=admins[0], reason="promoted")
    assert (account(bo).roles, changed.waiting) == (["merchandiser"], ["finance"])
    with pytest.raises(Refusal) as refused:
        role_requests.approve(changed.request or 0, by=admins[0])
    assert code_of(refused) == ("same_person", 409)
    with pytest.raises(rights.Forbidden):
        role_requests.approve(changed.request or 0, by=shop.sam)
    role_requests.approve(changed.request or 0, by=admins[1])
    assert account(bo).roles == ["finance", "merchandiser"]
    entry = find().rows[0]
    assert (entry.act, entry.actor, entry.reason) == (Act.ROLES_APPROVED, str(admins[1]), "promoted")


def test_an_admin_does_not_approve_a_role_for_the_own_account(shop: Shop, admins: tuple[Actor, Actor]) -> None:
    ann, ben = admins
    request = people.set_roles(ben.user_id or 0, ["admin", "finance"], by=ann, reason="small team").request
    with pytest.raises(Refusal) as refused:
        role_requests.approve(request or 0, by=ben)
    assert code_of(refused) == ("own_account", 409)
    assert account(ben.user_id).roles == ["admin"]


def test_a_declined_request_changes_no_role_and_names_who_declined_it(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    request = people.set_roles(bo, ["finance", "support"], by=admins[0], reason="x").request or 0
    role_requests.decline(request, by=admins[1])
    assert account(bo).roles == ["support"]
    with pytest.raises(Refusal, match=r"ben@example\.com declined this request at ") as refused:
        role_requests.approve(request, by=admins[1])
    assert code_of(refused) == ("request_decided", 409)


def test_a_request_lapses_when_the_account_is_changed_before_the_decision(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    ann, ben = admins
    request = people.set_roles(bo, ["finance"], by=ann, reason="x").request or 0
    people.disable(bo, by=ann, reason="left")
    with pytest.raises(Refusal, match="has lapsed"):
        role_requests.approve(request, by=ben)
    people.enable(bo, by=ann, reason="back")
    with pytest.raises(Refusal, match="has lapsed"):
        role_requests.approve(request, by=ben)
    assert account(bo).roles == []


def test_a_request_of_an_admin_who_was_disabled_or_demoted_is_not_approved(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    ann, ben = admins
    [cleo] = shop.staff("cleo", role=Role.ADMIN)
    request = people.set_roles(bo, ["finance"], by=ann, reason="x").request or 0
    people.set_roles(ann.user_id or 0, ["support"], by=ben, reason="demoted")
    with pytest.raises(rights.Lapsed, match=r"ann@example\.com, who requested this, was disabled or"):
        role_requests.approve(request, by=cleo)
    assert account(bo).roles == []
    assert db.session.get_one(RoleRequest, request).state == RoleRequestState.REQUESTED
    role_requests.decline(request, by=cleo)


def test_a_change_that_was_decided_on_an_older_page_is_refused_and_names_who_was_first(
    shop: Shop, admins: tuple[Actor, Actor], bo: int
) -> None:
    ann, ben = admins
    seen = account(bo).access_version
    people.set_roles(bo, [], by=ann, reason="first", version=seen)
    with pytest.raises(Refusal, match=r"ann@example\.com changed its roles at ") as refused:
        people.set_roles(bo, ["support", "merchandiser"], by=ben, reason="second", version=seen)
    assert code_of(refused) == ("access_changed", 409)
    with pytest.raises(Refusal, match=r"ann@example\.com changed its roles at "):
        people.disable(bo, by=ben, reason="second", version=seen)
    assert (account(bo).roles, account(bo).disabled_at) == ([], None)


def test_of_two_admins_at_once_one_decides_and_the_other_reads_who_did(
    shop: Shop, admins: tuple[Actor, Actor], bo: int, race: Race
) -> None:
    cleo, *_ = shop.staff("cleo", role=Role.ADMIN)
    request = people.set_roles(bo, ["finance", "support"], by=cleo, reason="x").request or 0
    names = ("ann@example.com", "ben@example.com")

    def decide(number: int) -> str:
        (role_requests.approve if number % 2 else role_requests.decline)(request, by=admins[number % 2])
        return names[number % 2]

    results = race(decide)
    [winner] = [one for one in results if isinstance(one, str)]
    losers = [one for one in results if isinstance(one, Refusal)]
    assert len(losers) == 7
    assert all(one.code == "request_decided" and winner in one.message for one in losers), losers
    assert account(bo).roles == (["finance", "support"] if winner == names[1] else ["support"])


def test_two_admins_who_demote_each_other_at_once_leave_an_admin(
    shop: Shop, admins: tuple[Actor, Actor], race: Race
) -> None:
    def demote(number: int) -> int:
        other = admins[1 - number % 2].user_id or 0
        people.set_roles(other, ["support"], by=admins[number % 2], reason="demoted")
        return number

    results = race(demote)
    assert len([one for one in results if isinstance(one, int)]) == 1
    assert sorted(account(admin.user_id).roles for admin in admins) == [["admin"], ["support"]]


@pytest.mark.parametrize("ending", ["disabled", "demoted"])
def test_requests_about_money_of_a_person_who_is_disabled_or_demoted_are_not_approved(
    shop: Shop, admins: tuple[Actor, Actor], ending: str
) -> None:
    shop.app.config["REFUND_NEEDS_TWO"] = {"TWD": 1000}
    settled(shop)
    [refund] = requests.request_all(shop.paid_order().id, reason="broken", by=shop.sam)
    payout = payouts.request(Money(500, "TWD"), by=shop.sam)
    customer = shop.customer()
    with transaction():
        account(customer).email_verified_at = account(customer).created_at
    gift = gifts.request(customer, Money(500, "TWD"), by=shop.sam)
    ids = refund.id, payout.id, gift.id
    if ending == "disabled":
        people.disable(shop.sam.user_id or 0, by=admins[0], reason="left")
    else:
        people.set_roles(shop.sam.user_id or 0, ["merchandiser"], by=admins[0], reason="moved")
    approvals = (
        lambda: requests.approve(ids[0], shop.kim),
        lambda: payouts.approve(ids[1], by=shop.kim),
        lambda: gifts.approve(ids[2], by=shop.kim),
    )
    for approve in approvals:
        with pytest.raises(rights.Lapsed, match=r"sam@example\.com, who requested this, was disabled") as refused:
            approve()
        assert code_of(refused) == ("request_lapsed", 409)
    shop.sweep()
    assert db.session.get_one(Refund, ids[0], populate_existing=True).state == "REQUESTED"
    assert db.session.get_one(Payout, ids[1], populate_existing=True).state == "REQUESTED"
    assert db.session.scalars(select(CreditGift.state)).all() == ["REQUESTED"]
    requests.decline(ids[0], shop.kim), payouts.reject(ids[1], by=shop.kim), gifts.decline(ids[2], by=shop.kim)


def test_an_operator_names_an_account_for_a_role_that_needs_two(shop: Shop, bo: int) -> None:
    with pytest.raises(BadInput) as refused:
        people.set_roles(bo, ["finance"], by=Actor.operator(), reason="x")
    assert code_of(refused) == ("account_needed", 422)
    assert account(bo).roles == ["support"]
    assert people.set_roles(bo, ["admin"], by=Actor.operator(), reason="first admin").now == ["admin"]
    person = signin.create("eve@example.com", "Eve", PASSWORD, ["support"], by=Actor.operator()).id
    with pytest.raises(BadInput) as refused:
        people.set_roles(person, ["admin"], by=Actor.operator(), reason="second admin")
    assert code_of(refused) == ("account_needed", 422)


def test_an_admin_alone_makes_no_other_admin(shop: Shop, bo: int) -> None:
    [ann] = shop.staff("ann", role=Role.ADMIN)
    invited = invitations.invite("eve@example.com", ["support", "admin"], by=ann, reason="hired")
    changed = people.set_roles(bo, ["support", "admin"], by=ann, reason="promoted")
    with pytest.raises(BadInput) as refused:
        signin.create("dan@example.com", "Dan", PASSWORD, ["admin"], by=ann)
    assert code_of(refused) == ("second_admin_needed", 422)
    assert (changed.waiting, account(bo).roles, account(invited).roles) == (["admin"], ["support"], ["support"])


@pytest.mark.parametrize(
    ("roles", "code"), [(["owner"], "unknown_role"), (["\0"], "unknown_role"), (["support"], "same_roles")]
)
def test_roles_that_do_not_exist_and_changes_that_change_nothing_are_refused(
    shop: Shop, admins: tuple[Actor, Actor], bo: int, roles: list[str], code: str
) -> None:
    with pytest.raises(BadInput) as refused:
        people.set_roles(bo, roles, by=admins[0], reason="x")
    assert code_of(refused) == (code, 422)
    assert account(bo).access_version == 0
