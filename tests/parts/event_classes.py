"""The event classes of the shop, and the payloads that they can have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields

from shop.alerts import events as of_alerts
from shop.core.event_types import Event

_DEFINED_IN = (Event.__module__, of_alerts.__name__)


def of_base(base: type[Event]) -> set[type[Event]]:
    """The classes below `base` that have a kind. Others hold fields that several kinds share."""
    below = {found for child in base.__subclasses__() for found in {child, *of_base(child)}}
    return {one for one in below if hasattr(one, "KIND") and one.__module__ in _DEFINED_IN}


def kinds_without_a_class(kinds: Iterable[str]) -> list[str]:
    return sorted(set(kinds) - {str(one.KIND) for one in of_base(Event)})


def keys(event: type[Event]) -> tuple[set[str], set[str]]:
    """Keys that every payload of a class has, and those that only some have."""
    required = [one.name for one in fields(event) if one.default is MISSING]
    always = set(event(**{name: {} for name in required}).payload())
    return always, set(event(**{one.name: {} for one in fields(event)}).payload()) - always
