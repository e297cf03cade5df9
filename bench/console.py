"""Server time of the staff console's pages with 1,000,000 orders, on SQLite and PostgreSQL.

An admin is signed in. Each round requests every address once, in a shuffled order (see `server_time`).
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from html import unescape

from bench import server_time
from bench.console_addresses import Address, addresses
from bench.console_history import ADMIN, PASSWORD, fill
from bench.page_requests import Visitor
from bench.server_time import Cost, MeasuredShop
from bench.tools import note, percentile, table

P50, P99 = 15.0, 50.0
"""Goals in milliseconds."""


@dataclass
class Measured:
    """A page of an address, with its cost."""

    page: str
    address: Address
    path: str
    cost: Cost = field(default_factory=Cost)

    @property
    def misses(self) -> bool:
        limit = self.address.statements
        slow = self.cost.p50 > P50 or self.cost.p99 > P99
        return slow or (limit is not None and self.cost.statements > limit)


def sign_in(visitor: Visitor) -> None:
    visitor.request("/sign-in")
    form = {"csrf_token": visitor.field("csrf_token"), "email": ADMIN, "password": PASSWORD}
    assert visitor.request("/sign-in", form).startswith("/"), "not signed in"


def pages(visitor: Visitor, address: Address) -> Iterator[Measured]:
    """The pages of an address that exist; the tenth is found by following the links."""
    yield Measured("first", address, address.address)
    path = address.address
    for number in range(2, 11) if "tenth" in address.pages else ():
        path = _link(visitor.request(path), "next")
        if not path:
            break
        if number == 10:
            yield Measured("tenth", address, path)
    if "last" in address.pages and (path := _link(visitor.request(address.address), "last")):
        yield Measured("last", address, path)


def _link(page: str, rel: str) -> str:
    found = re.search(rf'<a href="([^"]+)" rel="{rel}"', page)
    return unescape(found[1]) if found else ""


def measure(database: str, shop: MeasuredShop, _orders: int, options: argparse.Namespace) -> bool:
    """Print the tables of one database. True if a goal is missed."""
    sign_in(shop.visitor)
    with shop.app.app_context():
        wanted = [one for one in addresses() if options.only in one.group or options.only in one.address]
    shop.find_backends()
    found = [page for one in wanted for page in pages(shop.visitor, one)]
    note(f"{database}: {len(found)} pages, {options.rounds} rounds; load {os.getloadavg()[0]:.1f}")
    order = random.Random(7)
    for number in range(options.rounds + 1):
        for page in order.sample(found, len(found)):
            with shop.measured(page.cost if number else Cost()):  # the first round warms up
                shop.visitor.request(page.path)
    note(f"{database}: load {os.getloadavg()[0]:.1f}")
    _print(database, found)
    return any(page.misses for page in found)


def _print(database: str, found: list[Measured]) -> None:
    heading = ("p50 ms", "p99 ms", "slowest p50", "CPU ms", "most CPU", "statements")
    rows: list[tuple[object, ...]] = [("pages", "number", *heading)]
    for group in dict.fromkeys(page.address.group for page in found):
        of = [page.cost for page in found if page.address.group == group]
        times = [took for cost in of for took in cost.times]
        cpu = [statistics.median(cost.cpu) for cost in of]
        middle = statistics.median(times), percentile(times, 99), max(cost.p50 for cost in of)
        rows.append((group, len(of), *middle, statistics.median(cpu), max(cpu), max(cost.statements for cost in of)))
    table(f"Console, {database}", rows)
    missed = sorted((page for page in found if page.misses), key=lambda page: -page.cost.p50)
    if missed:
        details = [(page.address.address[:90], page.page, *page.cost.row()) for page in missed]
        table(f"Goals missed, {database}", [("address", "page", *Cost.HEADING), *details])


def main() -> None:
    parser = server_time.parser(__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    server_time.run(options, "console", [options.orders], fill, partial(measure, options=options))


if __name__ == "__main__":
    main()
