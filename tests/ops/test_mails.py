"""Mails in the console: states, filters, texts of mails about orders, and mails that are resent."""

from __future__ import annotations

from sqlalchemy import select, update
from werkzeug.test import TestResponse

from shop.core import audit_search, clock
from shop.core.audit import Act
from shop.core.audit_search import Filters
from shop.core.db import db, transaction
from shop.mail import deliver, outgoing
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop
from tests.web.conftest import Visitor


def failed(shop: Shop) -> Mail:
    """A mail about an order that the server has refused."""
    shop.order()
    shop.sweep()
    with transaction():
        db.session.execute(update(Mail).values(state=MailState.FAILED, error="550", next_attempt_at=None))
    return outgoing.newest(1)[0]


def sent(shop: Shop) -> Mail:
    """A mail about an order that was sent."""
    shop.order()
    shop.sweep()
    with transaction():
        db.session.execute(update(Mail).values(state=MailState.SENT, next_attempt_at=None, sent_at=clock.now()))
    return outgoing.newest(1)[0]


def press(support: Visitor, mail: Mail, reason: str = "she has not got it") -> TestResponse:
    """The answer to "Resend", on a page that showed `mail` as it is now."""
    support.get(f"/ops/mails/{mail.id}")
    return support.post(f"/ops/mails/{mail.id}/resend", {"reason": reason, "seen": mail.message_id})


def test_a_failed_mail_is_found_read_and_sent_again(shop: Shop) -> None:
    mail, support = failed(shop), visitor_as(shop, "support")
    page = support.get("/ops/mails?state=FAILED").text
    assert mail.id in page and "550" in page
    page = support.get(f"/ops/mails/{mail.id}").text
    assert mail.message_id.strip("<>") in page and "<h2>Text</h2>" in page
    assert press(support, mail, "their server is back").status_code == 303
    assert "The mail will be sent again." in support.get(f"/ops/mails/{mail.id}").text


def test_mails_are_found_by_order_and_name_recipient_and_order(shop: Shop) -> None:
    mail, other = sent(shop), shop.order()
    support = visitor_as(shop, "support")
    page = support.get(f"/ops/mails?order={mail.subject.lower().replace('-', '')}").text
    assert mail.id in page and mail.recipient in page and f'href="/ops/orders/{mail.subject}"' in page
    assert "No mail matches these filters." in support.get(f"/ops/mails?state=FAILED&order={other.number}").text


def test_a_sent_mail_is_resent_once_per_press_with_a_new_message_id(shop: Shop) -> None:
    mail, support = sent(shop), visitor_as(shop, "support")
    before = mail.message_id
    support.get(f"/ops/mails/{mail.id}")
    shown = {"reason": "she has not got it", "seen": before}
    assert support.post(f"/ops/mails/{mail.id}/resend", shown).status_code == 303
    assert support.post(f"/ops/mails/{mail.id}/resend", shown).status_code == 409, "it is queued"
    deliver.do(mail.id)
    assert support.post(f"/ops/mails/{mail.id}/resend", shown).status_code == 409, "it was sent with another id"
    db.session.rollback()
    now = db.session.get_one(Mail, mail.id, populate_existing=True)
    assert now.state is MailState.SENT and now.message_id not in ("", before)
    entries = audit_search.find(Filters(acts=[Act.MAIL_RESENT])).rows
    assert [(one.subject_id, one.reason) for one in entries] == [(mail.id, "she has not got it")]


def test_a_mail_is_resent_three_times_a_day_at_most(shop: Shop) -> None:
    mail, support = sent(shop), visitor_as(shop, "support")
    for status in (303, 303, 303, 429):
        db.session.rollback()
        assert press(support, db.session.get_one(Mail, mail.id, populate_existing=True)).status_code == status
        deliver.do(mail.id)


def test_a_resend_needs_a_reason_and_a_mail_about_an_order(shop: Shop) -> None:
    mail, support = sent(shop), visitor_as(shop, "support")
    assert press(support, mail, " ").status_code == 422
    outgoing.queue(MailKind.UNLOCK, to="ada@example.com", language="en", data={"link": "L1"}, key="1")
    with transaction():
        db.session.execute(update(Mail).values(state=MailState.SENT, next_attempt_at=None))
    answer = press(support, outgoing.newest(1)[0])
    assert answer.status_code == 409 and "its link may be used already" in answer.text
    db.session.rollback()
    assert not db.session.scalar(select(Mail.id).where(Mail.state == MailState.QUEUED))


def test_the_text_of_a_mail_about_an_account_is_not_shown(shop: Shop) -> None:
    outgoing.queue(MailKind.UNLOCK, to="ada@example.com", language="en", data={"link": "L1"}, key="1")
    support = visitor_as(shop, "support")
    page = support.get(f"/ops/mails/{outgoing.newest(1)[0].id}").text
    assert "is not shown, because its links open the account" in page and "<h2>Text</h2>" not in page


def test_unknown_filters_and_mails_are_refused(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    for query, sentence in (
        ("kind=x", "Filters are state, order."),
        ("state=LOST", "States are QUEUED, SENT, FAILED."),
    ):
        answer = support.get(f"/ops/mails?{query}")
        assert answer.status_code == 422 and sentence in answer.text
    assert support.get("/ops/mails/NO-SUCH").status_code == 404
