"""Webhook targets: listed origins alone, or with the switch public addresses, which are checked and pinned."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from mock_acquirer import targets
from tests.acquirer.conftest import Receiver, World

NEVER = [
    "http://127.0.0.1:8001/hooks",
    "http://localhost/hooks",
    "http://[::1]/hooks",
    "https://127.0.0.1/hooks",
    "https://10.0.0.1/hooks",
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:10.0.0.1]/hooks",
    "https://[64:ff9b::7f00:1]/hooks",
    "https://[64:ff9b:1::1]/hooks",
    "https://[2002:7f00:1::]/hooks",
    "https://[2001:0:4136:e378::]/hooks",
    "https://[fe80::1]/hooks",
    "https://224.0.0.1/hooks",
    "https://0.0.0.0/hooks",
    "http://93.184.216.34/hooks",
    "https://93.184.216.34:8443/hooks",
    "https://user:secret@93.184.216.34/hooks",
    "https://@93.184.216.34/hooks",
    "ftp://93.184.216.34/hooks",
    "javascript:alert(1)",
    "https://shop.test\\@93.184.216.34/",
    "https://93.184.216.34/\nHost: evil",
    "https://93.184.216.34:port/",
    "//93.184.216.34/",
    "https:///hooks",
    "",
    "https://93.184.216.34/" + "x" * 2000,
]
Lookup = Callable[[str, list[str]], None]


@pytest.fixture
def public(make_world: Any) -> World:
    """An acquirer that may also send to public addresses."""
    return make_world(ACQUIRER_WEBHOOK_PUBLIC="on", ACQUIRER_WEBHOOK_TARGETS="http://localhost:8000")  # type: ignore[no-any-return]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Lookup:
    """Sets the addresses of a host name."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(f"{host} is not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr("mock_acquirer.targets.socket.getaddrinfo", look_up)
    return known.__setitem__


def test_webhooks_go_only_to_public_https_addresses(public: World) -> None:
    with public.app.app_context():
        for url in NEVER:
            assert not targets.is_allowed(url), url


def test_no_webhook_goes_to_a_public_address_without_the_switch(acquirer: World) -> None:
    with acquirer.app.app_context():
        assert not targets.is_allowed("https://93.184.216.34/hooks")
        with pytest.raises(ValueError, match="ACQUIRER_WEBHOOK_TARGETS"):
            targets.way_to("https://93.184.216.34/hooks")


def test_a_listed_origin_is_meant_exactly(public: World) -> None:
    with public.app.app_context():
        assert targets.way_to("http://localhost:8000/webhooks?x=1") == targets.Way("http://localhost:8000/webhooks?x=1")
        for url in ("https://localhost:8000/", "http://localhost:80001/", "http://localhost.evil.test:8000/"):
            assert not targets.is_allowed(url)


def test_a_star_stands_for_every_port_of_that_host_alone(make_world: Any) -> None:
    with make_world(ACQUIRER_WEBHOOK_TARGETS="http://127.0.0.1:*,http://[::1]:*").app.app_context():
        for url in ("http://127.0.0.1:1234/", "http://127.0.0.1/", "http://[::1]:3000/"):
            assert targets.is_allowed(url), url
        for url in ("https://127.0.0.1:1234/", "http://127.0.0.2:1234/", "http://127.0.0.1.evil.test:1234/"):
            assert not targets.is_allowed(url), url


def test_a_name_is_pinned_to_the_address_that_was_checked(public: World, names: Lookup) -> None:
    names("shop.example", ["93.184.216.34"])
    names("six.example", ["2606:2800:220:1:248:1893:25c8:1946"])
    with public.app.app_context():
        way = targets.way_to("https://shop.example/hooks?a=b")
        assert way.url == "https://93.184.216.34/hooks?a=b"
        assert way.headers == {"host": "shop.example"} and way.extensions == {"sni_hostname": "shop.example"}
        assert targets.way_to("https://six.example/h").url == "https://[2606:2800:220:1:248:1893:25c8:1946]/h"


@pytest.mark.parametrize(
    "inside", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1", "fe80::1%eth0"]
)
def test_no_webhook_goes_to_a_name_with_a_private_address(public: World, names: Lookup, inside: str) -> None:
    names("mixed.example", ["93.184.216.34", inside])
    with public.app.app_context(), pytest.raises(ValueError, match="public network"):
        targets.way_to("https://mixed.example/hooks")


def test_no_webhook_goes_to_a_name_whose_address_became_private(public: World, names: Lookup) -> None:
    names("turncoat.example", ["93.184.216.34"])
    payment = public.open(webhook_url="https://turncoat.example/hooks")
    names("turncoat.example", ["127.0.0.1"])
    public.approve(payment)
    public.settle()
    attempt = public.record(payment)["deliveries"][0]["attempts"][0]
    assert (attempt["outcome"], attempt["status"]) == ("not_allowed", None)


def test_an_unknown_name_is_an_attempt_that_failed(public: World, names: Lookup) -> None:
    payment = public.open(webhook_url="https://nowhere.example/hooks")
    public.approve(payment)
    public.settle()
    assert "cannot be looked up" in public.record(payment)["deliveries"][0]["attempts"][0]["answer"]


def test_a_long_answer_is_kept_up_to_16_kib_and_a_redirect_is_not_followed(acquirer: World, receiver: Receiver) -> None:
    receiver.answer = (302, {"Location": receiver.url + "/elsewhere"}, b"x" * 100_000)
    payment = acquirer.open()
    acquirer.approve(payment)
    acquirer.settle()
    attempt = acquirer.record(payment)["deliveries"][0]["attempts"][0]
    assert (attempt["outcome"], attempt["status"], len(attempt["answer"])) == ("refused", 302, 16 * 1024)
    assert not receiver.others


def test_too_many_requests_are_refused_with_a_time_to_wait(make_world: Any) -> None:
    acquirer = make_world(ACQUIRER_RATE_LIMIT="5/minute")
    for _ in range(5):
        assert acquirer.browser.get("/").status_code == 200
    page = acquirer.browser.get("/")
    assert page.status_code == 429 and 1 <= int(page.headers["Retry-After"]) <= 60
    call = acquirer.api("GET", "/payments?reference=P1")
    assert (call.status_code, call.json["error"]["code"]) == (429, "too_many_requests")
    assert acquirer.browser.get("/healthz").status_code == 200
    assert acquirer.browser.get("/static/acquirer.css").status_code == 200
