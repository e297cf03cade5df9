"""Give customers store credit: requested by one person, approved by another. One conditional UPDATE decides each step.

Store credit goes to verified addresses only: the address is what staff know of a customer, and before its owner has
confirmed it, anyone may have created the account.
"""

from __future__ import annotations

from sqlalchemy import select, update

from shop.accounts import rights
from shop.accounts.models import User
from shop.accounts.permissions import Permission
from shop.core import audit, clock, ids, logs
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import after_commit, changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.money import CURRENCIES, Money
from shop.credit_gifts.models import CreditGift, GiftState
from shop.ledger import chart, store_credit
from shop.ledger.models import Journal

log = logs.get()
_ACTS = {GiftState.APPROVED: Act.GIFT_APPROVED, GiftState.DECLINED: Act.GIFT_DECLINED}


def waiting() -> list[CreditGift]:
    """Undecided gifts, oldest first."""
    requested = select(CreditGift).where(CreditGift.state == GiftState.REQUESTED)
    return list(db.session.scalars(requested.order_by(CreditGift.requested_at, CreditGift.id)))


def request(user_id: int, money: Money, *, by: Actor, key: str | None = None, reason: str = "") -> CreditGift:
    """Request a gift of `money`, once for each `key` of a customer: a repeated request returns the first one, whatever
    its amount. Another person has to approve.

    Raises BadInput for no amount or an empty key, Refusal: `not_verified`, `own_gift` for the requester's own account,
    `given_before` when the key gave credit before gifts needed two people.
    """
    if money.currency not in CURRENCIES or money.amount <= 0:
        raise BadInput("bad_amount", "Amount must be greater than zero.")
    if key is not None and not key.strip():
        raise BadInput("bad_key", "The key must not be empty.")
    return db.session.get_one(CreditGift, _request(user_id, money, by, key, reason))


@transactional
def _request(user_id: int, money: Money, by: Actor, key: str | None, reason: str) -> str:
    rights.demand(by, Permission.STORE_CREDIT_REQUEST)
    _refuse_own(user_id, by)
    _lock_verified(user_id)
    gift_id = ids.gift_id()
    key = key or gift_id
    values = {
        "id": gift_id,
        "user_id": user_id,
        "key": key,
        "currency": money.currency,
        "amount": money.amount,
        "reason": reason,
        "state": GiftState.REQUESTED,
        "requested_by": by,
        "requested_at": clock.now(),
    }
    new = insert(CreditGift).values(values).on_conflict_do_nothing(index_elements=["user_id", "key"])
    if db.session.scalar(new.returning(CreditGift.id)) is None:
        earlier = select(CreditGift.id).where(CreditGift.user_id == user_id, CreditGift.key == key)
        return db.session.scalars(earlier).one()
    if db.session.get(Journal, _journal(user_id, key)) is not None:
        raise Refusal("given_before", "Store credit was given with this key before.")
    subject = Subject(SubjectKind.CREDIT_GIFT, gift_id)
    audit.record(by, Act.GIFT_REQUESTED, subject, after={"user_id": user_id, "money": money}, reason=reason)
    after_commit(lambda: log.info("credit_gift.requested", gift=gift_id))
    return gift_id


@transactional
def approve(gift_id: str, *, by: Actor) -> None:
    """Approve a gift as the second person: the customer has the store credit, and the journal names the approver.

    Raises Refusal: `not_to_decide` for its requester or when it is decided, Lapsed when the requester may not request
    it any more, `own_gift`, and `not_verified` when the address is not verified any more; the gift then stays
    undecided.
    """
    rights.demand(by, Permission.STORE_CREDIT_APPROVE)
    gift = _decide(gift_id, GiftState.APPROVED, by)
    rights.demand_of_requester(gift.requested_by, Permission.STORE_CREDIT_REQUEST)
    _refuse_own(gift.user_id, by)
    _lock_verified(gift.user_id)
    key = _journal(gift.user_id, gift.key)
    store_credit.give(gift.user_id, gift.money, key=key, kind="credit_given", debit=chart.GOODWILL, by=by)


@transactional
def decline(gift_id: str, *, by: Actor, reason: str = "") -> None:
    """Decline a gift; its requester may do so too. Raises Refusal `not_to_decide` when it is decided."""
    rights.demand(by, Permission.STORE_CREDIT_REQUEST)
    _decide(gift_id, GiftState.DECLINED, by, reason)


def _decide(gift_id: str, target: GiftState, by: Actor, reason: str = "") -> CreditGift:
    """Of several concurrent decisions the first one counts."""
    requested_by = db.session.scalar(select(CreditGift.requested_by).where(CreditGift.id == gift_id))
    if target == GiftState.APPROVED and requested_by is not None and not by.may_approve(requested_by):
        raise _not_to_decide(gift_id)
    guard = update(CreditGift).where(CreditGift.id == gift_id, CreditGift.state == GiftState.REQUESTED)
    if not changed(guard.values(state=target, decided_by=by, decided_at=clock.now())):
        raise _not_to_decide(gift_id)
    gift = db.session.get_one(CreditGift, gift_id, populate_existing=True)
    states = {"state": GiftState.REQUESTED}, {"state": target, "user_id": gift.user_id, "money": gift.money}
    subject = Subject(SubjectKind.CREDIT_GIFT, gift_id)
    audit.record(by, _ACTS[target], subject, before=states[0], after=states[1], reason=reason)
    after_commit(lambda: log.info(f"credit_gift.{target.lower()}", gift=gift_id))
    return gift


def _lock_verified(user_id: int) -> None:
    """Lock the account, so that its address stays verified until the commit."""
    user = db.session.get_one(User, user_id, with_for_update={"key_share": True}, populate_existing=True)
    if user.email_verified_at is None:
        raise Refusal("not_verified", "The customer has not confirmed the e-mail address of the account yet.")


def _refuse_own(user_id: int, by: Actor) -> None:
    if by.user_id == user_id:
        raise Refusal("own_gift", "You cannot give store credit to your own account.")


def _not_to_decide(gift_id: str) -> Refusal:
    state = db.session.scalar(select(CreditGift.state).where(CreditGift.id == gift_id))
    sentences = {
        None: "There is no such gift.",
        GiftState.REQUESTED: "A gift must be approved by another person than the one who requested it.",
    }
    return Refusal("not_to_decide", sentences.get(state, "This gift has already been decided."))


def _journal(user_id: int, key: str) -> str:
    return f"credit_given:{user_id}:{key}"
