"""Mails in the console: states, texts of mails about orders, another attempt for failed ones."""

from __future__ import annotations

from shop.core.db import db, transaction
from shop.mail import outgoing
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop


def failed(shop: Shop) -> Mail:
    """A mail about an order that the server has refused."""
    shop.order()
    shop.sweep()
    with transaction():
        db.session.execute(db.update(Mail).values(state=MailState.FAILED, error="550", next_attempt_at=None))
    return outgoing.newest(1)[0]


def test_a_failed_mail_is_found_read_and_sent_again(shop: Shop) -> None:
    mail, support = failed(shop), visitor_as(shop, "support")
    page = support.get("/ops/mails?state=FAILED").text
    assert mail.id in page and "550" in page
    page = support.get(f"/ops/mails/{mail.id}").text
    assert mail.message_id.strip("<>") in page and "<h2>Text</h2>" in page
    assert support.post(f"/ops/mails/{mail.id}/retry", {"reason": "their server is back"}).status_code == 303
    assert "The mail will be sent again." in support.get(f"/ops/mails/{mail.id}").text
    again = support.post(f"/ops/mails/{mail.id}/retry", {"reason": "once more"})
    assert again.status_code == 409 and "Only a failed mail" in again.text


def test_the_text_of_a_mail_about_an_account_is_not_shown(shop: Shop) -> None:
    outgoing.queue(MailKind.UNLOCK, to="ada@example.com", language="en", data={"link": "L1"}, key="1")
    support = visitor_as(shop, "support")
    page = support.get(f"/ops/mails/{outgoing.newest(1)[0].id}").text
    assert "is not shown, because its links open the account" in page and "<h2>Text</h2>" not in page


def test_unknown_filters_and_mails_are_refused(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    for query, sentence in (("kind=x", "The only one is state."), ("state=LOST", "States are QUEUED, SENT, FAILED.")):
        answer = support.get(f"/ops/mails?{query}")
        assert answer.status_code == 422 and sentence in answer.text
    assert support.get("/ops/mails/NO-SUCH").status_code == 404
