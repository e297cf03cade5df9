"""Seeded mutations of valid responses: what a hostile, faulty or half-upgraded acquirer might send."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx

BAD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    -120000,
    2**53,
    2**53 + 1,
    2**63,
    10**18,
    10**40,
    1.5,
    -0.0,
    1e300,
    float("nan"),
    float("inf"),
    "",
    " ",
    "0",
    "-5",
    "1.5",
    "1E999990",
    "²",
    "１２０",
    "NaN",
    "x" * 600,
    "x" * 20_000,
    "\0",
    "a\0b",
    "\ud800",
    "a\udfff",
    "\u202e",
    "../../refunds",
    "a/b?c#d",
    "%2e%2e%2f",
    "..",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "//evil.example",
    "https://evil.example/pay",
    "https://pay.example@evil.example/",
    "https://pay.example/\r\nSet-Cookie: a=b",
    "https://pay.example/pay\n",
    "http://pay.example/pay",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-11-29T00:00:00",
    "2026-13-40",
    "9999/12/31 23:59:59",
    "0001/01/01 00:00:00",
    "captured",
    "succeeded",
    "TWD",
    "jpy",
    "ZZZ",
    "constructor",
    [],
    {},
    [None],
    [[]],
    {"id": {}},
    ["x"] * 3000,
    "@@deep@@",
    "@@deeper@@",
    "@@digits@@",
)
_WRITTEN = {
    '"@@deep@@"': "[" * 60 + "]" * 60,
    '"@@deeper@@"': '{"a":' * 20_000 + "1" + "}" * 20_000,
    '"@@digits@@"': "9" * 6000,
}
"""Placeholders for JSON that Python's encoder cannot write."""
_STATUSES = (
    200,
    200,
    201,
    202,
    204,
    206,
    301,
    302,
    304,
    307,
    400,
    401,
    403,
    404,
    409,
    410,
    418,
    422,
    429,
    500,
    502,
    503,
    504,
    599,
)
_KINDS = (
    "application/json",
    "text/html",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "",
)
_RETRY_AFTERS = ("1", "0", "-1", "9" * 300, "²", "nan", "Wed, 21 Oct 2026 07:28:00 GMT", "\xff", "1e9", "")
_ERRORS: tuple[type[httpx.TransportError], ...] = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.PoolTimeout,
    httpx.RemoteProtocolError,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


@dataclass(frozen=True)
class Response:
    """A response as an adapter reads it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def as_response(self) -> httpx.Response:
        """An httpx response that is not yet read or decompressed."""
        headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in self.headers.items()]
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(self.body))


def answer(chance: Random, got: Response) -> Response | httpx.TransportError:
    """The response with one or two mutations, or a network error."""
    way = chance.random()
    if way < 0.03:
        return chance.choice(_ERRORS)("the network")
    if way < 0.55:
        return Response(got.status, got.headers, content(chance, got.body))
    if way < 0.70:
        return Response(got.status, got.headers, bytes_of(chance, got.body))
    if way < 0.80:
        return Response(chance.choice(_STATUSES), got.headers, got.body)
    if way < 0.90:
        return Response(chance.choice(_STATUSES), got.headers, content(chance, got.body))
    return _headers(chance, got)


def _headers(chance: Random, got: Response) -> Response:
    way = chance.randrange(4)
    if way == 0:
        return Response(got.status, {**got.headers, "content-type": chance.choice(_KINDS)}, got.body)
    if way == 1:
        return Response(
            chance.choice((429, 503, 200)),
            {**got.headers, "retry-after": chance.choice(_RETRY_AFTERS)},
            got.body,
        )
    if way == 2:
        packed = {**got.headers, "content-encoding": chance.choice(("gzip", "br", "gzip, gzip", "deflate"))}
        return Response(got.status, packed, gzip.compress(got.body) if chance.random() < 0.5 else got.body)
    length = chance.choice(("0", "5", "9" * 12, "-1", "x"))
    return Response(got.status, {**got.headers, "content-length": length}, got.body)


def content(chance: Random, body: bytes) -> bytes:
    """A body with its structure kept and its values mutated: JSON, a form, or CSV."""
    try:
        value = json.loads(body)
    except ValueError:
        return _fields(chance, body)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        value = _mutate(chance, value)
    text = json.dumps(value)
    for placeholder, written in _WRITTEN.items():
        text = text.replace(placeholder, written)
    return text.encode()


def _mutate(chance: Random, value: Any) -> Any:
    """Replace one value of the tree by another one or by a value of the tree, or delete it."""
    places = list(_places(value))
    if not places or chance.random() < 0.02:
        return deepcopy(chance.choice(BAD_VALUES))
    inside, name = chance.choice(places)
    way = chance.random()
    if way < 0.65:
        inside[name] = deepcopy(chance.choice(BAD_VALUES))  # a copy: a later mutation must not change the table
    elif way < 0.80:
        del inside[name]
    elif way < 0.95:
        other, where = chance.choice(places)
        if name in inside or isinstance(inside, list):
            inside[name] = json.loads(json.dumps(other[where]))
    elif isinstance(inside, list) and len(inside) < 10_000:
        inside.extend(inside[:] * 3)
    return value


def _places(value: Any) -> Any:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict | list):
            names = list(found) if isinstance(found, dict) else range(len(found))
            for name in names:
                yield found, name
                waiting.append(found[name])


def _fields(chance: Random, body: bytes) -> bytes:
    """Split a form or CSV at its separators and replace, repeat or delete parts."""
    separator = b"&" if b"=" in body and b"&" in body else b","
    parts = body.split(separator)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(parts)) if parts else 0
        bad = str(chance.choice(BAD_VALUES)).encode("utf-8", "surrogatepass")[:5000]
        way = chance.random()
        if not parts or way < 0.1:
            parts.insert(at, parts[at] if parts else bad)
        elif way < 0.2:
            del parts[at]
        else:
            name, equals, _ = parts[at].partition(b"=")
            parts[at] = name + equals + bad if equals else bad
    return separator.join(parts)


def bytes_of(chance: Random, body: bytes) -> bytes:
    """A body that is truncated, has other bytes, or is random."""
    way, raw = chance.randrange(4), bytearray(body)
    if way == 0:
        return bytes(raw[: chance.randrange(len(raw) + 1)])
    if way == 1:
        return chance.randbytes(chance.randrange(400))
    for _ in range(chance.randint(1, 8)):
        if raw:
            at = chance.randrange(len(raw))
            raw[at : at + (way == 3)] = chance.randbytes(chance.randint(1, 3))
    return bytes(raw)
