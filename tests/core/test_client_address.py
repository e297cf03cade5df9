"""The unit in which limits count clients."""

from __future__ import annotations

import pytest

from shop.core.client_address import client_network


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7:4711 ", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("example.com", "unknown"),
        ("192.0.2.7:port", "unknown"),
        ("[192.0.2.7", "unknown"),
        ("999.1.1.1", "unknown"),
    ],
)
def test_an_address_counts_without_its_port_and_an_ipv6_address_as_its_64_bit_network(text: str, network: str) -> None:
    assert client_network(text) == network
