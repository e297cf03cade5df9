"""Shared tools of the benchmarks: a demo instance, parallel clients, and a table of results."""

from __future__ import annotations

import itertools
import os
import platform
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from e2e.customers import HttpCustomer, Placed
from e2e.demo import Demo

Item = TypeVar("Item")
Result = TypeVar("Result")
HANDS = 8


@contextmanager
def running(**settings: str) -> Iterator[Demo]:
    """The whole demo on free ports, in a temporary folder, with ample stock."""
    with tempfile.TemporaryDirectory(prefix="settled-bench-") as folder:
        demo = Demo(Path(folder), SEED_STOCK="100", **settings)
        try:
            demo.start()
            yield demo
        finally:
            demo.close()


def each(items: Iterable[Item], do: Callable[[Item], Result], hands: int = HANDS) -> list[Result]:
    """Call `do` for all items, several at a time; results in order."""
    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(do, items))


def waiting_payments(demo: Demo, count: int) -> list[tuple[Placed, str]]:
    """`count` orders with an open payment page, and the acquirer's ids of the payments.

    Each order has one product, in turn.
    """
    goods = itertools.cycle(re.findall(r'<h2><a href="/products/([^"]+)"', HttpCustomer(demo).page("/")))
    sold_out = {"paper-lantern"}
    next_one = threading.Lock()

    def orders_of_one(number: int) -> list[tuple[Placed, str]]:
        placed = []
        http_customer = HttpCustomer(demo)
        for _ in range(number):
            with next_one:
                slug = next(one for one in goods if one not in sold_out)
            order = http_customer.order(slug)
            placed.append((order, http_customer.go_and_pay(order)))
        return placed

    most = 5  # unpaid orders allowed per customer
    shares = [min(most, count - done) for done in range(0, count, most)]
    return [one for found in each(shares, orders_of_one) for one in found]


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100).__int__() - 1)]


def table(title: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Print the rows in columns, numbers on the right."""
    texts = [[f"{cell:,.2f}" if isinstance(cell, float) else f"{cell}" for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    print(f"\n{title}  ({os.cpu_count()} cores, Python {platform.python_version()})")
    for row in texts:
        first, *others = [
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "   ".join([first, *others]))


def note(text: str) -> None:
    """Print one line of progress."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)
