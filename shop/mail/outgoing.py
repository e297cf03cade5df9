"""Queue mails in the current transaction. The unique key decides races: a mail is queued once, however often its event
is published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import func, select, update

from shop.accounts.models import AccountLink, User
from shop.core import clock, email_address, ids, key_pages, metrics
from shop.core.db import after_commit, changed, db, insert, table, transactional
from shop.core.key_pages import FIRST, Page, Place
from shop.core.keyset import ON_A_PAGE
from shop.mail.decide import Audience, Demand, mails_for
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.orders.models import Order
from shop.payments.records.models import Payment, Refund
from shop.returns import views as returns

LANGUAGE_OF_STAFF = "en"
BAD_ADDRESS = "the recipient is not an e-mail address"


@transactional
def queue(
    kind: MailKind,
    *,
    to: str,
    language: str,
    data: Mapping[str, Any],
    key: str,
    subject: str = "",
    order_id: int | None = None,
) -> bool:
    """Queue a mail, due at once; False when (`subject`, `key`, `kind`) exists already.

    `subject` is an order's number, or empty. An address that cannot be one gives a FAILED mail, so that the mail that
    an event demands always exists.
    """
    at, is_address = clock.now(), _is_address(to)
    mail_id = ids.mail_id()
    values = {
        "id": mail_id,
        "kind": kind,
        "subject": subject,
        "event": key,
        "order_id": order_id,
        "recipient": to,
        "language": language,
        "data": dict(data),
        "message_id": f"<{mail_id}@{_domain()}>",
        "state": MailState.QUEUED if is_address else MailState.FAILED,
        "created_at": at,
        "next_attempt_at": at if is_address else None,
        "attempts": 0,
        "error": None if is_address else BAD_ADDRESS,
    }
    new = insert(Mail, plain=True).on_conflict_do_nothing(index_elements=["subject", "event", "kind"])
    if db.session.scalar(new.returning(table(Mail).c.id), values) is None:
        return False
    after_commit(lambda: metrics.MAILS.labels(kind, "queued").inc())
    return True


def after_event(kind: str, event: dict[str, Any]) -> None:
    """Queue the mails that a published event causes; see `shop.mail.decide`."""
    for demand in mails_for(kind, event):
        _QUEUE[demand.audience](demand, event)


def _to_customer(demand: Demand, event: Mapping[str, Any]) -> None:
    order_id = event["order_id"]
    order = db.session.execute(select(Order.email, Order.locale).where(Order.id == order_id)).one()
    data = dict(demand.data) | _more(demand)
    whose = {"to": order.email, "language": order.locale, "subject": demand.subject, "order_id": order_id}
    queue(demand.kind, data=data, key=demand.event, **whose)


def _more(demand: Demand) -> dict[str, Any]:
    """Values that only the database has, as they are when the mail is queued."""
    if demand.kind == MailKind.STORE_CODE:
        action = db.session.scalar(select(Payment.action).where(Payment.id == demand.data["payment"])) or {}
        return {"code": action.get("fields", {}).get("code", "")}
    if demand.kind == MailKind.REFUND_SENT:
        refund = select(Refund.destination).where(Refund.id == demand.data["refund"])
        return {"destination": db.session.scalar(refund) or ""}
    if "return_no" in demand.data:
        return returns.of_mail(demand.data["return_no"])
    return {}


def _to_account(demand: Demand, _event: Mapping[str, Any]) -> None:
    kept = (User.id == demand.data["user_id"], User.deleted_at.is_(None))
    email = db.session.scalar(select(User.email).where(*kept))
    if email is None:
        return  # the owner has deleted the account since
    language = demand.data.get("language", LANGUAGE_OF_STAFF)
    queue(demand.kind, to=email, language=language, data=demand.data, key=demand.event)


def _to_link(demand: Demand, _event: Mapping[str, Any]) -> None:
    link = db.session.get(AccountLink, demand.data["link"])
    if link is not None:
        to = link.email if demand.audience == Audience.LINK else link.account_email
        if to is not None:
            queue(demand.kind, to=to, language=link.language, data=demand.data, key=demand.event)


_QUEUE = {
    Audience.CUSTOMER: _to_customer,
    Audience.ACCOUNT: _to_account,
    Audience.LINK: _to_link,
    Audience.FORMER_ADDRESS: _to_link,
}


@transactional
def make_due_again(mail_ids: Sequence[str]) -> int:
    """Make FAILED mails due again, with the same Message-ID: those of `mail_ids`, or all. Returns their number."""
    failed = update(Mail).where(Mail.state == MailState.FAILED, Mail.error.is_distinct_from(BAD_ADDRESS))
    if mail_ids:
        failed = failed.where(Mail.id.in_(mail_ids))
    return changed(failed.values(state=MailState.QUEUED, attempts=0, next_attempt_at=clock.now()))


def newest(limit: int, *, state: MailState | None = None) -> list[Mail]:
    """The newest mails first, at most `limit`; of one state, if given."""
    return page(state=state, limit=limit).rows


def page(
    place: Place = FIRST, *, state: MailState | None = None, order: str = "", limit: int = ON_A_PAGE
) -> Page[Mail]:
    """A page of the mails, the newest first; of one state, and about the order with this number, if given."""
    query = select(Mail).where(Mail.state == state) if state else select(Mail)
    query = query.where(Mail.subject == order) if order else query
    found = db.session.scalars(key_pages.at(query, Mail.id, place, limit, descending=True)).all()
    return key_pages.page(found, place, limit, lambda mail: mail.id)


def find(mail_id: str) -> Mail | None:
    return db.session.get(Mail, mail_id)


def kind_of(mail_id: str) -> str:
    """The kind of a mail, for metrics; empty for an unknown one."""
    found = db.session.scalar(select(Mail.kind).where(Mail.id == mail_id)) or ""
    db.session.rollback()
    return found


def by_state() -> dict[MailState, int]:
    """The number of mails in each state."""
    rows = db.session.execute(select(Mail.state, func.count()).group_by(Mail.state)).all()
    db.session.rollback()
    return dict.fromkeys(MailState, 0) | {row[0]: row[1] for row in rows}


def counted(most: int) -> dict[MailState, int]:
    """The number of mails in each state, each counted up to `most`. One statement, part of the caller's transaction."""
    of_state = (select(Mail.id).where(Mail.state == state).order_by(Mail.id) for state in MailState)  # along the index
    mails = [query.limit(most).subquery() for query in of_state]
    numbers = [select(func.count()).select_from(each).scalar_subquery() for each in mails]
    return dict(zip(MailState, db.session.execute(select(*numbers)).one(), strict=True))


def oldest_queued_age() -> timedelta:
    """Time since the oldest queued mail was created; zero when none is queued."""
    first = db.session.scalar(select(func.min(Mail.created_at)).where(Mail.state == MailState.QUEUED))
    db.session.rollback()
    return clock.now() - first if first else timedelta(0)


def sender() -> str:
    """The sender, from MAIL_FROM or the host of SHOP_URL."""
    host = urlsplit(current_app.config["SHOP_URL"]).hostname or "localhost"
    return str(current_app.config["MAIL_FROM"]) or f"Settled <orders@{host}>"


def new_message_id(mail_id: str) -> str:
    """Another Message-ID for a mail that is sent once more."""
    return f"<{mail_id}.{ids.token()[:8]}@{_domain()}>"


def _domain() -> str:
    return sender().rpartition("@")[2].rstrip("> ")


def _is_address(written: str) -> bool:
    try:
        email_address.normal(written)
    except email_address.NotAnAddress:
        return False
    return written.isprintable() and not any(letter in written for letter in ' <>,;:"()[]\\')
