"""Server time of the catalogue and of product search with 200 and with 100,000 products, on SQLite and PostgreSQL.

Each request searches for another word of its kind, in a shuffled order (see `server_time`).
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode

from bench import server_time
from bench.many_products import CATEGORIES, fill, vocabularies
from bench.server_time import Cost, MeasuredShop
from bench.tools import table

GOAL_OF_SEARCH, GOAL_OF_CATALOGUE = 20.0, 10.0
"""Milliseconds: the 99th percentile of each search, and the median of the catalogue with 200 products."""
SMALL = 200
Path = Callable[[random.Random], str]


@dataclass
class Measured:
    """A kind of request, with its cost."""

    name: str
    path: Path
    cost: Cost = field(default_factory=Cost)


def searches() -> list[Measured]:
    """Kinds of requests. Words are those of the texts, by the frequency that they have there."""
    of = vocabularies()
    english, chinese, japanese = (of[locale].words for locale in ("en", "zh_Hant", "ja"))

    def kind(name: str, q: Callable[[random.Random], str], **more: str) -> Measured:
        return Measured(name, lambda dice: f"/?{urlencode({'q': q(dice), **more})}")

    def frequent(dice: random.Random) -> str:
        return english[dice.randrange(8)]

    def usual(dice: random.Random) -> str:
        return english[dice.randrange(40, 400)]

    def typing_error(dice: random.Random) -> str:
        word = english[dice.randrange(40, 4000)] + "te"
        at = dice.randrange(1, len(word) - 1)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    def of_kind(dice: random.Random) -> str:
        return f"/?category=kind-{dice.randrange(CATEGORIES)}"

    return [
        Measured("catalogue", lambda _: "/"),
        Measured("category", of_kind),
        Measured("category by price, in stock", lambda dice: f"{of_kind(dice)}&sort=price&stock=in"),
        kind("word of most products", frequent),
        kind("word", usual),
        kind("rare word", lambda dice: english[dice.randrange(3000, 6000)]),
        kind("beginning of a word", lambda dice: usual(dice)[:3]),
        kind("two words", lambda dice: f"{usual(dice)} {usual(dice)}"),
        kind("typing error", typing_error),
        kind("Chinese", lambda dice: chinese[dice.randrange(10, 2000)]),
        kind("Chinese character", lambda dice: chinese[dice.randrange(10, 2000)][0]),
        kind("Japanese", lambda dice: japanese[dice.randrange(10, 2000)]),
        kind(
            "category, price, in stock, by price", usual, category="kind-2", price_from="500", stock="in", sort="price"
        ),
        kind("frequent, by price", frequent, sort="price-desc"),
        kind("frequent, by name", frequent, sort="name"),
        kind("usual, by name", usual, sort="name"),
        kind("frequent, narrow price", frequent, price_from="500", price_to="510"),
        kind("newest", usual, sort="newest"),
        kind("frequent, page 10", frequent, page="10"),
        kind("frequent, page 10 by price", frequent, page="10", sort="price"),
    ]


def measure(database: str, shop: MeasuredShop, products: int, options: argparse.Namespace) -> bool:
    """Send the requests of all kinds in a shuffled order, and print the table. True when a goal is missed."""
    kinds = [kind for kind in searches() if options.only in kind.name]
    kinds = kinds[:2] if products == SMALL else kinds
    dice = random.Random(7)
    for kind in kinds * 5:  # warms up
        shop.visitor.request(kind.path(dice))
    shop.find_backends()
    before = os.getloadavg()[0]
    for kind in dice.sample(kinds * options.requests, len(kinds) * options.requests):
        path = kind.path(dice)
        with shop.measured(kind.cost):
            shop.visitor.request(path)
    rows: list[tuple[object, ...]] = [("request", *Cost.HEADING)]
    rows += [(kind.name, *kind.cost.row()) for kind in kinds]
    load = f"load {before:.1f} to {os.getloadavg()[0]:.1f}"
    table(f"{database}, {products:,} products; {options.requests} requests each; {load}", rows)
    if products == SMALL:
        return any(kind.cost.p50 > GOAL_OF_CATALOGUE for kind in kinds)
    return any(kind.cost.p99 > GOAL_OF_SEARCH for kind in kinds)


def main() -> None:
    parser = server_time.parser(__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    options = parser.parse_args()
    sizes = (SMALL, options.products)
    server_time.run(options, "products", sizes, lambda _, size: fill(size), partial(measure, options=options))


if __name__ == "__main__":
    main()
