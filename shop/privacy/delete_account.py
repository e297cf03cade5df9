"""Delete an account at the request of its owner, in one transaction.

Orders go on: they have their own copy of the address, their mails are sent, and their links stay valid. Retention
erases the personal data in them as it does for guests.
"""

from __future__ import annotations

from sqlalchemy import delete, select

from shop.accounts import closing, credentials
from shop.accounts.models import User
from shop.checkout import account_cart
from shop.core import audit, clock, email_address
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import db, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.money import Money
from shop.core.sentences import sentence
from shop.ledger import store_credit
from shop.ledger.models import StoreCredit
from shop.mail import outgoing
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.orders.models import IS_LIVE, Order
from shop.privacy import decide
from shop.privacy.decide import Credit, Obstacle, Snapshot

MOST_SHOWN = 20
_SENTENCES = {
    Obstacle.LAST_ADMIN: sentence("You are the only admin of this shop. Give another account this role first."),
    Obstacle.CREDIT_HELD: sentence("An unpaid order uses your store credit. Pay or cancel the order first."),
    Obstacle.CREDIT_LEFT: sentence("You still have store credit. Use it first, or tick that you give it up."),
}


def obstacle_of(user: User) -> Obstacle | None:
    """The reason why the owner could not delete the account now, however the form is filled in; for the page, which may
    be outdated when the form is sent.
    """
    credit = list(db.session.scalars(select(StoreCredit).where(StoreCredit.user_id == user.id)))
    return decide.obstacle(_snapshot(user, credit), gives_up_credit=True)


def unpaid(user_id: int) -> list[Order]:
    """The newest orders of the account that can still be paid, at most MOST_SHOWN."""
    live = select(Order).where(Order.user_id == user_id, IS_LIVE).order_by(Order.id.desc()).limit(MOST_SHOWN)
    return list(db.session.scalars(live))


def delete_account(
    user_id: int, *, typed: str, password: str, gives_up_credit: bool, origin: credentials.Origin
) -> None:
    """Delete the account. `typed` is its address, which the owner has typed as the confirmation.

    Raises BadInput (details: `field`), TooManyAttempts, Away, and Refusal: `sign_in_again`, `account_changed`, or the
    code of an Obstacle. Nothing is changed then.
    """
    email = db.session.scalars(select(User.email).where(User.id == user_id)).one()
    if email_address.for_lookup(typed) != email:
        message = sentence("Enter the e-mail address of your account, to confirm that you want to delete it.")
        raise BadInput("wrong_confirmation", message, field="confirmation")
    epoch = credentials.confirm_owner(user_id, password, origin)
    _delete(user_id, epoch, gives_up_credit=gives_up_credit, language=origin.language)


@transactional
def _delete(user_id: int, epoch: int, *, gives_up_credit: bool, language: str) -> None:
    user = closing.lock(user_id, epoch)
    credit = store_credit.locked(user_id)
    if problem := decide.obstacle(_snapshot(user, credit), gives_up_credit=gives_up_credit):
        raise Refusal(problem, _SENTENCES[problem])
    email, language, roles, at = user.email, user.language or language, sorted(user.roles), clock.now()
    by = Actor.staff(user_id) if roles else Actor.customer(user_id)
    given_up = [Money(one.balance, one.currency) for one in credit if one.balance]
    for one in credit:
        if one.balance:
            store_credit.give_up(one, by=by)
    account_cart.remove(user_id)
    closing.erase(user_id)
    _remove_mails(email)
    outgoing.queue(
        MailKind.ACCOUNT_DELETED, to=email, language=language, data={"at": at.isoformat()}, key=f"account-{user_id}"
    )
    before = {"roles": roles, "given_up": given_up}
    audit.record(by, Act.ACCOUNT_DELETED, Subject(SubjectKind.ACCOUNT, str(user_id)), before=before)


def _snapshot(user: User, credit: list[StoreCredit]) -> Snapshot:
    money = [Credit(Money(one.balance, one.currency), Money(one.held, one.currency)) for one in credit]
    return Snapshot(closing.is_last_admin(user), money)


def _remove_mails(email: str) -> None:
    """Remove the mails to an address that are about no order. Those that wait are sent, and removed by retention."""
    about_the_account = (Mail.recipient == email, Mail.order_id.is_(None), Mail.state != MailState.QUEUED)
    db.session.execute(delete(Mail).where(*about_the_account))
