"""Idempotency-Key, as the manual describes it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from mock_acquirer.db import db, unit
from mock_acquirer.idempotency import Key, begin
from mock_acquirer.models import StoredAnswer
from mock_acquirer.times import wall_now
from tests.acquirer.conftest import World


def _opened(acquirer: World, reference: str) -> int:
    return len(acquirer.api("GET", f"/payments?reference={reference}").json["data"])  # type: ignore[index]


def test_the_same_key_and_body_get_the_stored_answer_and_open_one_payment(acquirer: World) -> None:
    wish = acquirer.wish(reference="ONE")
    first, again = (acquirer.api("POST", "/payments", key="k-1", json=wish) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    assert "Idempotent-Replayed" not in first.headers and again.headers["Idempotent-Replayed"] == "true"
    assert _opened(acquirer, "ONE") == 1


def test_the_same_key_with_another_body_is_refused(acquirer: World) -> None:
    acquirer.api("POST", "/payments", key="k-1", json=acquirer.wish(reference="ONE"))
    other = acquirer.api("POST", "/payments", key="k-1", json=acquirer.wish(reference="TWO"))
    assert (other.status_code, other.json["error"]["code"]) == (422, "idempotency_key_reused")  # type: ignore[index]
    assert _opened(acquirer, "TWO") == 0


def test_of_eight_calls_with_one_key_one_opens_a_payment(acquirer: World) -> None:
    wish = acquirer.wish(reference="RACE")
    answers = acquirer.at_once(8, lambda _: acquirer.api("POST", "/payments", key="k", json=wish))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json["id"] for answer in answers if answer.status_code == 201}) == 1  # type: ignore[index]
    assert _opened(acquirer, "RACE") == 1


def _begin_and_vanish(acquirer: World, wish: dict[str, Any]) -> None:
    """A process stores the key and is killed before the effect."""
    call = acquirer.app.test_client().post
    taken: list[Key] = []
    with acquirer.app.app_context():
        original = begin
        import mock_acquirer.calls as calls

        def stop(key: Key) -> Any:
            taken.append(key)
            original(key)
            raise SystemExit

        calls.idempotency.begin, kept = stop, calls.idempotency.begin  # type: ignore[assignment]
    try:
        call("/kpay/v1/payments", headers={"Authorization": "Bearer kp_test_demo", "Idempotency-Key": "k"}, json=wish)
    except SystemExit:
        pass
    finally:
        calls.idempotency.begin = kept  # type: ignore[assignment]
    assert taken


def test_while_the_first_call_is_in_flight_the_second_is_told_to_wait(acquirer: World) -> None:
    wish = acquirer.wish()
    _begin_and_vanish(acquirer, wish)
    second = acquirer.api("POST", "/payments", key="k", json=wish)
    assert (second.status_code, second.json["error"]["code"]) == (409, "idempotency_key_in_use")  # type: ignore[index]
    assert second.headers["Retry-After"] == "1"


def test_a_key_whose_process_died_is_taken_over_because_nothing_had_happened(acquirer: World) -> None:
    wish = acquirer.wish(reference="DEAD")
    _begin_and_vanish(acquirer, wish)

    @unit
    def lease_ends() -> None:
        db.session.execute(update(StoredAnswer).values(wall_in_flight_until=wall_now()))

    with acquirer.app.app_context():
        lease_ends()
    assert acquirer.api("POST", "/payments", key="k", json=wish).status_code == 201
    assert _opened(acquirer, "DEAD") == 1


def test_what_was_refused_before_any_effect_is_not_stored(acquirer: World) -> None:
    assert acquirer.api("POST", "/payments", key="k", json=acquirer.wish(amount=0)).status_code == 422
    assert acquirer.api("POST", "/payments", key="k", json=acquirer.wish()).status_code == 201


def test_a_500_after_the_effect_is_stored_and_replayed(acquirer: World) -> None:
    acquirer.faults(api=[{"op": "start", "do": "500", "when": "after_commit", "times": 1}])
    wish = acquirer.wish(reference="STORED")
    first, again = (acquirer.api("POST", "/payments", key="k", json=wish) for _ in range(2))
    assert (first.status_code, again.status_code) == (500, 500)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert _opened(acquirer, "STORED") == 1


def test_a_500_before_the_effect_stores_nothing(acquirer: World) -> None:
    acquirer.faults(api=[{"op": "start", "do": "500", "times": 1}])
    wish = acquirer.wish(reference="FREE")
    first, again = (acquirer.api("POST", "/payments", key="k", json=wish) for _ in range(2))
    assert (first.status_code, again.status_code) == (500, 201)
    assert _opened(acquirer, "FREE") == 1


def test_after_24_hours_the_key_is_forgotten(acquirer: World) -> None:
    wish = acquirer.wish(reference="LATER")
    acquirer.api("POST", "/payments", key="k", json=wish)
    acquirer.advance("PT23H59M")
    assert acquirer.api("POST", "/payments", key="k", json=wish).headers["Idempotent-Replayed"] == "true"
    acquirer.advance("PT2M")
    assert "Idempotent-Replayed" not in acquirer.api("POST", "/payments", key="k", json=wish).headers
    assert _opened(acquirer, "LATER") == 2


def test_keys_of_different_runs_know_nothing_of_each_other(acquirer: World) -> None:
    wish = acquirer.wish()
    ids = {acquirer.api("POST", "/payments", key="k", run=run, json=wish).json["id"] for run in ("a", "b")}  # type: ignore[index]
    assert len(ids) == 2


def test_an_odd_key_is_refused(acquirer: World) -> None:
    assert acquirer.api("POST", "/payments", key="x" * 256, json=acquirer.wish()).status_code == 400
