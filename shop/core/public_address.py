"""Rules for addresses that other people choose and this program calls: web addresses, and the IP addresses behind them.

Pure. They keep a caller away from machines that only this program reaches: its own network, its database, the metadata
service of its cloud.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

LONGEST = 2048
"""Characters of an address."""
_PLAIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+([/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?")
_PORTS = {"http": 80, "https": 443}
_REFUSED_4 = tuple(
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # the metadata service of Azure, which has a public address
    )
)
_GLOBAL_6 = ip_network("2000::/3")
"""The addresses of IPv6 that are routed. All others are refused, with them those that contain an IPv4 address."""
_REFUSED_6 = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # Teredo and other tunnels
        "2001:db8::/32",
        "2002::/16",  # 6to4: contains an IPv4 address
        "3fff::/20",
    )
)


@dataclass(frozen=True)
class Rules:
    """`ports` are the ports that may be called. With `local`, in development, this machine may be called too, at any
    port and without TLS.
    """

    ports: frozenset[int]
    local: bool = False


def is_callable(address: str, rules: Rules) -> bool:
    """True if this program may connect to an IP address, in its text form."""
    try:
        ip = ip_address(address)
    except ValueError:  # such as an IPv6 address with a zone, which is not public
        return False
    if ip.is_loopback and rules.local:
        return True
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _REFUSED_4)
    return _is_public_6(ip)


def _is_public_6(ip: IPv6Address) -> bool:
    return ip in _GLOBAL_6 and not any(ip in network for network in _REFUSED_6)


def objection(url: str, rules: Rules) -> str:
    """The reason for which a web address cannot be used, as a sentence; empty if it can.

    The addresses behind its name are checked when it is called (`shop.core.outside`).
    """
    if len(url) > LONGEST:
        return f"An address has at most {LONGEST} characters."
    if "@" in url.partition("//")[2].partition("/")[0]:
        return "An address has no user name and no password."
    if not _PLAIN.fullmatch(url):
        return "Enter an address that begins with https://, without spaces and without a part after #."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    except ValueError:
        return "The host or the port of the address is not valid."
    if not host.strip("."):
        return "The address has no host."
    if not rules.local and parts.scheme != "https":
        return "The address must begin with https://."
    if not rules.local and port not in rules.ports:
        known = ", ".join(str(number) for number in sorted(rules.ports))
        return f"The port of the address must be one of {known}."
    return _objection_to_host(host, rules)


def _objection_to_host(host: str, rules: Rules) -> str:
    try:
        ip_address(host)
    except ValueError:
        is_local = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")
        return "" if rules.local or not is_local else NOT_PUBLIC
    return "" if is_callable(host, rules) else NOT_PUBLIC


NOT_PUBLIC = "The host is not a public address."
