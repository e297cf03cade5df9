"""What a writing unit puts off: to its end, where it goes to the database in one trip with the commit (see tail.py), or
past its commit.

Outside of a unit everything here happens at once; inside a savepoint too, for what would go to the unit's end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import cache, partial
from typing import Any, TypeVar

from sqlalchemy import Update, bindparam, inspect, update
from sqlalchemy.orm.attributes import set_committed_value

from shop.core.db import Base, db, table
from shop.core.tail import Tail

T = TypeVar("T")


def add_last(model: type[Base], **values: Any) -> None:
    """Write a row at the end of the unit, together with all that is put off: for records that nobody in it reads.

    Every row of a table names the same columns.
    """
    tail = _open_tail()
    if tail is None:
        db.session.execute(table(model).insert(), [values])
    else:
        tail.add(table(model), values)


def change_last(statement: Update, **values: Any) -> None:
    """Carry out an UPDATE at the end of the unit: for rows that it has locked and does not look at again.

    `statement` is made once, at import, and has a bindparam for every one of `values`.
    """
    tail = _open_tail()
    if tail is None:
        db.session.execute(statement, values)
    else:
        tail.change(statement, values)


def write_last(row: Base) -> None:
    """Write what was changed on a row at the end of the unit, together with all that is put off: for a row that the
    unit has locked and does not look at again.
    """
    state = inspect(row)
    new = {name: state.dict[name] for name in sorted(state.committed_state)}
    if new:
        values = {f"new_{name}": value for name, value in new.items()}
        change_last(_of_row(type(row), tuple(new)), the_row=state.mapper.primary_key_from_instance(row)[0], **values)
        for name, value in new.items():
            set_committed_value(row, name, value)


@cache
def _of_row(model: type[Base], names: tuple[str, ...]) -> Update:
    into = table(model)
    [key] = into.primary_key
    return update(into).where(key == bindparam("the_row")).values({name: bindparam(f"new_{name}") for name in names})


def do_last(do: Callable[[list[T]], None], what: T) -> None:
    """Call `do` once at the end of the unit, with everything that was put before it until then: for what is done to
    many in one trip.
    """
    tail = _open_tail()
    if tail is None:
        do([what])
    else:
        tail.first.setdefault(do, []).append(what)


def after_commit(callback: Callable[[], None]) -> None:
    """Call `callback` once the current unit has committed, with the log's ids of now."""
    as_now: Callable[[], None] = partial(copy_context().run, callback)
    after_commit_once(_call_each, as_now)


def after_commit_once(do: Callable[[list[T]], None], what: T) -> None:
    """Call `do` once the current unit has committed, with everything that was put before it until then."""
    after = db.session().info.get("after_commit")
    if after is None:
        do([what])
    else:
        after.setdefault(do, []).append(what)


def _call_each(callbacks: list[Callable[[], None]]) -> None:
    for callback in callbacks:
        callback()


def _open_tail() -> Tail | None:
    session = db.session()
    return None if session.in_nested_transaction() else session.info.get("tail")
