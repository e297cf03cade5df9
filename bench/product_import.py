"""Cost of a line of a CSV file of products, imported and exported, on SQLite and PostgreSQL.

The products have texts in four languages, prices in three currencies and opening stock. Milliseconds of CPU of this
process and of PostgreSQL's by line, because other programs on the machine hardly change them.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.many_products import add_categories, product, vocabularies
from bench.server_time import Cost, MeasuredShop, postgres
from bench.tools import table
from shop.catalogue import product_fields
from shop.catalogue.product_fields import Fields
from shop.core import csv_cells
from shop.core.actor import Actor
from shop.core.db import db
from shop.merchandising import csv_export, csv_file, imports
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import migrate

GOAL = 3.0
"""Milliseconds of CPU that a line takes at most."""


def files(lines: int) -> tuple[bytes, bytes]:
    """A file of new products, and one that changes a price and a text of each."""
    of, dice, columns = vocabularies(), random.Random(2), csv_file.columns()
    rows: list[dict[str, str]] = []
    for at in range(lines):
        made = product(at, of, dice)
        fields = Fields(**{name: made[name] for name in Fields.__dataclass_fields__ if name in made})
        rows.append({"sku": made["sku"], "state": "", **product_fields.as_typed(fields), "opening_units": "12"})
    changed = [row | {"price.TWD": "77", "summary": f"New {row['summary']}"} for row in rows]
    written = (
        csv_cells.lines([columns, *([row[name] for name in columns] for row in some)]) for some in (rows, changed)
    )
    return next(written), next(written)


def measured(shop: MeasuredShop, lines: int) -> Iterator[tuple[str, Cost]]:
    """Each step with its cost."""
    new, changed = files(lines)
    steps = (
        ("dry run, new", new, True, "created"),
        ("import, new", new, False, "created"),
        ("import again, unchanged", new, False, "unchanged"),
        ("dry run, changed", changed, True, "changed"),
        ("import, changed", changed, False, "changed"),
    )
    for name, content, is_dry_run, outcome in steps:
        with shop.measured(cost := Cost()):
            import_id = imports.request(
                content, "products.csv", is_dry_run=is_dry_run, by=Actor.operator(), is_claimed=True
            )
            job = imports.run(import_id)
        assert getattr(job, outcome) == job.lines == lines, (name, job.created, job.changed, job.refused)
        yield name, cost
    with shop.measured(cost := Cost()):
        assert b"".join(csv_export.export()).count(b"\r\n") >= lines + 1
    yield "export", cost


def measure(database: str, url: str, redis_url: str, lines: int) -> bool:
    """Print the table of one database. True when the goal is missed."""
    migrate(url)
    shop = MeasuredShop(url, redis_url)
    with shop.app.app_context():
        add_categories(vocabularies(), random.Random(1))
        shop.find_backends()
        before = os.getloadavg()[0]
        found = list(measured(shop, lines))
        db.engine.dispose()
    rows = [(name, cost.cpu[0] / lines, cost.times[0] / lines, cost.statements / lines) for name, cost in found]
    load = f"load {before:.1f} to {os.getloadavg()[0]:.1f}"
    table(f"{database}, {lines:,} lines; {load}", [("ms a line", "CPU", "time", "statements"), *rows])
    return any(cpu > GOAL for _, cpu, *_ in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    options = parser.parse_args()
    redis, missed = RedisServer(), False
    try:
        if "sqlite" in options.databases:
            with tempfile.TemporaryDirectory(prefix="settled-import-") as folder:
                missed |= measure("SQLite", f"sqlite:///{Path(folder) / 'shop.db'}", redis.url, options.lines)
        if "postgresql" in options.databases:
            with postgres() as server:
                missed |= measure("PostgreSQL", server.url(server.create()), f"{redis.url}?db=1", options.lines)
    finally:
        redis.close()
    raise SystemExit("the goal is missed" if missed else 0)


if __name__ == "__main__":
    main()
