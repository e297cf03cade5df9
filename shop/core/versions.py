"""Rows that staff change in forms. Each counts its changes in `version`, and a form names the version that it showed:
so it never overwrites what a colleague has saved meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, delete, select, update

from shop.core.db import Base, db, insert, table
from shop.core.errors import Refusal

NEW = 0
"""The version that a form names for a row that does not exist yet."""
Row = Mapping[str, Any]


class ChangedMeanwhile(Refusal):
    """The row is not what the form showed; nothing was saved."""

    def __init__(self, message: str = "") -> None:
        default = "This was changed after you opened the form. Nothing was saved. Check the present values, save again."
        super().__init__("changed_meanwhile", message or default)


class AlreadyExists(Refusal):
    """A form for a new row names one that exists."""

    def __init__(self, name: str) -> None:
        super().__init__("already_exists", f"{name} exists already. Open it to change it.")


def locked(model: type[Base], key: Row) -> Row | None:
    """The columns of a row, None if it does not exist. Locks it, so that no other change comes between."""
    found = db.session.execute(select(table(model)).where(_is(model, key)).with_for_update()).mappings().first()
    return None if found is None else dict(found)


def check(before: Row | None, seen: int | None, name: str) -> None:
    """Raise ChangedMeanwhile or AlreadyExists unless the locked row has the version that the form showed. None: the
    change was not made in a form, and replaces whatever there is.
    """
    if seen == NEW and before is not None:
        raise AlreadyExists(name)
    if seen is not None and seen != NEW and before is None:
        raise ChangedMeanwhile(f"{name} was deleted after you opened the form. Nothing was saved.")
    if seen is not None and before is not None and before["version"] != seen:
        raise ChangedMeanwhile


def save(model: type[Base], key: Row, before: Row | None, values: Row, *, seen: int | None, name: str) -> bool:
    """Insert the row, or change it from `before`, which `locked` has returned. False if it has these values already,
    whatever the form showed: the same form may come twice.

    Raises ChangedMeanwhile and AlreadyExists, which call the row by its `name`.
    """
    if before is not None and all(before[column] == value for column, value in values.items()):
        return False
    check(before, seen, name)
    if before is None:
        row = insert(model, plain=True).values(**key, **values, version=1).on_conflict_do_nothing()
        if db.session.execute(row.returning(table(model).c.version)).first() is None:
            raise AlreadyExists(name)
        return True
    db.session.execute(update(table(model)).where(_is(model, key)).values(**values, version=before["version"] + 1))
    return True


def remove(model: type[Base], key: Row, before: Row, *, seen: int | None, name: str) -> None:
    """Delete a locked row. Raises ChangedMeanwhile."""
    check(before, seen, name)
    db.session.execute(delete(table(model)).where(_is(model, key)))


def _is(model: type[Base], key: Row) -> Any:
    return and_(*(table(model).c[column] == value for column, value in key.items()))
