"""Idempotency keys: one effect, the first answer again, and nothing frozen that had no effect."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from shop.api import orders
from shop.core.db import db, transaction
from shop.idempotency import keys
from shop.idempotency.decide import LASTS, LEASE, Conflict, InFlight, New, Replay, Resume, Stored, decide
from shop.idempotency.keys import Key, Taken
from shop.idempotency.models import IdempotencyKey
from shop.orders.models import Order
from tests.api.conftest import ADDRESS, Program, new_order, only_order, signed_in
from tests.shop_fixtures import KETTLE, UNITS, Shop

AT = datetime(2026, 12, 1, 12, tzinfo=UTC)
KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, New()),
        (Stored("same", "7", AT, AT), New()),
        (Stored("other", "7", AT, AT + LASTS), Conflict()),
        (Stored("other", "7", AT, AT), New()),
        (Stored("same", "7", AT, AT + LASTS, 201, "{}"), Replay(201, "{}")),
        (Stored("same", "7", AT + LEASE, AT + LASTS), InFlight(60)),
        (Stored("same", "7", AT + timedelta(milliseconds=1), AT + LASTS), InFlight(1)),
        (Stored("same", "7", AT, AT + LASTS), Resume("7")),
    ],
)
def test_a_stored_key_decides_what_a_call_does(stored: Stored | None, expected: object) -> None:
    assert decide(stored, "same", AT) == expected


def test_a_repetition_gets_the_first_answer_and_places_no_second_order(shop: Shop, guest: Program) -> None:
    first, again = guest.place(key=KEY), guest.place(key=KEY)
    assert (again.status_code, again.data) == (201, first.data)
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    assert shop.count(Order) == 1 and shop.can_sell() == UNITS - 1


def test_the_order_of_fields_does_not_make_another_body(guest: Program) -> None:
    body = new_order()
    first = guest.post("/orders", body, key=KEY)
    again = guest.post("/orders", dict(reversed(body.items())), key=KEY)
    assert again.data == first.data


def test_another_body_with_the_same_key_is_422(shop: Shop, guest: Program) -> None:
    guest.place(key=KEY)
    answer = guest.place((KETTLE, 2), key=KEY)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert shop.count(Order) == 1


def test_keys_of_different_callers_are_different_keys(shop: Shop, guest: Program) -> None:
    may, ada = signed_in(shop), signed_in(shop)
    assert {program.place(key=KEY).status_code for program in (guest, may, ada)} == {201}
    assert shop.count(Order) == 3


@pytest.mark.parametrize("key", ["", "short", "k" * 31, "k" * 256, "k" * 31 + " ", "k" * 31 + "é"])
def test_a_guest_needs_a_key_that_cannot_be_guessed(shop: Shop, guest: Program, key: str) -> None:
    answer = guest.post("/orders", new_order(), key=key)
    expected = (422, "idempotency_key_invalid") if key else (400, "idempotency_key_required")
    assert (answer.status_code, answer.json["code"]) == expected
    assert shop.count(Order) == 0


def test_a_refused_call_leaves_its_key_unused(shop: Shop, guest: Program) -> None:
    assert guest.place((KETTLE, UNITS + 1), key=KEY).status_code == 409
    assert guest.place(address=ADDRESS | {"name": ""}, key=KEY).status_code == 422
    assert guest.place(key=KEY).status_code == 201


def test_a_call_in_progress_is_409_and_after_the_lease_a_repetition_answers_from_the_row(
    shop: Shop, guest: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_order: Order) -> None:
        raise RuntimeError("the process dies after the commit")

    with monkeypatch.context() as broken:
        broken.setattr(orders, "body_of", crash)
        shop.app.config["PROPAGATE_EXCEPTIONS"] = False
        assert guest.place(key=KEY).status_code == 500
    waiting = guest.place(key=KEY)
    assert (waiting.status_code, waiting.json["code"]) == (409, "idempotency_in_flight")
    assert int(waiting.headers["Retry-After"]) >= 1
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=61)):
        answer = guest.place(key=KEY)
        assert (answer.status_code, answer.json["id"]) == (201, only_order().id)
        assert guest.place(key=KEY).headers["Idempotency-Replayed"] == "true"
    assert shop.count(Order) == 1


def test_a_key_is_forgotten_after_a_day(shop: Shop, guest: Program) -> None:
    guest.place(key=KEY)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=24, seconds=1)):
        assert guest.place((KETTLE, 2), key=KEY).status_code == 201
    assert shop.count(Order) == 2 and shop.count(IdempotencyKey) == 1


def test_a_key_is_optional_where_a_call_is_safe_to_repeat(shop: Shop) -> None:
    may = signed_in(shop)
    order = may.placed(email=None)
    first = may.post(f"/orders/{order['id']}/cancel", key="k1")
    again = may.post(f"/orders/{order['id']}/cancel", key="k1")
    other = may.post(f"/orders/{order['id']}/cancel", {"reason": "x"}, key="k1")
    assert (first.data, again.headers["Idempotency-Replayed"], other.status_code) == (again.data, "true", 422)


def test_of_fifty_identical_calls_at_once_one_places_an_order(shop: Shop) -> None:
    shop.app.config["RATE_LIMITS"] = False
    answers: list[int] = []
    barrier = threading.Barrier(50)

    def place() -> None:
        with shop.app.app_context():
            barrier.wait()
            answers.append(Program(shop).place(key=KEY).status_code)

    threads = [threading.Thread(target=place) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(answers) <= {201, 409} and answers.count(201) >= 1, Counter(answers)
    assert shop.count(Order) == 1 and shop.can_sell() == UNITS - 1
    assert Program(shop).place(key=KEY).headers["Idempotency-Replayed"] == "true"


def test_a_key_is_claimed_by_one_of_two_transactions_and_only_inside_of_one(shop: Shop) -> None:
    key = Key("user 1 POST /x", "k", "digest")
    with pytest.raises(RuntimeError):
        keys.claim(key, "1")
    with transaction():
        keys.claim(key, "1")
    with pytest.raises(Taken), transaction():
        keys.claim(key, "2")
    assert db.session.scalars(db.select(IdempotencyKey.subject)).one() == "1"
