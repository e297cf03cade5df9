"""HTTP client for addresses that other people choose, such as endpoints of webhooks.

A name is resolved once for each connection, all its addresses are checked, and the connection goes to one that was
checked: a name that has another address a moment later changes nothing. TLS and the header Host keep the name. No
redirect is followed and no proxy of the environment is used.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
from flask import current_app

from shop.core import http_client
from shop.core.http_client import Bounds, Guard, NoTransport
from shop.core.public_address import Rules, is_callable
from shop.core.timed_streams import Allowance, TimedTransport

MOST_ADDRESSES = 20
"""Addresses of one name that are tried."""


class NotPublic(httpcore.ConnectError):
    """The name leads to an address that this program does not call."""


class UnknownName(httpcore.ConnectError):
    """The name has no address."""


_REASONS = (NotPublic, UnknownName, ssl.SSLError)


def rules() -> Rules:
    """The rules of this installation: public addresses, and in development this machine."""
    config = current_app.config
    return Rules(ports=frozenset(config["WEBHOOK_PORTS"]), local=config["SETTLED_ENV"] == "development")


def client(bounds: Bounds) -> httpx.Client:
    """A client with one kept connection, for one caller at a time; close it after use.

    Raises of its calls are httpx's; `failure` finds the reason.
    """
    if current_app.config["SETTLED_PASSIVE"]:
        return http_client.guarded(NoTransport(), read=bounds.seconds, connect=bounds.seconds)
    allowance = Allowance()
    transport = TimedTransport(http_client.trusted(), allowance, Checked(rules()))
    return http_client.guarded(Guard(transport, bounds, allowance), read=bounds.seconds, connect=bounds.seconds)


def failure(error: Exception) -> BaseException:
    """The reason below an error of httpx: NotPublic, UnknownName, or a TLS error; else `error` itself."""
    found: BaseException = error
    while not isinstance(found, _REASONS):
        below = found.__cause__ or next((each for each in found.args if isinstance(each, Exception)), None)
        if below is None:
            return error
        found = below
    return found


class Checked(httpcore.NetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, rules: Rules) -> None:
        self._rules, self._inner = rules, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises NotPublic if one of the addresses is not public, UnknownName, ConnectTimeout and ConnectError."""
        until = time.monotonic() + (timeout or 10.0)
        addresses = resolved(host, port, until - time.monotonic())
        if not all(is_callable(address, self._rules) for address in addresses):
            raise NotPublic("the host is not a public address")
        error: Exception = httpcore.ConnectError("no address")
        for address in addresses[:MOST_ADDRESSES]:
            left = until - time.monotonic()
            if left <= 0:
                raise httpcore.ConnectTimeout("the connection took too long")
            try:
                return self._inner.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error


def resolved(host: str, port: int, seconds: float) -> list[str]:
    """The IP addresses of a name. Raises UnknownName, and ConnectTimeout after `seconds`.

    The resolver of the system has no time limit of its own, so it runs in a thread that is left behind.
    """
    found: list[Any] = []

    def resolve() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=resolve, daemon=True, name="resolve")
    thread.start()
    thread.join(seconds)
    if not found:
        raise httpcore.ConnectTimeout("the name was not resolved in time")
    if isinstance(found[0], Exception):
        raise UnknownName("the host name was not found") from found[0]
    return list(dict.fromkeys(str(entry[4][0]) for entry in found[0]))
