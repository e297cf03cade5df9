"""The fixture for races."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from shop.core.db import db

Race = Callable[[Callable[[int], Any]], list[Any]]


@pytest.fixture
def race(app: Flask) -> Race:
    """`race(do)`: eight callers call `do(number)` at once, each in its own app context; their results or exceptions."""

    def run(do: Callable[[int], Any], callers: int = 8) -> list[Any]:
        barrier = threading.Barrier(callers)
        results: list[Any] = [None] * callers

        def call(number: int) -> None:
            with app.app_context():
                db.session.execute(db.select(1))
                db.session.rollback()
                barrier.wait()
                try:
                    results[number] = do(number)
                except Exception as error:  # noqa: BLE001 - what the loser of a race gets is part of the result
                    results[number] = error

        threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return results

    return run
