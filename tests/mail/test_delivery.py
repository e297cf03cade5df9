"""Delivery over a real SMTP server: each mail arrives once, and a server that is away, slow or refuses loses none."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from shop.core import clock
from shop.core.db import db
from shop.mail import deliver, outgoing, transport
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.setting_kinds import MailServer
from tests.checkout.test_crashes import Killed
from tests.mail.conftest import Server, mails, stored
from tests.race_fixtures import Race
from tests.shop_fixtures import PEN, Shop

PLACED = "order_placed"


def queued(shop: Shop, to: str = "ada@example.com", key: str = "1") -> Mail:
    """A mail that no order caused."""
    data = {"user_id": 1, "user_agent": "", "at": clock.now().isoformat()}
    outgoing.queue(MailKind.NEW_DEVICE, to=to, language="en", data=data, key=key)
    return stored()[-1]


def again(mail: Mail) -> Mail:
    db.session.rollback()
    return db.session.get_one(Mail, mail.id, populate_existing=True)


def test_the_mails_of_an_order_arrive_once_as_text_and_html_over_one_connection(mailing: Shop, server: Server) -> None:
    order = mailing.paid_order((PEN, 2))
    mailing.sweep()
    mailing.turn(minutes=5)
    assert sorted(server.subjects) == [f"Payment received for order {order.number}", f"Your order {order.number}"]
    assert server.recipients == ["ada@example.com"] * 2
    assert server.connections == 1
    for mail in server.received:
        assert mail["Auto-Submitted"] == "auto-generated"
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert text is not None and html is not None
        for part in (text, html):
            assert order.token in part.get_content()
        assert "<" not in text.get_content()
    assert len(set(server.ids)) == 2
    mailing.is_sound()


def test_an_event_that_is_published_again_causes_no_second_mail(mailing: Shop, server: Server) -> None:
    mailing.order((PEN, 1))
    mailing.sweep()
    db.session.execute(db.text("UPDATE outbox SET due_at = created_at, published_at = NULL"))
    db.session.commit()
    mailing.sweep()
    assert mails(mailing) == [(PLACED, "SENT")]
    assert len(server.received) == 1


def test_a_worker_that_dies_between_sending_and_recording_sends_again_with_the_same_message_id(
    mailing: Shop, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = queued(mailing)

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(deliver, "_record", die)
        deliver.do(mail.id)
    assert server.ids == [mail.message_id]
    mailing.sweep()
    assert len(server.received) == 1, "the lease has not ended"
    mailing.turn(seconds=deliver.LEASE.total_seconds() + 1)
    mailing.turn(minutes=5)
    assert server.ids == [mail.message_id] * 2
    assert again(mail).state == MailState.SENT


def test_a_server_that_is_away_gets_the_mail_when_it_is_back(mailing: Shop, server: Server) -> None:
    there = mailing.app.config["MAIL_URL"]
    mailing.app.config["MAIL_URL"] = MailServer("smtp://127.0.0.1:9/?timeout=1")
    mail = queued(mailing)
    mailing.sweep()
    assert (again(mail).state, again(mail).attempts, again(mail).error) == ("QUEUED", 1, "ConnectionRefusedError")
    mailing.app.config["MAIL_URL"] = there
    mailing.turn(seconds=11)
    assert server.ids == [mail.message_id]
    assert again(mail).state == MailState.SENT


def test_while_the_server_is_away_other_mails_wait_without_an_attempt(
    mailing: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PAUSE", 60.0)
    mailing.app.config["MAIL_URL"] = MailServer("smtp://127.0.0.1:9/?timeout=1")
    for number in range(5):
        queued(mailing, key=str(number))
    mailing.sweep()
    assert sorted(one.attempts for one in stored()) == [0, 0, 0, 0, 1]
    assert {one.state for one in stored()} == {"QUEUED"}


def test_a_connection_that_the_server_has_closed_is_opened_again(mailing: Shop, server: Server) -> None:
    queued(mailing, key="1")
    mailing.sweep()
    kept = transport.connection()
    assert kept is not None and kept.smtp is not None and kept.smtp.sock is not None
    kept.smtp.sock.shutdown(2)
    queued(mailing, key="2")
    mailing.sweep()
    assert len(server.received) == 2
    assert server.connections == 2


def test_a_server_that_does_not_reply_in_time_is_tried_again_with_the_same_message_id(
    mailing: Shop, server: Server
) -> None:
    server.lag = 1.5
    mail = queued(mailing)
    mailing.sweep()
    assert (again(mail).state, again(mail).error) == ("QUEUED", "SMTPServerDisconnected")
    server.lag = 0
    mailing.turn(seconds=11)
    assert again(mail).state == MailState.SENT
    assert set(server.ids) == {mail.message_id}, "the first one may have arrived too"


@pytest.mark.parametrize("stage", ["rcpt", "data"])
def test_a_mail_that_is_refused_for_now_is_tried_until_a_day_has_passed(
    mailing: Shop, server: Server, stage: str
) -> None:
    setattr(server, stage, "451 4.7.1 <ada@example.com>: greylisted")
    mail = queued(mailing)
    for _ in range(len(deliver.WAITS) + 1):
        mailing.sweep()
        mailing.wait(hours=9)
    found = again(mail)
    assert (found.state, found.attempts, found.error) == ("FAILED", len(deliver.WAITS) + 1, "451 4.7.1")
    assert not server.received


@pytest.mark.parametrize("stage", ["rcpt", "data"])
def test_a_mail_that_is_refused_for_good_fails_at_once_until_it_is_retried(
    mailing: Shop, server: Server, stage: str
) -> None:
    setattr(server, stage, "550 5.1.1 <ada@example.com>: no such user")
    mail = queued(mailing)
    mailing.sweep()
    found = again(mail)
    assert (found.state, found.attempts, found.error) == ("FAILED", 1, "550 5.1.1")
    mailing.turn(days=1)
    assert again(mail).attempts == 1
    setattr(server, stage, "250 OK")
    done = mailing.app.test_cli_runner().invoke(args=["mail", "retry", mail.id])
    assert done.exit_code == 0, done.output
    mailing.sweep()
    assert server.ids == [mail.message_id]
    assert again(mail).state == MailState.SENT


def test_one_refused_recipient_does_not_stop_the_other_mails(mailing: Shop, server: Server) -> None:
    first = queued(mailing, key="1")
    server.rcpt = "550 5.1.1 no such user"
    deliver.do(first.id)
    server.rcpt = "250 OK"
    second = queued(mailing, key="2")
    deliver.do(second.id)
    assert (again(first).state, again(second).state) == ("FAILED", "SENT")
    assert server.connections == 1


def test_a_wrong_password_is_no_fault_of_the_mail(mailing: Shop, server: Server) -> None:
    mailing.app.config["MAIL_URL"] = MailServer(f"smtp://me:secret@127.0.0.1:{server.port}/?timeout=1")
    mail = queued(mailing)
    mailing.sweep()
    assert again(mail).state == MailState.QUEUED
    assert "secret" not in (again(mail).error or "")


def test_eight_workers_send_a_mail_once(mailing: Shop, server: Server, race: Race) -> None:
    mail = queued(mailing)
    race(lambda _: deliver.do(mail.id))
    assert server.ids == [mail.message_id]


def test_eight_transactions_queue_a_mail_once(mailing: Shop, race: Race) -> None:
    data = {"user_id": 1, "user_agent": "", "at": clock.now().isoformat()}
    found = race(lambda _: outgoing.queue(MailKind.NEW_DEVICE, to="a@example.com", language="en", data=data, key="one"))
    assert sorted(found) == [False] * 7 + [True]
    assert len(stored()) == 1


def test_an_address_with_a_line_break_is_never_sent_to(mailing: Shop, server: Server) -> None:
    for number, address in enumerate(("ada@example.com\r\nBcc: eve@example.com", "a@b.example, eve@example.com", "")):
        mail = queued(mailing, to=address, key=str(number))
        assert (mail.state, mail.error) == ("FAILED", outgoing.BAD_ADDRESS)
    outgoing.make_due_again(())
    mailing.sweep()
    assert not server.received


def test_values_with_line_breaks_add_no_header(mailing: Shop, server: Server) -> None:
    data = {"alert": 1, "title": "P1 alert\r\nBcc: eve@example.com", "rule": "RULE_A", "facts": [], "address": "x"}
    outgoing.queue(MailKind.ALERT, to="ops@example.com", language="en", data=data, key="x")
    mailing.sweep()
    [mail] = server.received
    assert mail["Bcc"] is None
    assert mail["Subject"] == "P1 alert"
    assert server.recipients == ["ops@example.com"]


def test_names_of_products_and_customers_with_line_breaks_add_no_header(mailing: Shop, server: Server) -> None:
    order = mailing.order((PEN, 1))
    for column in ("orders", "order_lines"):
        db.session.execute(
            db.text(f"UPDATE {column} SET name = :name"), {"name": "Pen\r\nBcc: eve@example.com\r\n\r\nx"}
        )
    db.session.commit()
    mailing.sweep()
    [mail] = server.received
    assert mail["Subject"] == f"Your order {order.number}"
    assert mail.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        "Content-Language",
    ]  # fmt: skip
    assert server.recipients == ["ada@example.com"]


@pytest.mark.parametrize("reply", ["451 4.7.1 <ada@example.com>: {token}", "550 <ada@example.com> {token}"])
def test_the_text_of_a_refusal_is_neither_stored_nor_logged(
    mailing: Shop, server: Server, capfd: pytest.CaptureFixture[str], reply: str
) -> None:
    """It may repeat the address and the mail."""
    order = mailing.order((PEN, 1))
    server.data = reply.format(token=order.token)
    mailing.sweep()
    [mail] = stored()
    logged = capfd.readouterr().err
    assert mail.attempts == 1 and mail.id in logged
    for secret in ("ada@", order.token):
        assert secret not in logged and secret not in (mail.error or "")


@pytest.mark.parametrize("address", ["ada@bücher.example", "müller@example.com"])
def test_addresses_beyond_ascii_are_reached(mailing: Shop, server: Server, address: str) -> None:
    queued(mailing, to=address)
    mailing.sweep()
    assert server.recipients == [address.replace("bücher", "xn--bcher-kva")]


def test_without_a_server_development_keeps_mails_and_production_marks_them_as_failed(shop: Shop) -> None:
    kept = queued(shop, key="1")
    shop.sweep()
    shop.app.config["SETTLED_ENV"] = "production"
    failed = queued(shop, key="2")
    deliver.do(failed.id)
    assert [again(one).state for one in (kept, failed)] == ["SENT", "FAILED"]
    assert again(failed).error == deliver.NO_SERVER
