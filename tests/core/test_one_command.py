"""Writes as one command: the same effects as one by one, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import bindparam, insert, update
from sqlalchemy.exc import IntegrityError

from shop.core import clock
from shop.core.db import db, pipeline, table, transaction
from shop.core.one_command import OneCommand
from shop.inventory.models import Stock, StockMovement
from tests.parts.statements import everything, statements
from tests.shop_fixtures import KETTLE, PEN, UNITS

_STOCK = table(Stock)
_ADD = update(_STOCK).where(_STOCK.c.sku == bindparam("of")).values(on_hand=_STOCK.c.on_hand + bindparam("units"))
_MOVED = insert(table(StockMovement)).inline()


@pytest.fixture(autouse=True)
def inside(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def both(*, units: int = 5, moved: str = KETTLE) -> OneCommand:
    """Two writes of one kind and one of another."""
    command = OneCommand()
    command.add(_ADD, {"of": KETTLE, "units": units})
    command.add(_ADD, {"of": PEN, "units": 1})
    command.add(_MOVED, {"sku": moved, "quantity": units, "kind": "receipt", "at": clock.wall()})
    return command


def on_hand() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(db.select(Stock.on_hand).order_by(Stock.sku)))


def test_all_writes_of_a_command_take_effect() -> None:
    with transaction(), pipeline() as connection:
        both().execute(connection)
    assert on_hand() == [UNITS + 5, UNITS + 1]


def test_a_command_whose_one_write_is_refused_has_no_effect_at_all() -> None:
    before = everything()
    for refused in (both(units=-1000), both(moved="no such thing")):
        with pytest.raises(IntegrityError), transaction(), pipeline() as connection:
            refused.execute(connection)
    assert everything() == before


def test_the_values_of_one_command_are_not_those_of_the_one_before() -> None:
    for units in (1, 2):
        with transaction(), pipeline() as connection:
            both(units=units).execute(connection)
    assert on_hand() == [UNITS + 3, UNITS + 2]


def test_a_command_without_writes_sends_nothing() -> None:
    with statements() as sent, transaction(), pipeline() as connection:
        OneCommand().execute(connection)
    assert sent == []


def test_rows_of_one_table_get_their_ids_in_the_order_in_which_they_were_added() -> None:
    command = OneCommand()
    for units in range(1, 6):
        command.add(_MOVED, {"sku": KETTLE, "quantity": units, "kind": "receipt", "at": clock.wall()})
    command.add(_ADD, {"of": KETTLE, "units": 15})
    with transaction(), pipeline() as connection:
        command.execute(connection)
    newest = db.select(StockMovement.quantity).order_by(StockMovement.id.desc()).limit(5)
    assert list(db.session.scalars(newest)) == [5, 4, 3, 2, 1]
