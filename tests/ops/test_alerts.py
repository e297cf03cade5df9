"""Alerts in the console: found, acknowledged and resolved by people, with what was observed and expected."""

from __future__ import annotations

import pytest

from shop.alerts import chat, store
from shop.alerts.models import Alert, ChatMessage
from shop.alerts.states import MessageKind
from shop.core import audit_search, clock
from shop.core.audit import Act
from shop.core.db import db, transaction
from shop.mail.states import MailState
from shop.setting_kinds import Mailboxes
from tests.ops.conftest import visitor_as
from tests.shop_fixtures import Shop


def alert(subject: str = "kpay", rule: str = "OPS_PROVIDER_UNAVAILABLE") -> int:
    """The id of a new alert."""
    with transaction():
        cause = store.Cause(rule, subject, "episode 1", "watch", {"failures": 7}, {"failures": 0})
        found = store.raise_alert(cause)
    assert found is not None
    return found


def row(alert_id: int) -> Alert:
    db.session.rollback()
    return db.session.get_one(Alert, alert_id)


def test_an_alert_is_acknowledged_and_resolved_with_a_note(shop: Shop) -> None:
    number, support = alert(), visitor_as(shop, "support")
    page = support.get("/ops/alerts").text
    assert "Payment provider unavailable for ten minutes" in page and f'href="/ops/alerts/{number}"' in page
    page = support.get(f"/ops/alerts/{number}").text
    assert '<dt>failures</dt><dd class="number">7</dd>' in page
    assert support.post(f"/ops/alerts/{number}/acknowledge").status_code == 303
    assert "support@example.com" in support.get(f"/ops/alerts/{number}").text
    without = support.post(f"/ops/alerts/{number}/resolve", {"reason": ""})
    assert (without.status_code, row(number).state) == (422, "ACKNOWLEDGED") and "Give a reason." in without.text
    assert support.post(f"/ops/alerts/{number}/resolve", {"reason": "kpay is back"}).status_code == 303
    assert "kpay is back" in support.get(f"/ops/alerts/{number}").text
    assert "No alert is open." in support.get("/ops/alerts").text


def test_the_second_of_two_people_reads_that_an_alert_is_resolved(shop: Shop) -> None:
    number, support = alert(), visitor_as(shop, "support")
    support.get(f"/ops/alerts/{number}")
    store.resolve(number, shop.sam, "was nothing")
    answer = support.post(f"/ops/alerts/{number}/acknowledge")
    assert answer.status_code == 409 and "already been resolved" in answer.text and "sam@example.com" in answer.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [("rules=x", "The only one is rule."), ("rule=NONE", "Rules are RULE_A")],
)
def test_unknown_filters_are_refused_with_the_known_ones(shop: Shop, query: str, sentence: str) -> None:
    answer = visitor_as(shop, "support").get(f"/ops/alerts?{query}")
    assert answer.status_code == 422 and sentence in answer.text


def test_a_list_of_one_rule_shows_that_rule_alone(shop: Shop) -> None:
    alert(), alert("TEST-1", "RULE_D")
    support = visitor_as(shop, "support")
    page = support.get("/ops/alerts?rule=RULE_D").text.partition("<table")[2]
    assert "Order paid twice" in page and "Payment provider" not in page
    assert "No alert of this rule is open." in support.get("/ops/alerts?rule=RULE_A").text


def test_an_alert_that_does_not_exist_is_not_found(shop: Shop) -> None:
    support = visitor_as(shop, "support")
    assert support.get("/ops/alerts/7").status_code == 404
    assert support.get(f"/ops/alerts/{2**70}").status_code == 404


def test_the_page_of_an_alert_shows_who_was_notified_and_failed_messages(shop: Shop) -> None:
    shop.app.config["ALERT_MAIL_TO"] = Mailboxes("ops@example.com")
    number, support = alert(), visitor_as(shop, "support")
    assert "There is no message about this alert." in support.get(f"/ops/alerts/{number}").text
    shop.sweep()
    with transaction():
        ended = {"state": MailState.FAILED, "error": "HTTP 404", "created_at": clock.now()}
        db.session.add(ChatMessage(alert_id=number, kind=MessageKind.RAISED, text="x", attempts=1, **ended))
    page = support.get(f"/ops/alerts/{number}").text.partition("<h2>Notifications</h2>")[2]
    assert "ops@example.com" in page and "HTTP 404" in page
    assert f'href="/ops/alerts/{number}">alert {number}</a>: HTTP 404.' in support.get("/ops/alerts").text


def _failed_message(shop: Shop) -> int:
    """The id of a message to the chat that could not be delivered."""
    alert_id = alert()
    shop.sweep()
    with transaction():
        ended = {"state": MailState.FAILED, "error": "HTTP 404", "created_at": clock.now()}
        message = ChatMessage(alert_id=alert_id, kind=MessageKind.RAISED, text="x", attempts=1, **ended)
        db.session.add(message)
        db.session.flush()
        return message.id


def _message(message_id: int) -> tuple[str, int, bool]:
    db.session.rollback()
    found = db.session.get_one(ChatMessage, message_id)
    return found.state, found.attempts, found.next_attempt_at is not None


def test_a_message_that_failed_is_sent_again_once_and_the_audit_log_has_it(shop: Shop) -> None:
    message, support = _failed_message(shop), visitor_as(shop, "support")
    shop.app.config["ALERT_WEBHOOK_URL"] = "https://chat.example/hook"
    path = f"/ops/alerts/messages/{message}/again"
    assert f'action="{path}"' in support.get("/ops/alerts").text
    assert support.post(path).status_code == 303
    assert _message(message) == ("QUEUED", 0, True) and chat.due() == [message]
    page = support.get("/ops/alerts").text
    assert "The message is sent again within seconds." in page and path not in page
    assert support.post(path).status_code == 409 and _message(message) == ("QUEUED", 0, True)
    entries = audit_search.find(audit_search.Filters(acts=(Act.CHAT_SENT_AGAIN,))).rows
    assert [(entry.subject_kind, entry.subject_id) for entry in entries] == [("chat", str(message))]


@pytest.mark.parametrize(("number", "code"), [("1", 409), ("99999999999999999999", 404)])
def test_a_message_that_does_not_exist_is_not_sent_again(shop: Shop, number: str, code: int) -> None:
    shop.app.config["ALERT_WEBHOOK_URL"] = "https://chat.example/hook"
    support = visitor_as(shop, "support")
    support.get("/ops/alerts")
    assert support.post(f"/ops/alerts/messages/{number}/again").status_code == code


def test_a_message_is_not_sent_again_without_a_chat_or_the_right_to_do_so(shop: Shop) -> None:
    message, support = _failed_message(shop), visitor_as(shop, "support")
    path = f"/ops/alerts/messages/{message}/again"
    support.get("/ops/alerts")
    assert support.post(path).status_code == 409
    merchandiser = visitor_as(shop, "merchandiser")
    merchandiser.get("/ops")
    assert merchandiser.post(path).status_code == 403
    assert _message(message) == ("FAILED", 1, False)
