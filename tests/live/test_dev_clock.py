from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from shop.core import clock

BEARER = {"Authorization": "Bearer sim_demo"}


def turn(app: Flask, body: Any, headers: dict[str, str] | None = None) -> Any:
    return app.test_client().post("/dev/clock", json=body, headers=BEARER if headers is None else headers)


def now(app: Flask) -> datetime:
    with app.app_context():
        return clock.now()


def test_the_clock_is_turned_by_a_duration_and_to_a_time(app: Flask) -> None:
    before = now(app)
    answer = turn(app, {"by": "PT35M"})
    assert answer.status_code == 200
    turned = datetime.fromisoformat(answer.json["now"])
    assert timedelta(minutes=35) <= turned - before < timedelta(minutes=36)
    assert answer.json["now"].endswith("Z")
    goal = (turned + timedelta(days=2)).replace(microsecond=0)
    assert (
        timedelta(0)
        <= datetime.fromisoformat(turn(app, {"to": goal.isoformat()}).json["now"]) - goal
        < timedelta(minutes=1)
    )


def test_the_clock_cannot_be_set_back(app: Flask) -> None:
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    assert turn(app, {"to": past}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [None, [], {}, "PT5M", {"by": 5}, {"by": "soon"}, {"by": "PT5M", "to": "2030-01-01T00:00:00Z"}, {"to": "tomorrow"},
     {"to": "2030-01-01T00:00:00"}, {"to": "9999-12-31T23:59:59Z"}, {"to": "0001-01-01T00:00:00+14:00"}],
)  # fmt: skip
def test_what_is_no_time_is_refused_and_turns_nothing(app: Flask, body: Any) -> None:
    before = now(app)
    assert turn(app, body).status_code in (409, 422)
    assert now(app) - before < timedelta(minutes=1)


def test_broken_json_is_refused(app: Flask) -> None:
    assert app.test_client().post("/dev/clock", data="{", headers=BEARER).status_code == 422


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \xff"}])
def test_without_the_control_token_nothing_is_turned(app: Flask, headers: dict[str, str]) -> None:
    assert turn(app, {"by": "PT5M"}, headers).status_code == 401


def test_production_has_no_such_thing(app: Flask) -> None:
    app.config["SETTLED_ENV"] = "production"
    assert turn(app, {"by": "PT5M"}).status_code == 404
