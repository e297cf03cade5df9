"""The image starts and sells, under its own conditions but without Docker."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

import httpx
import pytest

from e2e.customers import HttpCustomer
from e2e.demo import Demo
from tests.deploy.image import Image, image  # noqa: F401 - a fixture
from tests.parts.waiting import until

CARD = {"number": "4242 4242 4242 4242", "expiry": "12/39", "cvc": "123", "name": "Ada Test"}


def pay(page: str) -> None:
    """Fill in the acquirer's page as a customer does."""
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=10) as browser:
        found = re.search(r'name="csrf"[^>]*? value="([^"]+)"', browser.get(page).text)
        assert found
        answer = browser.post(
            f"{page}/card", data={"csrf": found[1], **CARD}, headers={"Origin": page.partition("/pay/")[0]}
        )
        assert answer.status_code == 200, answer.text


def heading(customer: HttpCustomer, url: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", customer.page(url), re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", found[1])).strip()


@pytest.mark.full
def test_the_image_sells_as_an_unprivileged_user_with_read_only_code_and_an_empty_tmp(image: Image) -> None:  # noqa: F811
    release = image.service("release")
    assert release.wait(within=60) == 0, release.text
    services = {name: image.service(name) for name in ("web", "acquirer", "worker", "clock")}
    services["web"].wait_for_url(f"{image.shop}/healthz", within=30)
    services["acquirer"].wait_for_url(f"{image.acquirer}/healthz", within=30)
    bearer = {"Authorization": f"Bearer {image.environ('web')['METRICS_TOKEN']}"}
    all_well = dict.fromkeys(("database", "redis", "worker", "clock"), "ok")
    until(
        lambda: httpx.get(f"{image.shop}/readyz", headers=bearer).json() == all_well, within=30, what="all to be ready"
    )
    customer = HttpCustomer(cast(Demo, SimpleNamespace(shop=image.shop)))
    order = customer.order()
    pay(f"{image.acquirer}/pay/{customer.go_and_pay(order)}")
    until(lambda: heading(customer, order.url) == "Payment received", within=30, what="the order to be PAID")
    check = image.service("web", "flask", "--app", "wsgi", "check")
    assert check.wait(within=60) == 0, check.text
    assert "settled_requests_total" in httpx.get(f"{image.shop}/metrics", headers=bearer).text
    styles = re.search(r'href="(/static/[^"]+\.css[^"]*)"', customer.page("/"))
    assert styles
    packed = httpx.get(f"{image.shop}{styles[1]}", headers={"Accept-Encoding": "br"})
    assert packed.headers["Content-Encoding"] == "br", "compressed when the image is built"
    for name, service in services.items():
        assert service.alive(), f"{name} ended:\n{service.text}"
        assert not re.search(r"Traceback|Permission denied|Read-only file", service.text), f"{name}:\n{service.text}"
