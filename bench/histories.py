"""Generated histories of the shop (`tests/chaos/history.py`), in any number and on several cores.

.venv/bin/python -m bench.histories --database postgresql --examples 5000

Each process runs its share with its own seed, on its own SQLite file or PostgreSQL server; a failure is shrunk,
printed, stored in the folder that `--keep` names, and tried first in the next run. Exit status 1 after a failure.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from hypothesis.database import DirectoryBasedExampleDatabase

from bench.tools import note, table
from tests.chaos.fast_databases import DATABASES
from tests.chaos.history import STEPS, History, run_histories
from tests.chaos.world import world

BATCH = 50
"""Histories between two looks at the clock; each batch generates new ones."""
KEPT = Path("var/histories")


def main() -> None:
    arguments = _arguments()
    began = time.monotonic()
    results: multiprocessing.Queue[tuple[str, Any]] = multiprocessing.get_context("spawn").Queue()
    share = -(-arguments.examples // arguments.processes)
    workers = [
        multiprocessing.get_context("spawn").Process(
            target=_share,
            args=(
                results,
                arguments.database,
                share,
                arguments.steps,
                str(arguments.keep / arguments.database),
                arguments.seed + number,
            ),
        )
        for number in range(arguments.processes)
    ]
    for worker in workers:
        worker.start()
    finished, found = 0, list[str]()
    while any(worker.is_alive() for worker in workers) or not results.empty():
        try:
            kind, value = results.get(timeout=1)
        except Empty:
            continue
        if kind == "finished":
            finished += value
            note(f"{finished:>7} histories, {finished / (time.monotonic() - began):6.1f} a second, {len(found)} failed")
        else:
            found.append(value)
            note(value)
    died = [worker.exitcode for worker in workers if worker.exitcode not in (0, 1)]
    seconds = time.monotonic() - began
    table(
        f"Histories of the shop, {arguments.database}",
        [
            ("finished", finished),
            ("steps at most", arguments.steps),
            ("processes", arguments.processes),
            ("seconds", seconds),
            ("histories a second", finished / seconds),
            ("failed", len(found)),
            ("processes that died", len(died)),
        ],
    )
    sys.exit(1 if found or died else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.histories", description=__doc__)
    parser.add_argument("--database", choices=sorted(DATABASES), default="sqlite")
    parser.add_argument("--examples", type=int, default=100_000, help="histories in all")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of a history, at most")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed generates the same histories")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for failing histories")
    return parser.parse_args()


def _share(results: Any, database: str, examples: int, steps: int, keep: str, seed: int) -> None:
    """Run histories in this process. After a failure the next batch continues without that history."""
    kept: DirectoryBasedExampleDatabase | None = DirectoryBasedExampleDatabase(keep)
    failed = False
    with world(database) as lent, _counted() as count:
        for number, first in enumerate(range(0, examples, BATCH)):
            try:
                run_histories(
                    lent, min(BATCH, examples - first), steps=steps, seed=seed * 1_000_003 + number, database=kept
                )
            except Exception:  # noqa: BLE001 - any failure is reported; the others continue
                results.put(("failure", traceback.format_exc()))
                failed, kept = True, None
            results.put(("finished", count.pop()))
            count.append(0)
    sys.exit(1 if failed else 0)


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Count finished histories in the last element of a list."""
    count, end = [0], History.teardown

    def teardown(self: History) -> None:
        count[-1] += 1
        end(self)

    History.teardown = teardown  # type: ignore[method-assign]
    try:
        yield count
    finally:
        History.teardown = end  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
