"""Request bodies, read in every way that a WSGI app may read them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.parser import RequestParser
from werkzeug.exceptions import BadRequest

from deploy.receiving import GuardedBody, Receiving

HEAD = b"POST / HTTP/1.1\r\nHost: shop\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: shop\r\n\r\n"


class Connection:
    """A socket that can only be shut down."""

    def shutdown(self, _how: int) -> None: ...


def with_length(body: bytes, _chance: Random) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(body: bytes, chance: Random) -> bytes:
    sent = b"Transfer-Encoding: chunked\r\n\r\n"
    while body:
        size = chance.randint(1, len(body))
        sent, body = sent + b"%x\r\n%s\r\n" % (size, body[:size]), body[size:]
    return sent + b"0\r\n\r\n"


def in_pieces(stream: bytes, chance: Random) -> list[bytes]:
    """The parts returned by each read of the socket."""
    pieces = []
    while stream:
        size = chance.randint(1, 3000)
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


def read_all(body: GuardedBody, chance: Random) -> bytes:
    ways: list[Callable[[], bytes]] = [
        body.read,
        body.readline,
        lambda: body.read(chance.randint(1, 4000)),
        lambda: body.readline(chance.randint(1, 50)),
    ]
    found = b""
    while part := chance.choice(ways)():
        found += part
    return found


def parsed(stream: bytes, chance: Random) -> tuple[Any, GuardedBody, Receiving]:
    parser = RequestParser(Config(), iter(in_pieces(stream, chance)), ("127.0.0.1", 1))
    request, receiving, connection = next(parser), Receiving(5, 5), Connection()
    receiving.begin(connection)
    body = request.body = GuardedBody(request, connection, receiving, BadRequest)
    return parser, body, receiving


@pytest.mark.parametrize("framed", [with_length, in_chunks])
@pytest.mark.parametrize("seed", range(60))
def test_a_body_is_given_whole_or_refused_and_the_next_request_is_found(
    framed: Callable[[bytes, Random], bytes], seed: int
) -> None:
    chance = Random(seed)
    sent = bytes(chance.choices(b"ab\n\r", k=chance.choice([1, 10, 1500, 9000])))
    stream = HEAD + framed(sent, chance)
    parser, body, receiving = parsed(stream + NEXT, chance)
    assert read_all(body, chance) == sent
    assert not receiving._since, "it is no longer receiving"
    assert next(parser).path == "/next"

    start = stream.index(b"\r\n\r\n") + 4
    _, cut, _ = parsed(stream[: chance.randint(start, len(stream) - 1)], chance)
    with pytest.raises(BadRequest):
        read_all(cut, chance)
    assert cut.read() == b"", "another read finds the end"
