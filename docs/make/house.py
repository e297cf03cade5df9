"""The house: which rooms there are and on which floor each one is. Tests and the picture are made from this table."""

from __future__ import annotations

from dataclasses import dataclass

from docs.make.code import import_graph, sources


@dataclass(frozen=True)
class Floor:
    """Rooms of one floor; from a room, one may use its own files and the floors below."""

    number: int
    says: str
    rooms: tuple[str, ...]


FLOORS = (
    Floor(5, "roof: puts everything together", ("roof", "cli")),
    Floor(4, "doors: translate, decide nothing", ("web", "live", "jobs", "commands", "ops", "api")),
    Floor(3, "journeys across rooms", ("checkout", "alerts", "reports")),
    Floor(2, "the only room that calls acquirers", ("payments",)),
    Floor(
        1, "books: each owns its tables", ("accounts", "catalogue", "inventory", "orders", "ledger", "announcements")
    ),
    Floor(0, "ground: its arrows are not drawn", ("core", "settings")),
)
FLOOR_OF = {room: floor.number for floor in FLOORS for room in floor.rooms}

PROVIDERS = "shop.payments.providers."
PROVIDERS_MAY_USE = frozenset(
    {"shop.payments.provider", "shop.payments.sheet", "shop.payments.states", "shop.core.money", "shop.settings"}
)
"""A provider translates; it knows no database, no session and no HTML. Its own parts lie beside it as `_name_part`."""


def room_of(module: str) -> str:
    """The room of a module of the shop: `shop.orders.move` is in orders; `shop` itself is the roof."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "roof"


def rooms_in_use() -> list[str]:
    """The rooms that have files with more in them than a docstring."""
    return sorted({room_of(s.module) for s in sources("shop") if len(s.tree.body) > 1})


def arrows() -> set[tuple[str, str]]:
    """(user, used) for every two rooms of which one imports the other, as measured in the code."""
    graph = import_graph(sources("shop"))
    pairs = {(room_of(user), room_of(used)) for user, uses in graph.items() for used in uses}
    return {(user, used) for user, used in pairs if user != used}
