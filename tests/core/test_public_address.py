"""Addresses that other people choose: which IP addresses and which web addresses may be called."""

from __future__ import annotations

import pytest

from shop.core.public_address import Rules, is_callable, objection

PRODUCTION = Rules(frozenset({443, 8443}))
DEVELOPMENT = Rules(frozenset({443}), local=True)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("100.64.0.1", "100.127.255.255", "100.100.100.200", "169.254.169.254", "169.254.170.2", "192.0.0.192"),
        *("168.63.129.16", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.9", "192.88.99.1"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "2001:db8::1", "3fff::1"),
        *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "5f00::1"),
        *("", "example.com", "8.8.8.8/32", "08.8.8.8"),
    ],
)
def test_addresses_that_are_not_public_are_not_called(address: str) -> None:
    assert not is_callable(address, PRODUCTION)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_called(address: str) -> None:
    assert is_callable(address, PRODUCTION) and is_callable(address, DEVELOPMENT)


def test_development_calls_this_machine_and_no_other_private_address() -> None:
    assert is_callable("127.0.0.1", DEVELOPMENT) and is_callable("::1", DEVELOPMENT)
    assert not is_callable("192.168.1.1", DEVELOPMENT) and not is_callable("169.254.169.254", DEVELOPMENT)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/hooks", "https://"),
        ("ftp://example.com/", "https://"),
        ("https://example.com:22/", "443, 8443"),
        ("https://example.com:99999/", "not valid"),
        ("https://ada:secret@example.com/", "no user name"),
        ("https://ada@example.com/", "no user name"),
        ("https://example.com/a b", "without spaces"),
        ("https://example.com/#part", "without a part"),
        ("https://example.com\\@10.0.0.1/", "no user name"),
        ("https://пример.example/", "without spaces"),
        ("https://./", "no host"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://localhost/", "not a public address"),
        ("https://shop.localhost./", "not a public address"),
        ("", "https://"),
        ("https://example.com/" + "a" * 2048, "2048"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused_in_words(url: str, words: str) -> None:
    assert words in objection(url, PRODUCTION)


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://example.com:8443/hooks?a=b", "https://[2606:4700::1]/"]
)
def test_public_addresses_can_be_used(url: str) -> None:
    assert objection(url, PRODUCTION) == ""


def test_development_accepts_this_machine_at_any_port_without_tls() -> None:
    assert objection("http://localhost:9999/hooks", DEVELOPMENT) == ""
    assert objection("http://127.0.0.1:9999/hooks", DEVELOPMENT) == ""
    assert "not a public address" in objection("http://10.0.0.1/", DEVELOPMENT)
