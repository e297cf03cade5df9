"""A restored copy with live keys takes no action: SETTLED_PASSIVE=on."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from flask import Flask

from shop import create_app
from shop.core import http_client, redis
from shop.core.db import db, transaction
from shop.core.errors import PassiveCopy
from shop.jobs import work
from shop.jobs.clock import Clock
from shop.payments.calls import circuit_breaker
from shop.payments.providers import registry
from shop.payments.providers.interface import Unavailable
from shop.payments.records.models import Payment
from tests.fakes import FakePay
from tests.parts.statements import everything
from tests.shop_fixtures import Shop, environ


@pytest.fixture
def copy(shop: Shop, database_url: str, redis_url: str) -> Iterator[Flask]:
    """A passive copy of a shop with due work: an order to poll, one to end, a refund, unpublished events."""
    shop.paid_order()
    requested, refunded = shop.order(), shop.paid_order()
    shop.acquirer.capture(shop.payment(requested).id)
    shop.acquirer.misbehave("refund", "wait")
    shop.staff("sam")
    shop.app.test_cli_runner().invoke(args=["money", "refund", refunded.number, "--by", "sam@example.com"])
    shop.order()
    shop.wait(minutes=40)
    db.session.remove()
    app = create_app(environ(database_url, redis_url, SETTLED_PASSIVE="on"), TESTING=True, PROPAGATE_EXCEPTIONS=False)
    with app.app_context():
        registry.all_providers()["fakepay"] = FakePay(shop.acquirer)
        yield app
        db.session.remove()
        db.engine.dispose()
    shop.sweep()  # the original continues, and the test ends with its invariants


def test_clock_and_workers_of_a_passive_copy_do_nothing_and_its_acquirer_is_never_called(
    shop: Shop, copy: Flask
) -> None:
    before, calls, keys = everything(), list(shop.acquirer.calls), set(redis.client().keys())
    Clock().tick()
    with pytest.raises(PassiveCopy):
        work.batch("poll", [shop_payment.id for shop_payment in db.session.scalars(db.select(Payment))])
    answer = circuit_breaker.call(registry.all_providers()["fakepay"], "query", lambda: pytest.fail("it was called"))
    assert isinstance(answer, Unavailable)
    assert everything() == before
    assert shop.acquirer.calls == calls
    assert set(redis.client().keys()) <= keys, "windows of rate limits may have ended"


def test_no_request_leaves_a_passive_copy(copy: Flask) -> None:
    with pytest.raises(httpx.ConnectError, match="passive"):
        http_client.client().get("http://127.0.0.1:9/")


def test_a_passive_copy_refuses_webhooks_forms_and_commands_and_changes_nothing(shop: Shop, copy: Flask) -> None:
    before = everything()
    payment = db.session.scalars(db.select(Payment).limit(1)).one()
    headers, body = shop.acquirer.webhook(payment.id, "evt-new")
    db.session.rollback()
    client = copy.test_client()
    answer = client.post("/webhooks/fakepay", headers=headers, data=body)
    assert (answer.status_code, answer.json["code"]) == (503, "passive_copy")  # type: ignore[index]
    assert int(answer.headers["Retry-After"]) >= 600, "the acquirer is to try the live shop later"
    page = client.get("/products/kettle").text
    token = page.partition('name="csrf_token"')[2].partition('value="')[2].partition('"')[0]
    form = client.post("/cart/lines", data={"csrf_token": token, "sku": "TEST-KETTLE", "quantity": "1"})
    assert form.status_code == 503
    assert "read-only copy" in form.text
    runner = copy.test_cli_runner()
    sam = "sam@example.com"
    for command in (["sweep"], ["seed"], ["money", "give-credit", sam, "10", "TWD", "--by", sam]):
        done = runner.invoke(args=command)
        assert done.exit_code != 0, command
    with pytest.raises(PassiveCopy), transaction():
        pytest.fail("it may not write")
    assert everything() == before


def test_a_passive_copy_shows_its_pages_with_a_notice_and_can_be_checked(shop: Shop, copy: Flask) -> None:
    client = copy.test_client()
    order = db.session.execute(db.text("SELECT token FROM orders ORDER BY id LIMIT 1")).scalar_one()
    db.session.rollback()
    for path in ("/", "/products/kettle", "/cart", f"/orders/{order}"):
        page = client.get(path)
        assert page.status_code == 200, path
        assert "This is a read-only copy of the shop." in page.text, path
    assert client.get("/readyz").status_code == 200
    done = copy.test_cli_runner().invoke(args=["check"])
    assert "could not be queried" not in done.output, done.output


def test_the_original_goes_on_where_the_copy_stood_still(shop: Shop, copy: Flask) -> None:
    Clock().tick()
    db.session.remove()
    with shop.app.app_context():
        shop.sweep()
        states = set(db.session.scalars(db.select(Payment.state)))
        db.session.remove()
    assert "CAPTURED" in states
    assert "OPEN" not in states
