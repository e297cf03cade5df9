"""Client addresses: that of the present request, and the network by which limits count clients."""

from __future__ import annotations

import re
from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address, ip_network

UNKNOWN = "unknown"
_present: ContextVar[str | None] = ContextVar("client_address", default=None)
_HOST_AND_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([0-9.]+):\d+")
_IPV6_PREFIX = 64
"""Prefix length in bits; a customer of an Internet provider gets at least a /64 and may use any address in it."""


def bind(address: str | None) -> None:
    """Set the client address of the present request; None at its end."""
    _present.set(address)


def present() -> str | None:
    """The client address of the present request; None outside of requests."""
    return _present.get()


def client_network(text: str | None) -> str:
    """Return the IPv4 address, or the /64 network of the IPv6 address, in `text`; UNKNOWN for anything else.

    A port, brackets and a zone are dropped. An IPv4 address that is mapped into IPv6 counts as that IPv4 address.
    """
    bare = (text or "").strip()
    if found := _HOST_AND_PORT.fullmatch(bare):
        bare = found[1] or found[2] or ""
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)
