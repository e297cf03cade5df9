"""Messages to the chat webhook (ALERT_WEBHOOK_URL): queue in the current transaction, deliver, and test.

A due message is claimed for LEASE and sent outside of any transaction: delivery is at least
once. The address of the webhook is a secret: no log line, error or page contains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import httpx
from flask import current_app
from sqlalchemy import select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.alerts.models import ChatMessage
from shop.alerts.states import MessageKind
from shop.core import audit, audit_search, clock, http_client, leases, logs
from shop.core.actor import Actor
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.http_client import Bounds
from shop.core.leases import Lease
from shop.mail.deliver import WAITS
from shop.mail.states import MailState
from shop.payments.calls.request import shop_url

log = logs.get()
LEASE = timedelta(seconds=60)
"""Longer than one delivery takes (BOUNDS)."""
BOUNDS = Bounds(seconds=10.0, size=64 * 1024)
AT_ONCE = 20
"""Messages of one pass; chats take about one a second."""
LONGEST_WAIT = timedelta(hours=1)
"""The longest pause that a chat may ask for."""
_TRY_AGAIN = frozenset({408, 425, 429})
TESTS_AN_HOUR = 5
"""Test messages of one person."""
NOT_SET = "ALERT_WEBHOOK_URL is not set"


@dataclass(frozen=True)
class Failure:
    """A failed delivery. `wait` is the pause that the chat asked for."""

    error: str
    is_permanent: bool = False
    wait: timedelta = timedelta(0)


def queue(alert_id: int, kind: MessageKind, text: str) -> None:
    """Queue a message in the current transaction, once for each alert and kind; none without a webhook."""
    if not current_app.config["ALERT_WEBHOOK_URL"]:
        return
    at = clock.now()
    values = {"alert_id": alert_id, "kind": kind, "text": text, "state": MailState.QUEUED}
    new = insert(ChatMessage).values(**values, attempts=0, created_at=at, next_attempt_at=at)
    db.session.execute(new.on_conflict_do_nothing(index_elements=["alert_id", "kind"]))


def due(limit: int = AT_ONCE) -> list[int]:
    """Messages to attempt now."""
    query = select(ChatMessage.id).where(ChatMessage.next_attempt_at <= clock.now())
    found = list(db.session.scalars(query.order_by(ChatMessage.next_attempt_at).limit(limit)))
    db.session.rollback()
    return found


def do(message_id: int) -> None:
    """Attempt one due message. Safe to repeat, and by several processes at once."""
    claimed = _claim(message_id)
    if claimed is None:
        return
    lease, text, attempts = claimed
    failure = _post(text)
    if failure is None:
        _end(lease, message_id, MailState.SENT)
    elif failure.is_permanent or attempts > len(WAITS):
        _end(lease, message_id, MailState.FAILED, failure.error)
    else:
        _postpone(lease, message_id, attempts, failure)


def failed(limit: int = 20) -> list[ChatMessage]:
    """The newest messages that could not be delivered."""
    query = select(ChatMessage).where(ChatMessage.state == MailState.FAILED)
    return list(db.session.scalars(query.order_by(ChatMessage.id.desc()).limit(limit)))


@transactional
def send_again(message_id: int, by: Actor) -> None:
    """Queue a message that could not be delivered once more. Raises Forbidden, and Refusal: `not_failed`, `not_set`."""
    rights.demand(by, Permission.ALERT_ACKNOWLEDGE)
    if not current_app.config["ALERT_WEBHOOK_URL"]:
        raise Refusal("not_set", f"{NOT_SET}.")
    failed = (ChatMessage.id == message_id, ChatMessage.state == MailState.FAILED)
    queued = {"state": MailState.QUEUED, "next_attempt_at": clock.now(), "attempts": 0}
    if not changed(update(ChatMessage).where(*failed).values(**queued)):
        raise Refusal("not_failed", "Only a message that was not delivered can be sent again.")
    audit.record(by, Act.CHAT_SENT_AGAIN, Subject(SubjectKind.CHAT, str(message_id)))


def test(by: Actor) -> None:
    """Send a test message now. Raises Forbidden, and Refusal: `not_set`, `too_many_tests`, and `not_delivered` with the
    reason.
    """
    _record_test(by)
    failure = _post(f"Test message of the shop at {shop_url()}. Alerts arrive in this channel.")
    if failure is not None:
        raise Refusal("not_delivered", f"The test message was not delivered: {failure.error}.")


@transactional
def _record_test(by: Actor) -> None:
    rights.demand(by, Permission.CHAT_TEST)
    if not current_app.config["ALERT_WEBHOOK_URL"]:
        raise Refusal("not_set", f"{NOT_SET}.")
    alone_until_commit(db.session, "chat test")
    lately = audit_search.Filters(actor=by, acts=(Act.CHAT_TESTED,), since=clock.now() - timedelta(hours=1))
    if len(audit_search.find(lately, limit=TESTS_AN_HOUR).rows) >= TESTS_AN_HOUR:
        raise Refusal("too_many_tests", f"You have sent {TESTS_AN_HOUR} test messages within an hour. Try again later.")
    audit.record(by, Act.CHAT_TESTED, Subject(SubjectKind.CHAT, "ALERT_WEBHOOK_URL"))


def _post(text: str) -> Failure | None:
    """Send a text; returns the failure, if it is one. A redirect is not followed and counts as a failure."""
    address = current_app.config["ALERT_WEBHOOK_URL"]
    if not address:
        return Failure(NOT_SET, is_permanent=True)
    http_client.leave_database()
    try:
        answer = http_client.client().post(str(address), json={"text": text}, extensions={"bounds": BOUNDS})
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Failure(type(error).__name__)  # its text may contain the address
    if answer.is_success:
        return None
    again = answer.status_code in _TRY_AGAIN or answer.is_server_error
    return Failure(f"HTTP {answer.status_code}", is_permanent=not again, wait=_wait(answer))


def _wait(answer: httpx.Response) -> timedelta:
    """The pause that the chat asks for, in whole seconds."""
    written = answer.headers.get("retry-after", "")
    is_number = written.isascii() and written.isdigit() and len(written) < 7
    return min(timedelta(seconds=int(written)), LONGEST_WAIT) if is_number else timedelta(0)


@transactional
def _claim(message_id: int) -> tuple[Lease, str, int] | None:
    """Claim a due message for LEASE and count the attempt: the lease, its text and the number of attempts."""
    mine, until = ChatMessage.id == message_id, clock.now() + LEASE
    lease = leases.claim(ChatMessage.next_attempt_at, mine, until=until, attempts=ChatMessage.attempts + 1)
    if lease is None:
        return None
    text, attempts = db.session.execute(select(ChatMessage.text, ChatMessage.attempts).where(mine)).one()
    return lease, text, attempts


@transactional
def _postpone(lease: Lease, message_id: int, attempts: int, failure: Failure) -> None:
    if lease.postpone(clock.now() + max(WAITS[attempts - 1], failure.wait), error=failure.error):
        log.warning("chat.postponed", message=message_id, attempts=attempts, error=failure.error)


@transactional
def _end(lease: Lease, message_id: int, state: MailState, error: str | None = None) -> None:
    """Record the end of a message, unless another process has claimed it after the lease."""
    at = clock.now() if state == MailState.SENT else None
    if lease.end(state=state, sent_at=at, error=error):
        write_log = log.info if state == MailState.SENT else log.error
        write_log("chat." + state.lower(), message=message_id, error=error)
