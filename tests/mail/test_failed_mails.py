"""The alert on mails about orders that have failed for good, and mails whose customer was erased."""

from __future__ import annotations

from shop.alerts import failed_mails
from shop.alerts.episodes import CheckRun
from shop.alerts.store import Cause, raise_alert, resolve
from shop.core import clock
from shop.core.db import db, transaction
from shop.jobs import retention
from shop.mail import missing, outgoing
from shop.mail.models import Mail
from shop.mail.states import MailState
from shop.orders.models import ERASED
from shop.payments.refunds import requests
from shop.setting_kinds import Mailboxes
from tests.alerts.helpers import all_alerts, of
from tests.mail.conftest import Server, mails, stored
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN, Shop

NO_SUCH_USER = "550 5.1.1 no such user"


def test_a_mail_of_an_order_that_failed_for_good_is_an_alert_until_it_is_retried_and_sent(
    mailing: Shop, server: Server
) -> None:
    mailing.app.config["ALERT_MAIL_TO"] = Mailboxes("ops@example.com")
    server.rcpt = NO_SUCH_USER
    order = mailing.order((PEN, 1))
    for _ in range(3):
        mailing.turn(seconds=31)
    [mail] = stored()
    assert (mail.state, of(order)) == ("FAILED", [("OPS_MAIL_FAILED", "NEW")])
    [alert] = all_alerts()
    assert alert.observed == {"mail": mail.id, "kind": "order_placed", "attempts": 1, "error": "550 5.1.1"}
    server.rcpt = "451 4.7.1 greylisted"
    missing.retry(by=mailing.sam)
    mailing.turn(seconds=31)
    assert of(order) == [("OPS_MAIL_FAILED", "NEW")], "the customer has not got it yet"
    server.rcpt = "250 OK"
    mailing.turn(minutes=2)
    mailing.turn(seconds=31)
    assert of(order) == [("OPS_MAIL_FAILED", "RESOLVED")]


def test_an_alert_that_cannot_be_mailed_raises_no_alert(mailing: Shop, server: Server) -> None:
    mailing.app.config["ALERT_MAIL_TO"] = Mailboxes("ops@example.com")
    order = mailing.order((PEN, 1))
    mailing.sweep()
    server.rcpt = NO_SUCH_USER
    with transaction():
        raise_alert(Cause("RULE_C", order.number, "c", "webhook", {}, {}, order_id=order.id, order_no=order.number))
    for _ in range(2):
        mailing.turn(seconds=31)
    assert mails(mailing) == [("order_placed", "SENT"), ("alert", "FAILED")]
    assert of(order) == [("RULE_C", "NEW")]


FAILED = "OPS_MAIL_FAILED"


def test_an_order_with_several_failed_mails_has_one_alert_until_all_are_sent(mailing: Shop, server: Server) -> None:
    server.rcpt = NO_SUCH_USER
    order = mailing.order((PEN, 1))
    mailing.turn(minutes=1)
    mailing.acquirer.capture(mailing.payment(order).id)
    mailing.deliver_webhook(mailing.payment(order))
    for _ in range(3):
        mailing.turn(minutes=1)
    first, second = stored()
    assert (first.state, second.state, of(order)) == ("FAILED", "FAILED", [(FAILED, "NEW")])
    server.rcpt = "250 OK"
    missing.retry([first.id], by=mailing.sam)
    mailing.turn(minutes=1)
    mailing.turn(minutes=1)
    assert mails(mailing) == [("order_placed", "SENT"), ("payment_received", "FAILED")]
    assert of(order) == [(FAILED, "NEW")], "the customer has not got the other one yet"
    missing.retry([second.id], by=mailing.sam)
    mailing.turn(minutes=1)
    mailing.turn(minutes=1)
    assert of(order) == [(FAILED, "RESOLVED")]
    server.rcpt = NO_SUCH_USER
    requests.request_all(order.id, reason="", by=mailing.sam)
    for _ in range(3):
        mailing.turn(minutes=1)
    assert of(order) == [(FAILED, "RESOLVED"), (FAILED, "NEW")], "it is another failure"
    mailing.is_sound()


def test_an_alert_that_staff_have_resolved_covers_later_mails_until_the_earlier_ones_are_sent(
    mailing: Shop, server: Server
) -> None:
    server.rcpt = NO_SUCH_USER
    order = mailing.order((PEN, 1))
    for _ in range(2):
        mailing.turn(seconds=31)
    resolve(all_alerts()[0].id, mailing.sam, "told by telephone")
    mailing.acquirer.capture(mailing.payment(order).id)
    mailing.deliver_webhook(mailing.payment(order))
    for _ in range(3):
        mailing.turn(minutes=1)
    assert mails(mailing) == [("order_placed", "FAILED"), ("payment_received", "FAILED")]
    assert of(order) == [(FAILED, "RESOLVED")]
    server.rcpt = "250 OK"
    missing.retry([stored()[0].id], by=mailing.sam)
    for _ in range(2):
        mailing.turn(minutes=1)
    assert of(order) == [(FAILED, "RESOLVED"), (FAILED, "NEW")], "staff do not know of the second one"


def test_two_checks_at_once_raise_one_alert_about_an_order(mailing: Shop, server: Server, race: Race) -> None:
    server.rcpt = NO_SUCH_USER
    order = mailing.order((PEN, 1))
    mailing.sweep()
    race(lambda _: failed_mails.failed(CheckRun(clock.now())))
    assert of(order) == [(FAILED, "NEW")]


def test_an_alert_ends_with_its_mail(mailing: Shop, server: Server) -> None:
    server.rcpt = NO_SUCH_USER
    order = mailing.order((PEN, 1))
    for _ in range(2):
        mailing.turn(seconds=31)
    with transaction():
        db.session.execute(db.delete(Mail))
    mailing.turn(minutes=1)
    assert of(order) == [(FAILED, "RESOLVED")]


def test_a_mail_about_an_erased_customer_fails_at_once_without_an_alert_and_is_not_retried(
    mailing: Shop, server: Server
) -> None:
    order = mailing.paid_order((PEN, 1))
    mailing.sweep()
    mailing.wait(days=731)
    retention.sweep()
    db.session.expire_all()
    assert order.email == ERASED
    server.received.clear()
    requests.request_all(order.id, reason="", by=mailing.sam)
    for _ in range(3):
        mailing.turn(minutes=1)
    [mail] = [one for one in stored() if one.kind == "refund_sent"]
    assert (mail.state, mail.error, mail.attempts) == (MailState.FAILED, outgoing.BAD_ADDRESS, 0)
    assert missing.retry(by=mailing.sam) == (0, 0)
    assert not server.received
    assert "OPS_MAIL_FAILED" not in [rule for rule, _ in of(order)]
    mailing.is_sound()


def test_a_mail_that_waits_while_its_customer_is_erased_ends(mailing: Shop, server: Server) -> None:
    """Its own copy of the address is kept until the mail is deleted."""
    server.rcpt = "451 4.7.1 greylisted"
    order = mailing.paid_order((PEN, 1))
    mailing.sweep()
    mailing.app.config["GUEST_DATA_DAYS"] = 0
    mailing.wait(seconds=1)
    retention.sweep()
    server.rcpt = "250 OK"
    mailing.turn(days=1)
    assert order.number in " ".join(server.subjects)
    assert {state for _, state in mails(mailing)} == {"SENT"}
