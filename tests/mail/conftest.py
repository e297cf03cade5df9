"""A real SMTP server, and a shop that sends its mail there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from shop.core.db import db
from shop.mail import outgoing, transport
from shop.mail.models import Mail
from shop.setting_kinds import MailServer
from tests.parts.processes import free_port
from tests.shop_fixtures import Shop

ACCEPTED = "250 OK"


class Server:
    """The server: what it has accepted, and how it replies to RCPT and DATA."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.rcpt, self.data = ACCEPTED, ACCEPTED
        self.lag = 0.0
        self.then: Callable[[], Any] = lambda: None
        """Called after a message was accepted, before the reply."""
        self._lock = threading.Lock()
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)
        self._controller.start()
        self.port = self._controller.port

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, lines: list[str]) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return lines

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.rcpt == ACCEPTED:
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.lag:
            threading.Event().wait(self.lag)  # the server serves no one else meanwhile
        if self.data == ACCEPTED:
            with self._lock:
                found = message_from_bytes(envelope.original_content, policy=policy.SMTP)
                assert isinstance(found, EmailMessage)
                self.received.append(found)
                self.recipients += envelope.rcpt_tos
            self.then()
        return self.data

    @property
    def subjects(self) -> list[str]:
        return [str(one["Subject"]) for one in self.received]

    @property
    def ids(self) -> list[str]:
        return [str(one["Message-ID"]) for one in self.received]

    def stop(self) -> None:
        """End the server: connections are refused."""
        if self._controller.loop.is_running():
            self._controller.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop()


@pytest.fixture
def mailing(shop: Shop, server: Server, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop that sends its mail to `server`, and tries a server that was away at once."""
    monkeypatch.setattr(transport, "PAUSE", 0.0)
    shop.app.config["MAIL_URL"] = MailServer(f"smtp://127.0.0.1:{server.port}/?timeout=1")
    return shop


def mails(shop: Shop) -> list[tuple[str, str]]:
    """Kind and state of all mails, oldest first."""
    return [(one.kind, one.state) for one in stored()]


def stored() -> list[Mail]:
    db.session.rollback()
    return outgoing.newest(1000)[::-1]
