"""People are notified about P1 alerts and about what waits over a limit, by mail and by the chat webhook, once each."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from structlog.testing import capture_logs

from shop.accounts import role_requests, signin
from shop.accounts.models import RoleRequest
from shop.accounts.permissions import Role
from shop.accounts.rights import Forbidden
from shop.alerts import (
    chat,
    clock_stopped,
    notification_limit,
    notification_texts,
    notifications,
    requests,
    store,
    waiting,
)
from shop.alerts.episodes import CheckRun
from shop.alerts.models import ChatMessage, NotificationWindow
from shop.alerts.notification_texts import AlertFacts
from shop.alerts.states import MessageKind
from shop.core import clock, heartbeat
from shop.core.actor import Actor
from shop.core.db import db, transaction
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.core.outbox import OutboxRow
from shop.credit_gifts import gifts
from shop.jobs import clock_watch, effects, work
from shop.jobs.schedule import BY_KIND
from shop.mail.models import Mail
from shop.mail.states import MailKind, MailState
from shop.payments.disputes import disputes
from shop.payments.providers.interface import DisputeFact
from shop.payments.providers.types import DisputeKind, DisputeState
from shop.payments.records.models import Capture
from shop.payments.records.types import Source
from shop.payments.refunds import requests as refund_requests
from shop.setting_kinds import ChatWebhook, Mailboxes
from tests.alerts.helpers import all_alerts, operational
from tests.shop_fixtures import Shop

PATH = "/services/T000/B000/a-secret-path"


class Chat:
    """A chat with an incoming webhook: it keeps the texts, and answers with `status` and `headers`."""

    def __init__(self, port: int) -> None:
        self.url, self.port = f"http://127.0.0.1:{port}{PATH}", port
        self.texts: list[str] = []
        self.requests = 0
        self.status, self.headers, self.body = 200, dict[str, str](), b"ok"


@pytest.fixture
def chatting(shop: Shop) -> Iterator[Chat]:
    """A chat that the shop has as its webhook."""
    found: Chat

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.requests += 1
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status == 200 and self.path == PATH:
                found.texts.append(body["text"])
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    found = Chat(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    shop.app.config["ALERT_WEBHOOK_URL"] = ChatWebhook(found.url)
    shop.app.config["ALERT_MAIL_TO"] = Mailboxes("ops@example.com")
    yield found
    server.shutdown()
    server.server_close()


def raise_alert(rule: str = "RULE_C", subject: str = "7K3M-9QXT-2F", **observed: Any) -> int:
    with transaction():
        order = subject if rule.startswith("RULE_") else None
        found = store.raise_alert(store.Cause(rule, subject, "c", "webhook", observed, {}, order_no=order))
    assert found is not None
    return found


def messages() -> list[ChatMessage]:
    db.session.rollback()
    return list(db.session.scalars(db.select(ChatMessage).order_by(ChatMessage.id)))


def mails() -> list[Mail]:
    db.session.rollback()
    return list(db.session.scalars(db.select(Mail).where(Mail.kind == MailKind.ALERT).order_by(Mail.id)))


def test_a_p1_alert_is_notified_by_mail_and_chat_once(shop: Shop, chatting: Chat) -> None:
    number = raise_alert(amount=120000, currency="TWD")
    shop.sweep()
    event = db.session.scalars(db.select(OutboxRow).where(OutboxRow.kind == "alert.raised")).one()
    with transaction():
        effects.follow(event.kind, event.payload)  # published again after a crash
    shop.sweep()
    [text] = chatting.texts
    title, facts, address = text.splitlines()
    assert title == "P1 alert: Payment captured after the order or the payment had ended"
    assert facts.startswith("Order 7K3M-9QXT-2F, NT$1,200, since ") and "(0 min)" in facts
    assert address == f"{shop.app.config['SHOP_URL']}/ops/alerts/{number}"
    assert [(one.recipient, one.state) for one in mails()] == [("ops@example.com", MailState.SENT)]
    assert [(one.channel, one.kind, one.to, one.state) for one in notifications.about(number)] == [
        ("Chat", "raised", "", MailState.SENT),
        ("Mail", "raised", "ops@example.com", MailState.SENT),
    ]


def test_many_alerts_of_a_rule_are_notified_up_to_a_limit_and_then_together_once(shop: Shop, chatting: Chat) -> None:
    for number in range(notification_limit.MOST + 25):
        raise_alert(subject=f"order {number}")
    raise_alert("RULE_D")
    event = db.session.scalars(db.select(OutboxRow).where(OutboxRow.kind == "alert.raised").limit(1)).one()
    for _ in range(3):
        _publish()
    with transaction():
        effects.follow(event.kind, event.payload)  # published again after a crash
    assert len(messages()) == len(mails()) == notification_limit.MOST + 1, "each rule has a limit of its own"
    shop.wait(minutes=61)
    for _ in range(2):
        notifications.summarise_due("RULE_C")
        _publish()
    assert len(messages()) == len(mails()) == notification_limit.MOST + 2
    title, facts, address = messages()[-1].text.splitlines()
    assert title == "25 more P1 alerts: Payment captured after the order or the payment had ended"
    assert facts.startswith("since ") and address.endswith("/ops/alerts?rule=RULE_C")
    newest = mails()[-1]
    assert (newest.data["title"], newest.data["address"]) == (title, address)
    raise_alert(subject="in the next hour")
    _publish()
    assert "in the next hour" in messages()[-1].text, "the next hour has a limit of its own"


def test_a_summary_that_the_clock_has_not_sent_goes_out_before_the_next_hour_begins(shop: Shop, chatting: Chat) -> None:
    for number in range(notification_limit.MOST + 2):
        raise_alert(subject=f"order {number}")
    _publish()
    shop.wait(hours=2)
    raise_alert(subject="in another hour")
    BY_KIND["outbox"].do(0)
    assert [one.kind for one in messages()[-2:]] == ["more", "raised"]
    assert notifications.due() == []


def test_two_processes_share_the_limit(shop: Shop, chatting: Chat) -> None:
    alerts = [raise_alert(subject=f"order {number}") for number in range(2 * notification_limit.MOST)]

    def notify(alert_id: int) -> None:
        with shop.app.app_context(), transaction():
            notifications.after_raised({"severity": "P1", "alert_id": alert_id})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(notify, [*alerts, *alerts]))
    assert len(messages()) == notification_limit.MOST
    assert db.session.get_one(NotificationWindow, "RULE_C").counted == len(alerts)


def test_other_alerts_are_not_notified_at_once(shop: Shop, chatting: Chat) -> None:
    raise_alert("OPS_MALFORMED", "kpay")
    shop.sweep()
    assert (chatting.texts, mails()) == ([], [])


def test_without_a_named_address_the_mail_goes_to_finance_and_admins(shop: Shop, chatting: Chat) -> None:
    shop.app.config["ALERT_MAIL_TO"] = Mailboxes("")
    for role in Role:
        signin.create(f"{role}@example.com", "A", "correct horse battery", [role], by=Actor.operator())
    raise_alert()
    shop.sweep()
    assert sorted(one.recipient for one in mails()) == ["admin@example.com", "finance@example.com"]


def test_the_chat_gets_no_formatting_characters_and_no_line_of_a_subject() -> None:
    at = clock.wall()
    about = "<!channel>\n<https://evil.example|a&b>"
    found = AlertFacts(1, MessageKind.WAITS, "P2", "OPS_DEAD_LETTER", about, False, None, at - timedelta(hours=49), at)
    text = notification_texts.for_chat(found.title, found.facts, "https://shop.example/ops/alerts/1?a&b")
    assert not set("<>") & set(text) and len(text.splitlines()) == 3
    assert "&lt;!channel&gt; &lt;https://evil.example|a&amp;b&gt;" in text and "(2 d 1 h)" in text


def test_a_chat_that_does_not_answer_is_tried_again_later(shop: Shop, chatting: Chat) -> None:
    chatting.status = 503
    raise_alert()
    shop.sweep()
    [message] = messages()
    assert (message.state, message.attempts, message.error) == (MailState.QUEUED, 1, "HTTP 503")
    chatting.status = 200
    shop.turn(seconds=5)
    assert chatting.texts == [], "the pause lasts ten seconds"
    shop.turn(seconds=6)
    assert len(chatting.texts) == 1 and messages()[0].state == MailState.SENT


def test_a_chat_states_how_long_to_wait(shop: Shop, chatting: Chat) -> None:
    chatting.status, chatting.headers = 429, {"Retry-After": "120"}
    raise_alert()
    shop.sweep()
    due = messages()[0].next_attempt_at
    assert due and timedelta(seconds=110) < due - clock.now() <= timedelta(seconds=120)
    chatting.headers = {"Retry-After": "999999"}
    shop.turn(seconds=121)
    due = messages()[0].next_attempt_at
    assert due and due - clock.now() <= chat.LONGEST_WAIT


@pytest.mark.parametrize("status", [404, 410, 307])
def test_a_refused_message_fails_for_good_and_no_log_has_the_address(shop: Shop, chatting: Chat, status: int) -> None:
    chatting.status, chatting.headers = status, {"Location": "/elsewhere"}
    number = raise_alert()
    with capture_logs() as logs:
        shop.sweep()
    shop.turn(days=2)
    assert (chatting.requests, messages()[0].state, messages()[0].error) == (1, MailState.FAILED, f"HTTP {status}")
    assert "chat.failed" in [one["event"] for one in logs] and "a-secret-path" not in str(logs)
    assert notifications.about(number)[0].error == f"HTTP {status}"
    assert [one.alert_id for one in chat.failed()] == [number]


def test_a_failure_after_the_lease_does_not_end_the_attempt_of_another_process(
    shop: Shop, chatting: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction():
        chat.queue(raise_alert(), MessageKind.RAISED, "text")
    [message] = messages()

    def slow(_: str) -> chat.Failure:
        clock.advance(chat.LEASE)
        assert chat._claim(message.id), "another process has claimed it meanwhile"
        return chat.Failure("HTTP 404", is_permanent=True)

    monkeypatch.setattr(chat, "_post", slow)
    chat.do(message.id)
    assert (messages()[0].state, messages()[0].attempts) == (MailState.QUEUED, 2)


def test_a_person_sends_five_test_messages_an_hour(shop: Shop, chatting: Chat) -> None:
    ann, bea = shop.colleague("ann", Role.ADMIN), shop.colleague("bea", Role.ADMIN)
    with pytest.raises(Forbidden):
        chat.test(shop.sam)
    for _ in range(chat.TESTS_AN_HOUR):
        chat.test(ann)
    with pytest.raises(Refusal, match="5 test messages within an hour"):
        chat.test(ann)
    chat.test(bea)
    shop.turn(hours=1)
    chat.test(ann)
    assert len(chatting.texts) == chat.TESTS_AN_HOUR + 2


def test_an_answer_without_end_is_not_read(shop: Shop, chatting: Chat) -> None:
    chatting.body = b"x" * (chat.BOUNDS.size + 1)
    raise_alert()
    shop.sweep()
    assert messages()[0].error == "TooLarge"


def test_without_a_webhook_no_message_is_kept(shop: Shop, chatting: Chat) -> None:
    shop.app.config["ALERT_WEBHOOK_URL"] = ChatWebhook("")
    raise_alert()
    shop.sweep()
    assert messages() == [] and len(mails()) == 1


# --- waiting over a limit --------------------------------------------------------------------------------------------


def _request_of_each_kind(shop: Shop) -> str:
    order = shop.paid_order()
    refund_requests.request(shop.capture(order), Money(20000, "TWD"), reason="", by=shop.sam, to="bank")
    customer = shop.customer()
    with transaction():
        db.session.execute(db.text("UPDATE users SET email_verified_at = created_at WHERE id = :id"), {"id": customer})
    gifts.request(customer, Money(500, "TWD"), by=shop.sam)
    with transaction():
        values = {"user_id": customer, "roles": ["finance"], "reason": "", "requested_by": shop.sam}
        db.session.add(RoleRequest(**values, requested_at=clock.now()))
    return order.number


def test_requests_of_each_kind_are_notified_after_their_limit_and_resolved_when_decided(
    shop: Shop, chatting: Chat
) -> None:
    number = _request_of_each_kind(shop)
    assert [one.kind for one in requests.load(10)] == ["refund", "store credit", "roles"]
    shop.turn(hours=3)
    assert chatting.texts == []
    for _ in range(2):
        shop.turn(hours=1)
    assert len(chatting.texts) == 3 and len(mails()) == 3, "once each"
    [about_refund] = [text for text in chatting.texts if number in text]
    assert "Waits for a person: Request waits for a second person" in about_refund
    assert "NT$200" in about_refund and "(4 h)" in about_refund
    assert "@example.com" not in "".join(chatting.texts)
    [refund] = refund_requests.waiting()
    refund_requests.approve(refund.id, shop.kim)
    [(request, _)] = role_requests.waiting()
    with transaction():
        db.session.delete(db.session.get_one(RoleRequest, request.id))
    [gift] = gifts.waiting()
    gifts.decline(gift.id, by=shop.kim)
    shop.turn(minutes=1)
    assert {one.state for one in all_alerts() if one.rule == "OPS_APPROVAL_WAITS"} == {"RESOLVED"}


def test_a_dispute_is_notified_before_its_answer_date(shop: Shop, chatting: Chat) -> None:
    order, until = shop.paid_order(), clock.now() + timedelta(days=10)
    capture = db.session.get_one(Capture, shop.capture(order)).capture_id
    kinds = (DisputeKind.CHARGEBACK, DisputeState.OPEN)
    fact = DisputeFact("dp_1", capture, *kinds, Money(120000, "TWD"), clock.now(), "fraud", until)
    disputes.apply("fakepay", fact, Source.WEBHOOK)
    shop.turn(days=6)
    assert chatting.texts == []
    shop.turn(days=1, minutes=2)
    [text] = chatting.texts
    assert "Dispute has to be answered soon" in text and order.number in text
    assert f"due {until:%Y-%m-%d %H:%M} UTC" in text and "(7 d)" in text


def _publish() -> None:
    """Publish events and send mails and messages, as the clock does."""
    waiting.over_limit(CheckRun(clock.now()))
    for kind in clock_watch.KINDS:
        work.batch(kind, BY_KIND[kind].due())


def test_new_alerts_are_notified_when_they_wait_over_their_limit(shop: Shop, chatting: Chat) -> None:
    for rule in ("OPS_DEAD_LETTER", "OPS_REFUND_REJECTED", "RULE_A", "RULE_F", "OPS_MALFORMED"):
        raise_alert(rule)
    shop.wait(minutes=59)
    _publish()
    assert chatting.texts == []
    for _ in range(2):
        shop.wait(minutes=2)
        _publish()
    assert len(chatting.texts) == 3 and all("Waits for a person" in text for text in chatting.texts)
    shop.wait(hours=23)
    _publish()
    assert len(chatting.texts) == 4 and "(1 d)" in chatting.texts[-1] and len(mails()) == 4


def test_an_acknowledged_alert_is_not_notified_again(shop: Shop, chatting: Chat) -> None:
    number = raise_alert("RULE_F", "kpay 2026-11-30")
    store.acknowledge(number, shop.sam)
    shop.wait(hours=30)
    _publish()
    assert messages() == []


# --- the clock -------------------------------------------------------------------------------------------------------


def test_a_worker_reports_that_the_clock_is_stopped_and_the_clock_resolves_it(shop: Shop, chatting: Chat) -> None:
    clock_watch.check()
    assert operational() == [], "a shop whose clock has never run"
    with transaction():
        heartbeat.write("clock", clock.wall() - timedelta(minutes=6))
    for _ in range(2):
        clock_watch.check()
    clock_watch.check()
    assert len(chatting.texts) == 1 and "Clock process is not running" in chatting.texts[0]
    assert [one.state for one in mails()] == [MailState.SENT]
    shop.sweep()
    assert operational() == [("OPS_CLOCK_STOPPED", "clock", "RESOLVED")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_defect_ends_the_watch_of_the_clock(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def defective() -> bool:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(clock_stopped, "is_stopped", defective)
    with capture_logs() as logs:
        clock_watch.check()
    assert [one["event"] for one in logs] == ["worker.clock_watch_failed"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_notifications_of_an_alert_are_found_by_index(shop: Shop) -> None:
    """On PostgreSQL, where a table of this size would be read in full, that is forbidden to the planner."""
    is_sqlite = db.engine.dialect.name == "sqlite"
    if not is_sqlite:
        db.session.execute(db.text("SET LOCAL enable_seqscan = off"))
    query = notifications.mails_about(7).compile(db.engine, compile_kwargs={"literal_binds": True})
    explain = f"{'EXPLAIN QUERY PLAN' if is_sqlite else 'EXPLAIN'} {query}"
    plan = " ".join(str(row) for row in db.session.connection().exec_driver_sql(explain))
    assert "ix_mails_alert" in plan
    by_range = r"ix_mails_alert \(event>\? AND event<\?\)" if is_sqlite else "Index Cond: .*event ~>=~ 'alert-7-'"
    assert re.search(by_range, plan), plan
