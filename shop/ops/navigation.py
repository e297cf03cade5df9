"""Menu of the console: each page module declares its links, and readers see those that they may open."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from shop.accounts.permissions import Permission


class Group(StrEnum):
    """Group of links in the menu, by its heading."""

    WORK = "Work"
    MONEY = "Money"
    SHOP = "Shop"
    SYSTEM = "System"


@dataclass(frozen=True)
class Link:
    """A link in the menu: the page's name, its endpoint, and the permission that opens it."""

    title: str
    endpoint: str
    permission: Permission
    group: Group = Group.WORK


def menu(links: Iterable[Link], permissions: Collection[Permission]) -> list[tuple[Group, list[Link]]]:
    """The links that these permissions open, by group, in the order in which they were declared."""
    opened = [link for link in links if link.permission in permissions]
    found = [(group, [link for link in opened if link.group is group]) for group in Group]
    return [(group, of_group) for group, of_group in found if of_group]
