"""SMTP server of the chaos test, in a thread: it keeps what it has accepted, and fails while a fault is switched on.

A reply was read by the shop if a command follows it on the same connection: an SMTP client waits for each reply. If the
connection ends instead, the shop may not know that the server has the message.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import Any

from aiosmtpd.smtp import SMTP

OK, GREYLISTED, NO_SUCH_USER = "250 OK", "451 4.7.1 Try again later", "550 5.1.1 No such user"
REFUSED_SHARE = 0.08
"""Share of the customers whose addresses are refused for ever."""


@dataclass
class Receipt:
    """A message that the server has accepted. Times are seconds of the monotonic clock.

    `digest` is that of its bytes without the MIME boundaries, which differ in each attempt. `is_read`: the shop has
    read the reply. `ended_at` is the end of the connection.
    """

    message_id: str
    recipient: str
    digest: str
    at: float
    is_read: bool = False
    ended_at: float | None = None


class MailServer:
    """The server. `refuses_recipients`, `refuses_messages`, `breaks` and `lag` (seconds) are faults; so are `close` and
    `freeze`. `replies` counts the failures that it has caused.
    """

    def __init__(self, seed: int) -> None:
        self.receipts: list[Receipt] = []
        self.replies: Counter[str] = Counter()
        self.refuses_recipients = self.refuses_messages = self.breaks = False
        self.lag = 0.0
        self._seed = seed
        self._connections: set[asyncio.Transport] = set()
        self._go_on = threading.Event()
        self._listener: asyncio.Server | None = None
        # Bound and never listening, so that no other program gets the port while connections are refused.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port: int = self._reservation.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="mail-server").start()
        self.open().result(timeout=10)

    def refuses_for_ever(self, recipient: str) -> bool:
        """True for the customers that the seed chooses. Staff get their mail."""
        is_customer = recipient.startswith("ada-")
        return is_customer and random.Random(f"{self._seed}:{recipient}").random() < REFUSED_SHARE

    def open(self) -> Future[None]:
        """Listen, if it does not. A frozen server does so when it goes on."""
        return asyncio.run_coroutine_threadsafe(self._open(), self._loop)

    def close(self) -> Future[None]:
        """Refuse connections, and reset those that exist."""
        return asyncio.run_coroutine_threadsafe(self._close(), self._loop)

    def freeze(self) -> Callable[[], None]:
        """Accept connections and reply nothing, until the returned function is called."""
        self._go_on.clear()
        self._loop.call_soon_threadsafe(self._go_on.wait)
        return self._go_on.set

    def heal(self) -> None:
        """End all faults, except that some recipients are refused for ever."""
        self.refuses_recipients = self.refuses_messages = self.breaks = False
        self.lag = 0.0
        self._go_on.set()
        self.open().result(timeout=10)

    def end(self) -> None:
        """End the server for good."""
        self._go_on.set()
        self.close().result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._reservation.close()

    async def _open(self) -> None:
        if self._listener is None:
            self._listener = await self._loop.create_server(
                lambda: _Protocol(_Connection(self), enable_SMTPUTF8=True, loop=self._loop),
                "127.0.0.1",
                self.port,
                reuse_port=True,
            )

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for transport in list(self._connections):
            transport.abort()

    def joined(self, transport: asyncio.Transport) -> None:
        self._connections.add(transport)

    def left(self, transport: asyncio.Transport | None) -> None:
        self._connections.discard(transport)  # type: ignore[arg-type]


class _Connection:
    """The replies on one connection, in the form in which aiosmtpd asks for them."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self._last: Receipt | None = None

    async def handle_NOOP(self, _smtp: Any, _session: Any, _envelope: Any, _arg: str) -> str:
        self._has_read()
        return OK

    async def handle_MAIL(self, _smtp: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self._has_read()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return OK

    async def handle_RCPT(self, _smtp: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        if self.server.refuses_recipients:
            return self._counted(GREYLISTED)
        if self.server.refuses_for_ever(address):
            return self._counted(NO_SUCH_USER)
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, smtp: Any, _session: Any, envelope: Any) -> str:
        if self.server.lag:
            self.server.replies["accepted slowly"] += 1
            await asyncio.sleep(self.server.lag)
        if self.server.refuses_messages:
            return self._counted(GREYLISTED)
        self._last = _receipt(envelope.original_content, envelope.rcpt_tos[0])
        self.server.receipts.append(self._last)
        if self.server.breaks:
            self.server.replies["accepted, connection broken"] += 1
            smtp.transport.abort()
            raise asyncio.CancelledError  # as when the client has closed the connection
        return OK

    def _counted(self, reply: str) -> str:
        self.server.replies[f"refused with {reply[:3]}"] += 1
        return reply

    def _has_read(self) -> None:
        if self._last:
            self._last.is_read, self._last = True, None

    def ended(self) -> None:
        """Note the end of the connection, by either side."""
        if self._last:
            self._last.ended_at = time.monotonic()


class _Protocol(SMTP):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._joined = transport
        self.event_handler.server.joined(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.ended()
        self.event_handler.server.left(self._joined)
        super().connection_lost(error)


def _receipt(content: bytes, recipient: str) -> Receipt:
    message = message_from_bytes(content, policy=policy.SMTP)
    for part in message.walk():
        content = content.replace((part.get_boundary() or "").encode(), b"")
    digest = hashlib.sha256(content).hexdigest()
    return Receipt(str(message["Message-ID"]), recipient, digest, time.monotonic())
