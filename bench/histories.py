"""The shop's life (`tests/chaos/life.py`) as often as one likes, on several cores.

    .venv/bin/python -m bench.histories --examples 100000

Each process lives its share with a seed of its own; what any of them finds is shrunk, printed, kept in the folder that
`--keep` names, and tried first the next time. Exit status 1 when a life came to grief.
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
from tests.chaos.life import STEPS, Life, live
from tests.chaos.world import world

BATCH = 500
"""Lives between two looks at the clock; each batch thinks of others."""
KEPT = Path("var/histories")


def main() -> None:
    arguments = _arguments()
    began = time.monotonic()
    told: multiprocessing.Queue[tuple[str, Any]] = multiprocessing.get_context("spawn").Queue()
    share = -(-arguments.examples // arguments.processes)
    workers = [
        multiprocessing.get_context("spawn").Process(
            target=_share, args=(told, share, arguments.steps, str(arguments.keep), arguments.seed + number)
        )
        for number in range(arguments.processes)
    ]
    for worker in workers:
        worker.start()
    lived, found = 0, list[str]()
    while any(worker.is_alive() for worker in workers) or not told.empty():
        try:
            kind, value = told.get(timeout=1)
        except Empty:
            continue
        if kind == "lived":
            lived += value
            note(f"{lived:>7} lives, {lived / (time.monotonic() - began):6.1f} a second, {len(found)} came to grief")
        else:
            found.append(value)
            note(value)
    died = [worker.exitcode for worker in workers if worker.exitcode not in (0, 1)]
    seconds = time.monotonic() - began
    table(
        "Lives of the shop",
        [
            ("lived", lived),
            ("steps at most", arguments.steps),
            ("processes", arguments.processes),
            ("seconds", seconds),
            ("lives a second", lived / seconds),
            ("came to grief", len(found)),
            ("processes that died", len(died)),
        ],
    )
    sys.exit(1 if found or died else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.histories", description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000, help="lives in all")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of a life, at most")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed thinks of the same lives")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for lives that came to grief")
    return parser.parse_args()


def _share(told: Any, examples: int, steps: int, keep: str, seed: int) -> None:
    """Live in this process. After a life that came to grief the next batch goes on, without that life."""
    kept: DirectoryBasedExampleDatabase | None = DirectoryBasedExampleDatabase(keep)
    grief = False
    with world() as lent, _counted() as count:
        for number, first in enumerate(range(0, examples, BATCH)):
            try:
                live(lent, min(BATCH, examples - first), steps=steps, seed=seed * 1_000_003 + number, database=kept)
            except Exception:  # noqa: BLE001 - whatever was found is told; the others go on
                told.put(("grief", traceback.format_exc()))
                grief, kept = True, None
            told.put(("lived", count.pop()))
            count.append(0)
    sys.exit(1 if grief else 0)


@contextmanager
def _counted() -> Iterator[list[int]]:
    """How many lives have come to their end, in the last place of a list."""
    count, end = [0], Life.teardown

    def teardown(self: Life) -> None:
        count[-1] += 1
        end(self)

    Life.teardown = teardown  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Life.teardown = end  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
