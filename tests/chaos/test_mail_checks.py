"""Checks of mail in the chaos test: they accept what every fault of the mail server causes, and find every bug."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bench.chaos import mail_checks
from bench.chaos.mail_checks import UNREAD, UNRECORDED, Period
from bench.chaos.mail_server import MailServer, Receipt
from shop.core.db import db, transaction
from shop.mail import outgoing, transport
from shop.mail.models import Mail
from shop.mail.states import MailKind
from shop.setting_kinds import MailServer as Address
from tests.parts.waiting import until
from tests.shop_fixtures import PEN, Shop

SENT = {
    "id": "M1", "kind": "order_placed", "subject": "7K3M", "event": "1", "recipient": "ada-1@example.com",
    "message_id": "<M1@localhost>", "state": "SENT", "attempts": 1, "error": None,
}  # fmt: skip
RECEIVED = Receipt("<M1@localhost>", "ada-1@example.com", "digest", 100.0, is_read=True)
UNANSWERED = replace(RECEIVED, is_read=False, ended_at=100.5)
LOCKED = Period("SQLite locked", 95.0, 101.0)


def found(
    *receipts: Receipt, rows: tuple[dict[str, Any], ...] = (SENT,), periods: tuple[Period, ...] = ()
) -> list[str]:
    broken = mail_checks.violations(rows, receipts, periods, lambda address: address == "gone@example.com")
    return [row["mail"] for row in broken]


def test_a_mail_that_was_received_or_refused_for_ever_is_right() -> None:
    refused = SENT | {"state": "FAILED", "recipient": "gone@example.com", "error": "550 5.1.1", "message_id": "<M2@x>"}
    assert found(RECEIVED, rows=(SENT, refused)) == []


@pytest.mark.parametrize(
    ("receipts", "changes", "why"),
    [
        ((), {}, "lost: SENT and not received"),
        ((), {"state": "QUEUED"}, "not final: QUEUED"),
        ((), {"state": "FAILED", "error": "550 5.1.1"}, "FAILED without a permanent reason"),
        (
            (),
            {"state": "FAILED", "recipient": "gone@example.com", "error": "451"},
            "FAILED without a permanent reason",
        ),
        ((RECEIVED, replace(RECEIVED, message_id="<M2@localhost>")), {}, "received without a row"),
        ((replace(RECEIVED, recipient="eve@example.com"),), {}, "received for another recipient"),
        ((UNANSWERED, replace(RECEIVED, digest="other")), {}, "two mails have one Message-ID"),
        ((RECEIVED, RECEIVED), {}, "received again without a reason"),
        ((replace(UNANSWERED, ended_at=200.0), RECEIVED), {}, "received again without a reason"),
        ((replace(UNANSWERED, ended_at=None), RECEIVED), {}, "received again without a reason"),
    ],
)
def test_what_is_wrong_with_a_mail_is_found(receipts: tuple[Receipt, ...], changes: dict[str, Any], why: str) -> None:
    assert found(*receipts, rows=(SENT | changes,)) == [why]


def test_a_message_id_of_two_rows_is_found() -> None:
    assert found(RECEIVED, rows=(SENT, SENT | {"id": "M2"})) == ["a Message-ID has two rows"]


def test_a_mail_may_come_again_if_its_reply_was_lost_or_could_not_be_recorded() -> None:
    assert found(UNANSWERED, RECEIVED) == []
    assert found(RECEIVED, RECEIVED, periods=(LOCKED,)) == []
    counted = dict(mail_checks.figures([SENT], [UNANSWERED, RECEIVED, RECEIVED], [LOCKED]))
    assert (counted[UNREAD], counted[UNRECORDED], counted["mails lost"]) == (1, 1, 0)


# --- with the server ---


@pytest.fixture
def server() -> Iterator[MailServer]:
    found = MailServer(seed=1)
    yield found
    found.end()


def queue(number: int, to: str = "ops@example.com") -> None:
    data = {"alert": number, "rule": "RULE_A", "order": None}
    outgoing.queue(MailKind.ALERT, to=to, language="en", data=data, key=str(number))


def rows() -> list[dict[str, Any]]:
    db.session.rollback()
    columns = [getattr(Mail, name) for name in SENT]
    return [dict(row) for row in db.session.execute(db.select(*columns)).mappings()]


@pytest.mark.full
def test_every_fault_of_the_server_is_survived_and_a_mail_that_it_never_got_is_found(
    shop: Shop, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PAUSE", 0.0)
    shop.app.config["MAIL_URL"] = Address(f"smtp://127.0.0.1:{server.port}/?timeout=0.5")

    def fail(number: int, **faults: object) -> None:
        """Deliver one mail while the server has these faults; two, one with a receipt, when it breaks connections."""
        for name, value in faults.items():
            setattr(server, name, value)
        if server.breaks:
            shop.paid_order((PEN, 1), email="ops@example.com")
        else:
            queue(number)
        shop.sweep()
        for name in faults:
            setattr(server, name, 0.0 if name == "lag" else False)

    fail(1, refuses_recipients=True)
    fail(2, refuses_messages=True)
    fail(3, breaks=True)
    fail(4, lag=0.1)
    go_on = server.freeze()
    fail(5)
    go_on()
    server.close().result()
    fail(6)
    refused = next(name for name in (f"ada-{n}@example.com" for n in range(999)) if server.refuses_for_ever(name))
    queue(7, refused)
    server.heal()
    for _ in range(4):
        shop.turn(seconds=31)
    until(lambda: all(one.is_read or one.ended_at for one in server.receipts[:-1]), what="the connections to end")
    assert mail_checks.violations(rows(), server.receipts, [], server.refuses_for_ever) == []
    counted = dict(mail_checks.figures(rows(), server.receipts, []))
    assert (counted["mails SENT"], counted["mails FAILED"], counted["mails received"]) == (7, 1, 7)
    assert counted[UNREAD] >= 2 and counted["mails with several attempts"] == 6
    assert server.replies.keys() == {
        "refused with 451", "refused with 550", "accepted, connection broken", "accepted slowly",
    }  # fmt: skip
    queue(8)
    with transaction():
        db.session.execute(db.text("UPDATE mails SET state = 'SENT', next_attempt_at = NULL WHERE state = 'QUEUED'"))
    [lost] = mail_checks.violations(rows(), server.receipts, [], server.refuses_for_ever)
    assert lost["mail"] == "lost: SENT and not received"
