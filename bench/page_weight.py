"""JavaScript and CSS that the order page loads before it works, gzipped. Fails above the budget."""

from __future__ import annotations

import gzip
import re
import sys

from bench.tools import running, table
from e2e.customers import HttpCustomer

BUDGET = 25_000  # bytes


def main() -> int:
    with running() as demo:
        http_customer = HttpCustomer(demo)
        page = http_customer.page(http_customer.order().url)
        assets = re.findall(r'<(?:script src|link rel="stylesheet" href)="([^"]+)"', page)
        bodies = {path: http_customer.client.get(path).raise_for_status().content for path in assets}
    sizes = {path.partition("?")[0]: (len(body), len(gzip.compress(body, 9))) for path, body in bodies.items()}
    raw, zipped = (sum(column) for column in zip(*sizes.values(), strict=True))
    rows: list[tuple[object, ...]] = [("file", "bytes", "gzipped"), *((path, *both) for path, both in sizes.items())]
    rows += [("all", raw, zipped), ("budget", "", BUDGET), ("share of the budget", "", zipped / BUDGET)]
    table("JavaScript and CSS of the order page", rows)
    return int(zipped > BUDGET)


if __name__ == "__main__":
    sys.exit(main())
