"""Validation of redirect targets from other systems: known origins only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

LONGEST = 2048  # characters
_PLAIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+([/?#][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?")
_PORTS = {"http": 80, "https": 443}


def checked(address: object, origins: Iterable[str]) -> str:
    """Return `address` if it is a plain web address at one of `origins`. Raises ValueError.

    Plain: absolute, http or https, printable ASCII without spaces, quotes and backslashes, and without a user.
    """
    if not isinstance(address, str) or len(address) > LONGEST or not _PLAIN.fullmatch(address):
        raise ValueError("not a web address that a browser may be sent to")
    if origin(address) not in {origin(one) for one in origins}:
        raise ValueError("a web address at an unknown origin")
    return address


def https(address: object) -> str:
    """Return `address` if it is a plain https address that names a host. Raises ValueError."""
    if not isinstance(address, str) or len(address) > LONGEST or not _PLAIN.fullmatch(address):
        raise ValueError("not a web address")
    if origin(address)[0] != "https":
        raise ValueError("not an https address")
    return address


def origin(address: str) -> tuple[str, str, int]:
    """(scheme, host, port) of an address. Raises ValueError."""
    parts = urlsplit(address)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not a web address")
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
