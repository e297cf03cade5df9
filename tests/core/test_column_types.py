"""Columns of enum members and actors: stored as text, read as what they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from shop.core.actor import Actor
from shop.core.column_types import ActorText, EnumText
from shop.orders.states import OrderState

TABLE = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", EnumText(OrderState)),
    sa.Column("by", ActorText),
)
STORED = sa.text("SELECT state, by FROM things")


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as opened:
        TABLE.metadata.create_all(opened)
        yield opened
    engine.dispose()


def test_members_and_actors_are_stored_as_text_and_read_back(connection: sa.Connection) -> None:
    connection.execute(TABLE.insert(), {"state": OrderState.PAID, "by": Actor.staff(3)})
    assert connection.execute(STORED).one() == ("PAID", "staff:3")
    state, by = connection.execute(sa.select(TABLE.c.state, TABLE.c.by)).one()
    assert (state is OrderState.PAID, by) == (True, Actor.staff(3))
    found = sa.select(TABLE.c.id).where(TABLE.c.state == OrderState.PAID, TABLE.c.by == Actor.staff(3))
    assert connection.scalar(found) == 1


def test_nothing_stays_nothing(connection: sa.Connection) -> None:
    connection.execute(TABLE.insert(), {"state": None, "by": None})
    assert connection.execute(sa.select(TABLE.c.state, TABLE.c.by)).one() == (None, None)


@pytest.mark.parametrize(("column", "value"), [("state", "LOST"), ("by", "somebody")])
def test_a_stored_value_that_is_none_is_an_error(connection: sa.Connection, column: str, value: str) -> None:
    connection.execute(sa.text(f"INSERT INTO things ({column}) VALUES (:value)"), {"value": value})
    with pytest.raises(ValueError):
        connection.execute(sa.select(TABLE.c[column])).all()
