"""Send one delivery over HTTP: sign it by Standard Webhooks, post it, put the answer or the failure into words."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from standardwebhooks import Webhook

from shop.core import clock, http_client, outside
from shop.core.http_client import Bounds
from shop.outgoing_webhooks.decide import Result

BOUNDS = Bounds(seconds=10.0, size=4096, is_cut=True)
"""Limits of one attempt, from the connection to the last byte that is read."""
SHOWN = 1000
"""Characters of an answer that are stored."""
NO_SECRET = "The secret of the endpoint cannot be decrypted. Rotate it."  # noqa: S105 - a sentence


@dataclass(frozen=True)
class Message:
    """An event for one endpoint. `secrets` sign it, the present one first; none if they cannot be decrypted."""

    url: str
    event_id: str
    body: str
    secrets: Sequence[str]


def post(client: httpx.Client, message: Message) -> Result:
    """Send a message and return the result; raises RuntimeError inside a transaction."""
    if not message.secrets:
        return Result(0, error=NO_SECRET)
    http_client.leave_database()
    started = time.monotonic()
    try:
        answer = client.post(message.url, content=message.body.encode(), headers=headers(message, clock.wall()))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Result(_ms_since(started), error=in_words(error))
    status = answer.status_code
    refused = None if answer.is_success else _refused(status)
    return Result(_ms_since(started), status, excerpt(answer), refused, _wait(answer))


def headers(message: Message, at: datetime) -> dict[str, str]:
    """Headers of an attempt at `at`, wall time: receivers refuse one that differs from their time."""
    signatures = [Webhook(secret).sign(message.event_id, at, message.body) for secret in message.secrets]
    return {
        "content-type": "application/json",
        "user-agent": "Settled-Webhooks/1",
        "accept-encoding": "identity",
        "webhook-id": message.event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def excerpt(answer: httpx.Response) -> str:
    """The beginning of the answer's body, without control characters, which PostgreSQL does not store."""
    letters = answer.content.decode(errors="replace")[:SHOWN]
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in letters
    )


def in_words(error: Exception) -> str:
    """The failure of a call as a sentence, without addresses of our network."""
    cause = outside.failure(error)
    if isinstance(cause, outside.NotPublic):
        return "The host name leads to an address that is not public."
    if isinstance(cause, outside.UnknownName):
        return "The host name was not found."
    if isinstance(cause, ssl.SSLError):
        detail = getattr(cause, "verify_message", "") or cause.reason or ""
        return f"TLS failed: {detail}." if detail else "TLS failed."
    if isinstance(error, httpx.ConnectTimeout):
        return f"No connection within {BOUNDS.seconds:.0f} seconds."
    if isinstance(error, httpx.TimeoutException):
        return f"No complete answer within {BOUNDS.seconds:.0f} seconds."
    if isinstance(error, httpx.ConnectError):
        return "The connection was refused."
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
        return "The connection ended without a valid answer."
    return f"The answer could not be read ({type(error).__name__})."


def _refused(status: int) -> str:
    if 300 <= status < 400:
        return f"The answer was HTTP {status}. Redirects are not followed."
    return f"The answer was HTTP {status}."


def _wait(answer: httpx.Response) -> timedelta:
    """The pause that a refusing receiver asks for, in whole seconds."""
    written = answer.headers.get("retry-after", "")
    is_number = written.isascii() and written.isdigit() and len(written) < 7
    return timedelta(seconds=int(written)) if is_number and not answer.is_success else timedelta(0)


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
