"""Menu of the console: each page module declares its links, and readers see those that they may open."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from flask import request, url_for

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


@dataclass(frozen=True)
class Entry:
    """A link with the address of its page."""

    title: str
    endpoint: str
    address: str

    def contains(self, path: str) -> bool:
        """True for a page below this one, such as a product below Products. Every page is below To do."""
        return self.endpoint != "ops.home.show" and path.startswith(f"{self.address}/")


Menu = tuple[tuple[Group, tuple[Entry, ...]], ...]


def menu_with_addresses(links: tuple[Link, ...], permissions: frozenset[Permission]) -> Menu:
    """The menu for the pages of a request."""
    return _with_addresses(links, permissions, request.script_root)


@lru_cache(maxsize=64)
def _with_addresses(links: tuple[Link, ...], permissions: frozenset[Permission], _root: str) -> Menu:
    """Kept, because it is on every page. The addresses begin with the root of the request."""
    return tuple(
        (group, tuple(Entry(link.title, link.endpoint, url_for(link.endpoint)) for link in of_group))
        for group, of_group in menu(links, permissions)
    )
