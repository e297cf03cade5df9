"""CPU milliseconds and SQL statements of the pages from a product to its order, in one process without a server.

A process for each checkout and database (bench/page_requests.py) sends the requests of one visitor through the WSGI app
and measures its own processor time. Acquirer and Redis are real and run beside it; the acquirer's webhooks are dropped.
With `--against FOLDER` another checkout of the repository is measured in turns with this one, on the same machine at
the same time, with the libraries of this one: what counts is the ratio.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.server_time import postgres
from bench.tools import note, running, table
from e2e.control import Control
from e2e.demo import Demo
from tests.parts.processes import ROOT

WARM = 2
"""Rounds that do not count."""
Report = dict[str, Any]


class Measured:
    """One checkout on one database. `round` returns its process's measurements."""

    def __init__(self, demo: Demo, checkout: Path, name: str, database_url: str) -> None:
        self.log = (demo.folder / f"{name}.log").open("w")
        environ = {**demo.environ, "DATABASE_URL": database_url, "LOG_FORMAT": "json", "SEED_STOCK": "100"}
        environ.pop("PROMETHEUS_MULTIPROC_DIR")
        command = [sys.executable, "-P", str(ROOT / "bench" / "page_requests.py")]
        self.process = subprocess.Popen(
            command,
            cwd=checkout,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def round(self, orders: int) -> Report:
        """Buy this many times. Raises SystemExit with the end of its log when it has ended."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{orders}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(Path(self.log.name).read_text()[-4000:])
        report: Report = json.loads(line)
        return report

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        self.log.close()


def measure(database: str, urls: list[str], checkouts: list[Path], rounds: int, orders: int) -> None:
    """Print the table of one database."""
    with running() as demo, ExitStack() as open_processes:
        Control(demo).faults(hook={"drop": 1_000_000})
        for name in ("web", "worker", "clock"):
            demo.stop(name, signal.SIGTERM)
        sides = []
        for number, checkout in enumerate(checkouts):
            url = urls[number] if urls else f"sqlite:///{demo.folder / f'measured-{number}.db'}"
            side = Measured(demo, checkout, f"measured-{number}", url)
            open_processes.callback(side.close)
            sides.append(side)
        reports: list[list[Report]] = [[] for _ in sides]
        for number in range(WARM + rounds):
            note(f"{database}: round {number + 1} of {WARM + rounds}")
            for side, found in zip(sides, reports, strict=True):
                found.append(side.round(orders))
    _print(database, [found[WARM:] for found in reports])


def _print(database: str, reports: list[list[Report]]) -> None:
    """CPU is the median over the rounds of each round's median; statements are the most of any request."""
    heading: tuple[object, ...] = ("page", "CPU ms", "statements")
    if len(reports) > 1:
        heading += ("there: CPU ms", "there: statements", "CPU, here / there")
    rows: list[tuple[object, ...]] = [heading]
    for page in reports[0][0]["cpu_ms"]:
        cells: list[object] = [page]
        values = []
        for found in reports:
            by_round = [statistics.median(report["cpu_ms"][page]) for report in found]
            values.append(statistics.median(by_round))
            cells += [values[-1], max(report["statements"][page] for report in found)]
        rows.append((*cells, *([values[0] / values[1]] if len(values) > 1 else [])))
    table(f"Pages, {database}", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout, measured in the same run")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--orders", type=int, default=4, help="orders of one visitor in a round, each cancelled")
    parser.add_argument("--databases", default="SQLite,PostgreSQL")
    options = parser.parse_args()
    checkouts = [ROOT, *([options.against.resolve()] if options.against else [])]
    databases = options.databases.lower()
    if "sqlite" in databases:
        measure("SQLite", [], checkouts, options.rounds, options.orders)
    if "postgresql" in databases:
        with postgres() as server:
            urls = [server.url(server.create()) for _ in checkouts]
            measure("PostgreSQL", urls, checkouts, options.rounds, options.orders)


if __name__ == "__main__":
    main()
