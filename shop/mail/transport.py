"""SMTP transport: one kept connection per process, used by one thread at a time.

The connection and every reply have a time limit, and so has one delivery as a whole: a server that sends a byte now and
then is cut off.
"""

from __future__ import annotations

import smtplib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

from flask import current_app

from shop.setting_kinds import MailServer

DELIVERY_SECONDS = 30.0
"""Limit for one delivery over an open connection."""
PAUSE = 5.0
"""Seconds without attempts after the server could not be reached or used."""
SLOW, AFTER_SLOW = 2.0, 0.5
"""A delivery that takes SLOW seconds is followed by a pause, so that one pass of the clock or one job does not last for
many of them.
"""


class ServerUnusable(Exception):
    """No connection, no reply in time, or the server refuses us and not this mail. Whether it has accepted the mail may
    be unknown.
    """


class MailRefused(Exception):
    """The server refuses this mail, for now or, if `is_permanent`, for good."""

    def __init__(self, message: str, *, is_permanent: bool) -> None:
        super().__init__(message)
        self.is_permanent = is_permanent


@dataclass
class Connection:
    """The kept connection of this process. Hold `lock` while you use it."""

    server: MailServer
    hostname: str
    lock: threading.Lock
    smtp: smtplib.SMTP | None = None
    away_until: float = 0.0
    slow_until: float = 0.0

    @property
    def is_away(self) -> bool:
        """True for PAUSE after the server could not be used."""
        return time.monotonic() < self.away_until

    @property
    def is_slow(self) -> bool:
        """True for AFTER_SLOW after a slow delivery."""
        return time.monotonic() < self.slow_until

    def send(self, message: EmailMessage, sender: str, recipient: str) -> None:
        """Deliver one message. Raises ServerUnusable and MailRefused."""
        started = time.monotonic()
        try:
            with self._cut_off_late():
                self._deliver(message, sender, recipient)
        except (OSError, smtplib.SMTPException) as error:
            refusal = _refusal_of(error)
            if refusal is None:
                self.close()
                self.away_until = time.monotonic() + PAUSE
                raise ServerUnusable(_message(error)) from error
            raise refusal from error
        if time.monotonic() - started >= SLOW:
            self.slow_until = time.monotonic() + AFTER_SLOW

    def close(self) -> None:
        """Close the connection; the next delivery opens another."""
        if self.smtp is not None:
            self.smtp.close()
            self.smtp = None

    def _deliver(self, message: EmailMessage, sender: str, recipient: str) -> None:
        if self.smtp is not None and not self._is_alive():
            self.close()
        if self.smtp is None:
            self.smtp = self._opened()
        options = [] if recipient.isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
        self.smtp.sendmail(sender, [recipient], message.as_bytes(), mail_options=options)

    def _is_alive(self) -> bool:
        with suppress(OSError, smtplib.SMTPException):
            return self.smtp is not None and self.smtp.noop()[0] == 250
        return False

    def _opened(self) -> smtplib.SMTP:
        server, tls = self.server, ssl.create_default_context()
        where: dict[str, Any] = {"local_hostname": self.hostname, "timeout": server.timeout}
        if server.is_implicit_tls:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, context=tls, **where)
        else:
            smtp = smtplib.SMTP(server.host, server.port, **where)
        try:
            if server.is_starttls:
                smtp.starttls(context=tls)
            if server.user:
                smtp.login(server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    @contextmanager
    def _cut_off_late(self) -> Iterator[None]:
        timer = threading.Timer(DELIVERY_SECONDS, self._cut_off)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut_off(self) -> None:
        smtp = self.smtp
        sock = smtp.sock if smtp is not None else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(2)


def connection() -> Connection | None:
    """The connection of this process; None without MAIL_URL."""
    server: MailServer = current_app.config["MAIL_URL"]
    if not server:
        return None
    hostname = urlsplit(current_app.config["SHOP_URL"]).hostname or "localhost"
    kept: dict[str, Connection] = current_app.extensions.setdefault("settled_smtp", {})
    return kept.setdefault(server, Connection(server, hostname, threading.Lock()))


def _refusal_of(error: Exception) -> MailRefused | None:
    """The refusal of this mail; None if the error is about the server or about us, such as a wrong password."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return None if code == 421 else MailRefused(_codes(code, text), is_permanent=code >= 500)
    if isinstance(error, smtplib.SMTPDataError) and error.smtp_code != 421:
        return MailRefused(_codes(error.smtp_code, error.smtp_error), is_permanent=error.smtp_code >= 500)
    if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code in (451, 452, 552):
        return MailRefused(_codes(error.smtp_code, error.smtp_error), is_permanent=error.smtp_code == 552)
    if isinstance(error, smtplib.SMTPNotSupportedError) and "SMTPUTF8" in str(error):
        return MailRefused("the server does not support SMTPUTF8", is_permanent=True)
    return None


def _message(error: Exception) -> str:
    """The kind of an error and the server's codes; its text may contain addresses or secrets."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__} {_codes(error.smtp_code, error.smtp_error)}"
    return type(error).__name__


def _codes(code: int, text: bytes | str) -> str:
    """The reply code and the enhanced status code (RFC 3463), if there is one."""
    first = (text.decode(errors="replace") if isinstance(text, bytes) else text).split(" ", 1)[0]
    is_status = first.count(".") == 2 and first.replace(".", "").isdigit()
    return f"{code} {first}" if is_status else str(code)
