"""Column types for members of a StrEnum and for actors, stored as text."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Generic, TypeVar

from sqlalchemy import Text
from sqlalchemy.types import TypeDecorator

from shop.core.actor import Actor

E = TypeVar("E", bound=StrEnum)


class EnumText(TypeDecorator[E], Generic[E]):
    """A member of `kind`, stored as its value. Another value raises ValueError, written or read."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: E | None, dialect: Any) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: Any, dialect: Any) -> E | None:
        return None if value is None else self.kind(value)


class ActorText(TypeDecorator[Actor]):
    """An actor, stored as its text form. Anything else raises TypeError."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Actor | None, dialect: Any) -> str | None:
        if value is not None and not isinstance(value, Actor):
            raise TypeError(f"an Actor is needed, not {value!r}")
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Any) -> Actor | None:
        return None if value is None else Actor.parse(value)
