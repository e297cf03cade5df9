"""Deliver due mails: claim, send, record.

A mail is claimed by a conditional UPDATE for LEASE, and sent outside of any transaction. If the process ends between
the reply of the server and the record, or no reply comes, the mail is sent again with the same Message-ID: delivery is
at least once.
"""

from __future__ import annotations

import time
from datetime import timedelta

from flask import current_app
from sqlalchemy import ColumnElement, select, update

from shop.core import clock, logs, metrics
from shop.core.db import changed, db, transactional
from shop.mail import compose, outgoing, transport
from shop.mail.models import Mail
from shop.mail.states import MailState

log = logs.get()
LEASE = timedelta(seconds=120)
"""Longer than any delivery takes (`transport.DELIVERY_SECONDS`)."""
_SECONDS = (10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 28800)
WAITS = tuple(timedelta(seconds=seconds) for seconds in _SECONDS)
"""Pause after each failed attempt; after the last one the mail is FAILED, a day after the first attempt."""
_MEASURED_EVERY = 30.0
NO_SERVER = "MAIL_URL is not set"


def due(limit: int = 100) -> list[str]:
    """Mails to attempt now."""
    _measure()
    query = select(Mail.id).where(Mail.next_attempt_at <= clock.now()).order_by(Mail.next_attempt_at).limit(limit)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def _measure() -> None:
    """Set the gauges of the queue, twice a minute."""
    at = time.monotonic()
    if at - current_app.extensions.get("settled_mail_measured", float("-inf")) < _MEASURED_EVERY:
        return
    current_app.extensions["settled_mail_measured"] = at
    metrics.MAIL_QUEUE_AGE.labels("oldest").set(outgoing.oldest_queued_age().total_seconds())
    for state, number in outgoing.by_state().items():
        metrics.MAILS_BY_STATE.labels(state).set(number)


def do(mail_id: str) -> None:
    """Attempt one due mail. Safe to repeat, and by several processes at once."""
    connection = transport.connection()
    if connection is None:
        _keep(mail_id)
        return
    with connection.lock:  # claimed while it is held, so that no lease ends while another mail is sent
        if connection.is_away:
            _wait(mail_id)
        elif not connection.is_slow and _claim(mail_id):
            _attempt(mail_id, connection)


def _keep(mail_id: str) -> None:
    """Finish a mail of a shop without a mail server: development shows it at /dev/mail."""
    if not _claim(mail_id):
        return
    if current_app.config["SETTLED_ENV"] == "development":
        _record(mail_id, MailState.SENT)
    else:
        _record(mail_id, MailState.FAILED, NO_SERVER)


@transactional
def _claim(mail_id: str) -> bool:
    """Claim a due mail for LEASE and count the attempt. False if another process has claimed it."""
    at = clock.now()
    is_due = (Mail.id == mail_id, Mail.state == MailState.QUEUED, Mail.next_attempt_at <= at)
    return bool(changed(update(Mail).where(*is_due).values(next_attempt_at=at + LEASE, attempts=Mail.attempts + 1)))


@transactional
def _wait(mail_id: str) -> None:
    """Postpone a due mail while the server is away, which is no attempt."""
    at = clock.now()
    is_due = (Mail.id == mail_id, Mail.state == MailState.QUEUED, Mail.next_attempt_at <= at)
    db.session.execute(update(Mail).where(*is_due).values(next_attempt_at=at + WAITS[0]))


def _attempt(mail_id: str, connection: transport.Connection) -> None:
    mail = db.session.get_one(Mail, mail_id, populate_existing=True)
    attempts = mail.attempts
    try:
        message = compose.message(mail)
        sender, recipient = message["From"].addresses[0].addr_spec, message["To"].addresses[0].addr_spec
        db.session.rollback()  # no transaction while the network is used
        connection.send(message, sender, recipient)
    except compose.CannotCompose as error:
        _record(mail_id, MailState.FAILED, str(error))
    except transport.MailRefused as refusal:
        _failed(mail_id, attempts, str(refusal), is_permanent=refusal.is_permanent)
    except transport.ServerUnusable as error:
        _failed(mail_id, attempts, str(error))
    except Exception as error:  # noqa: BLE001 - such as a defect of a template; the other mails go on
        db.session.rollback()
        _failed(mail_id, attempts, f"{type(error).__name__} while the mail was composed")
    else:
        _record(mail_id, MailState.SENT)


def _failed(mail_id: str, attempts: int, error: str, *, is_permanent: bool = False) -> None:
    """Record a failed attempt, the `attempts`-th."""
    if is_permanent or attempts > len(WAITS):
        _record(mail_id, MailState.FAILED, error, Mail.attempts == attempts)
        return
    _postpone(mail_id, attempts, error)
    log.warning("mail.postponed", mail=mail_id, attempts=attempts, error=error)


@transactional
def _postpone(mail_id: str, attempts: int, error: str) -> None:
    same = (Mail.id == mail_id, Mail.state == MailState.QUEUED, Mail.attempts == attempts)
    later = clock.now() + WAITS[attempts - 1]
    db.session.execute(update(Mail).where(*same).values(next_attempt_at=later, error=error[:200]))


def _record(mail_id: str, state: MailState, error: str | None = None, *claim: ColumnElement[bool]) -> None:
    """Record the end of a mail. An outdated attempt changes nothing once it is SENT, and `claim` keeps an outdated
    failure from ending the attempt of another process.
    """
    if not _end(mail_id, state, error, *claim):
        return
    metrics.MAILS.labels(outgoing.kind_of(mail_id), state.lower()).inc()
    write_log = log.info if state == MailState.SENT else log.error
    write_log("mail." + state.lower(), mail=mail_id, error=error)


@transactional
def _end(mail_id: str, state: MailState, error: str | None, *claim: ColumnElement[bool]) -> bool:
    at = clock.now() if state == MailState.SENT else None
    ended = {"state": state, "next_attempt_at": None, "sent_at": at, "error": error}
    queued = (Mail.id == mail_id, Mail.state == MailState.QUEUED, *claim)
    return bool(changed(update(Mail).where(*queued).values(**ended)))
