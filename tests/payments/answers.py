"""HTTP responses and failures of an acquirer, for a transport without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from shop.payments.providers.interface import Unavailable, Unknown

Answer = Callable[[httpx.Request], httpx.Response]


def reply_with(status: int, body: Any = None, **headers: str) -> Answer:
    if isinstance(body, bytes):
        return lambda _: httpx.Response(status, content=body, headers=headers)
    return lambda _: httpx.Response(status, json=body, headers=headers)


def fails(error: type[httpx.HTTPError]) -> Answer:
    def raise_it(request: httpx.Request) -> httpx.Response:
        raise error("it failed", request=request)  # type: ignore[call-arg]

    return raise_it


NO_START: list[tuple[Answer, type, str]] = [
    (reply_with(302, None, location="http://elsewhere.example"), Unknown, ""),
    (fails(httpx.ConnectError), Unavailable, "ConnectError"),
    (fails(httpx.ConnectTimeout), Unavailable, "ConnectTimeout"),
    (fails(httpx.ReadTimeout), Unknown, "ReadTimeout"),
    (fails(httpx.RemoteProtocolError), Unknown, "RemoteProtocolError"),
]
"""What every provider makes of them when a payment is opened: result and reason."""
