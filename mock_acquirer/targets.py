"""Allowed webhook addresses: an allowlist of origins, checked when an address is given and again at every attempt.

With ACQUIRER_WEBHOOK_PUBLIC any public https address is allowed too. Its name is resolved at each attempt, every result
must be a global address, and the connection uses exactly the address that was checked, so a DNS change between the two
has no effect.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flask import current_app

from mock_acquirer import dialect_interface

LONGEST = 2000
ANY_PORT = ":*"
HTTPS_PORT = 443
TUNNELS = tuple(
    # networks whose addresses embed another address (NAT64, 6to4, Teredo), which would bypass the other checks
    ipaddress.ip_network(written)
    for written in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Way:
    """Route to an address: URL, headers and options for the HTTP client."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, str] = field(default_factory=dict)


def origin_of(url: str) -> str:
    """`scheme://host[:port]` in lower case. Raises ValueError for anything but a plain http(s) address."""
    if len(url) > LONGEST or any(ord(letter) < 33 or ord(letter) == 127 for letter in url) or "\\" in url:
        raise ValueError("not a plain address")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not an http or https address")
    _ = parts.port  # raises ValueError when it is no number
    return f"{parts.scheme}://{parts.netloc}".lower()


def allowed_origins() -> set[str]:
    """The allowlist, plus the origins of the configured webhooks. `http://localhost:*` allows every port there."""
    configured = (dialect.merchant("demo").webhook_url for dialect in dialect_interface.every().values())
    listed = {written.lower() for written in current_app.config["ACQUIRER_WEBHOOK_TARGETS"]}
    return listed | {origin_of(url) for url in configured if url}


def _is_listed(url: str) -> bool:
    origin, parts = origin_of(url), urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    return bool({origin, f"{parts.scheme}://{host}{ANY_PORT}"} & allowed_origins())


def _require_public(url: str) -> str:
    """The host name of an https address on the default port. Raises ValueError for others, and when public addresses
    are off.
    """
    parts = urlsplit(url)
    if not current_app.config["ACQUIRER_WEBHOOK_PUBLIC"]:
        raise ValueError("not in ACQUIRER_WEBHOOK_TARGETS")
    if parts.scheme != "https" or parts.port not in (None, HTTPS_PORT):
        raise ValueError("only https on port 443 leads into the public network")
    return str(parts.hostname)


def is_allowed(url: str) -> bool:
    """True when a webhook may be sent there, as far as this can be decided without DNS."""
    try:
        if _is_listed(url):
            return True
        host = _require_public(url)
    except ValueError:
        return False
    try:
        return is_global(ipaddress.ip_address(host))
    except ValueError:
        return True  # a name: resolved at every attempt


def is_global(address: Address) -> bool:
    """True for an address of the public network that embeds no other address."""
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner.is_global and not inner.is_multicast and not any(inner in network for network in TUNNELS)


def way_to(url: str) -> Way:
    """The route for one attempt. Resolves names; raises ValueError when the target is not allowed."""
    if _is_listed(url):
        return Way(url)
    host, parts = _require_public(url), urlsplit(url)
    try:
        found = socket.getaddrinfo(host, HTTPS_PORT, type=socket.SOCK_STREAM)
    except OSError as unknown:
        raise ValueError("the name cannot be looked up") from unknown
    addresses = [ipaddress.ip_address(str(answer[4][0]).split("%")[0]) for answer in found]
    if not addresses or not all(is_global(address) for address in addresses):
        raise ValueError("not an address of the public network")
    pinned = f"[{addresses[0]}]" if addresses[0].version == 6 else str(addresses[0])
    return Way(parts._replace(netloc=pinned).geturl(), {"host": host}, {"sni_hostname": host})
