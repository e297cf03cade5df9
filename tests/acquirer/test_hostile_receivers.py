"""Bounded time and memory for webhooks to hostile or broken receivers."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mock_acquirer import outgoing
from tests.acquirer.conftest import Receiver, World
from tests.core.test_hostile_server import A_MEGABYTE, BOMB, CHUNKED, Serve, answer, sends, serving, without_end

SECONDS = 1.0
MEGABYTES = 4 * 2**20
"""Limit of memory that one delivery may hold, whatever the response."""
PACKED = "Content-Encoding: gzip"

HOSTILE: dict[str, tuple[Serve, str, int | None]] = {
    "gzip bomb": (sends(answer(BOMB, PACKED)), "delivered", 200),
    "a bomb in a bomb": (sends(answer(gzip.compress(BOMB), "Content-Encoding: gzip, gzip")), "delivered", 200),
    "a packed body that is none": (sends(answer(b"not packed", PACKED)), "delivered", 200),
    "a gigabyte in chunks": (without_end(CHUNKED, A_MEGABYTE), "delivered", 200),
    "a gigabyte until the end": (without_end(b"HTTP/1.1 200 OK\r\n\r\n", bytes(2**20)), "delivered", 200),
    "a body byte by byte": (
        without_end(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x", pause=0.1),
        "refused",
        200,
    ),
    "chunks byte by byte": (without_end(CHUNKED, b"1\r\nx\r\n", pause=0.1), "refused", 200),
    "headers byte by byte": (without_end(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", pause=0.1), "no_answer", None),
    "headers without end": (
        without_end(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n"),
        "no_answer",
        None,
    ),
    "one header without end": (without_end(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 65536), "no_answer", None),
    "go on for ever": (without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, pause=0.01), "no_answer", None),
    "noise": (sends(bytes(range(256)) * 100), "no_answer", None),
    "silence": (without_end(b"", b"", pause=60), "no_answer", None),
}


@pytest.fixture
def hostile(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Serve], World]]:
    """Factory of a receiver with this response, and an acquirer with short timeouts that sends to it."""
    monkeypatch.setattr(outgoing, "SECONDS", SECONDS)
    with ExitStack() as servers:

        def make(speak: Serve) -> World:
            return make_world(ACQUIRER_KPAY_WEBHOOK_URL=servers.enter_context(serving(speak)).url)

        yield make


def _deliver(acquirer: World) -> dict[str, Any]:
    """The only attempt of a payment's webhook."""
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    (attempt,) = (one for delivery in acquirer.record(payment)["deliveries"] for one in delivery["attempts"])
    return attempt


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_receiver_costs_a_bounded_time_and_a_bounded_memory(
    hostile: Callable[[Serve], World], how: str
) -> None:
    speak, outcome, status = HOSTILE[how]
    acquirer = hostile(speak)
    tracemalloc.start()
    began = time.monotonic()
    attempt = _deliver(acquirer)
    took, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (attempt["outcome"], attempt["status"]) == (outcome, status), attempt
    assert took < SECONDS + 2
    assert peak < MEGABYTES
    assert len(attempt["answer"]) <= outgoing.LARGEST


def test_a_packed_answer_is_never_unpacked_and_the_log_says_so(hostile: Callable[[Serve], World]) -> None:
    attempt = _deliver(hostile(sends(answer(gzip.compress(b"ok"), PACKED))))
    assert (attempt["outcome"], attempt["answer"]) == ("delivered", "(packed with gzip, which was not asked for)")


def test_a_redirect_is_not_followed_and_is_no_acknowledgement(
    hostile: Callable[[Serve], World], receiver: Receiver
) -> None:
    acquirer = hostile(sends(answer(b"", f"Location: {receiver.url}", status="307 Temporary Redirect")))
    attempt = _deliver(acquirer)
    assert (attempt["outcome"], attempt["status"]) == ("refused", 307)
    assert not receiver.hooks and not receiver.others


def test_huge_headers_are_kept_in_part(hostile: Callable[[Serve], World]) -> None:
    many = [f"X-{number}: {'v' * 1000}" for number in range(80)]
    attempt = _deliver(hostile(sends(answer(b"ok", *many))))
    assert attempt["outcome"] == "delivered"
    assert len(str(attempt["answer_headers"])) < 60 * 1024
