"""Orders of guests are added to an account by its verified address, and never before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from shop.accounts import credentials, signin, verification
from shop.accounts.credentials import Origin
from shop.accounts.decide import LinkPurpose
from shop.checkout import claim_orders
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Refusal
from shop.orders import claim as orders_claim
from shop.orders import events, find
from shop.orders.models import Order
from tests.accounts.test_verification import newest_token
from tests.shop_fixtures import PEN, Shop

EMAIL, PASSWORD = "ada@example.com", "a long enough sentence"


def owner(order: Order) -> int | None:
    db.session.rollback()
    return db.session.get_one(Order, order.id, populate_existing=True).user_id


def claim(user_id: int) -> str:
    """The number of claimed orders, or the code of the refusal."""
    try:
        return str(claim_orders.claim_batch(user_id))
    except Refusal as refusal:
        return refusal.code


def test_orders_are_claimed_only_once_the_address_is_verified(shop: Shop) -> None:
    open_order, paid = shop.order((PEN, 1)), shop.paid_order((PEN, 1))
    ada = signin.register(EMAIL, "Ada", PASSWORD)
    ada_id = ada.id
    assert claim_orders.claimable(ada) == 0
    assert claim(ada_id) == "not_verified"
    assert (owner(open_order), owner(paid)) == (None, None)
    verification.confirm(newest_token(), by=ada_id)
    assert claim_orders.claimable(signin.sign_in(EMAIL, PASSWORD, "192.0.2.1")) == 2
    assert claim(ada_id) == "2"
    assert (owner(open_order), owner(paid)) == (ada_id, ada_id)
    claimed = find.of_user(ada_id)
    assert claimed and len(claimed.orders) == 2
    last = events.since(paid.id, 0)[-1]
    assert (last.kind, last.actor) == ("order.claimed", Actor.customer(ada_id))
    assert claim(ada_id) == "0"
    shop.sweep()


def test_orders_of_other_addresses_and_of_other_accounts_are_not_claimed(shop: Shop) -> None:
    bo = signin.create("bo@example.com", "Bo", PASSWORD, is_verified=True, by=Actor.operator()).id
    ada = signin.create(EMAIL, "Ada", PASSWORD, is_verified=True, by=Actor.operator()).id
    of_bo = shop.order((PEN, 1), customer=bo)  # placed with Ada's address, signed in as Bo
    assert claim(ada) == "0"
    assert owner(of_bo) == bo
    guest = shop.order((PEN, 1))
    assert claim(bo) == "0"
    assert owner(guest) is None
    shop.sweep()


def test_after_a_change_of_the_address_orders_of_the_new_one_are_claimed(shop: Shop) -> None:
    shop.app.config["RATE_LIMITS"] = False
    order = shop.order((PEN, 1))
    person = signin.create("old@example.com", "Ada", PASSWORD, by=Actor.operator()).id
    credentials.request_email_change(person, PASSWORD, EMAIL, Origin("192.0.2.1"))
    assert claim(person) == "not_verified"
    credentials.change_email(newest_token(LinkPurpose.CHANGE_EMAIL), by=person)
    assert claim(person) == "1"
    assert owner(order) == person
    shop.sweep()


def test_one_transaction_claims_a_batch_and_the_oldest_orders_first(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_claim, "BATCH", 2)
    orders = [shop.order((PEN, 1)) for _ in range(3)]
    ada = signin.create(EMAIL, "Ada", PASSWORD, is_verified=True, by=Actor.operator()).id
    assert claim(ada) == "2"
    assert [owner(order) for order in orders] == [ada, ada, None]
    assert [claim(ada), claim(ada)] == ["1", "0"]
    assert [[event.kind for event in events.since(order.id, 0)].count("order.claimed") for order in orders] == [1] * 3
    shop.sweep()


def test_orders_claimed_twice_at_once_get_one_event_each(shop: Shop) -> None:
    orders = [shop.order((PEN, 1)) for _ in range(3)]
    ada = signin.create(EMAIL, "Ada", PASSWORD, is_verified=True, by=Actor.operator()).id
    shop.sweep()
    start = Barrier(8)

    def run(do: Callable[[int], str]) -> str:
        with shop.app.app_context():
            start.wait()
            return do(ada)

    with ThreadPoolExecutor(8) as pool:
        outcomes = [done.result() for done in [pool.submit(run, claim) for _ in range(8)]]
    assert sorted(outcomes) == ["0"] * 7 + ["3"]
    kinds = [[event.kind for event in events.since(order.id, 0)].count("order.claimed") for order in orders]
    assert kinds == [1, 1, 1]
    shop.sweep()
