"""`python -m bench.chaos --database sqlite|postgresql --orders 10000 --seed 7`; `--short` takes a minute."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

from bench.chaos import mischief, verdict
from bench.chaos.mischief import FAULTS, Nemesis
from bench.chaos.town import PAY_WITHIN, Town
from bench.tools import note, table
from e2e.control import Control
from tests.parts.processes import Process

SHORT = (250, 2.0)
"""Orders of the short form, and seconds between two pieces of mischief."""
LONG_EVERY = 8.0
REST_WITHIN = 120.0
"""Seconds that everything has to come to rest once it is well; what has not done so by then never will."""
LATEST_MONEY = 15 * 60
"""Seconds after which the acquirer's last late money has come, and nothing is too young to be compared."""
PLANTS: dict[str, tuple[str, ...]] = {"no-clock": ("clock",), "no-healing": ("clock", "worker")}
"""Mistakes to plant, as processes that are never started: the bench has to find them."""


def storm(town: Town, nemesis: Nemesis, buyers: Process) -> float:
    """Until the last buyer has gone home. Returns the seconds."""
    began = told = time.monotonic()
    while True:
        try:
            buyers.popen.wait(0.1)
            return time.monotonic() - began
        except subprocess.TimeoutExpired:
            pass
        town.look_after()
        nemesis.act()
        if time.monotonic() - told > 5:
            told = time.monotonic()
            counts = town.counts()
            placed, done = counts.get("orders placed", 0), counts.get("buyers done", 0)
            note(f"{placed} orders placed, {done} buyers done, {placed / (told - began):.1f} orders a second")
            if counts.get("only latecomers left"):
                nemesis.let_latecomers_come()


def wait(town: Town, met: Callable[[], object], within: float, what: str) -> float:
    """Seconds until `met`, the platform at work; after `within` it goes on, and the verdict will tell."""
    began = time.monotonic()
    while not _quietly(met):
        town.look_after()
        if time.monotonic() - began > within:
            note(f"{what}: not within {within:.0f} s")
            break
        _breathe(town)
    return time.monotonic() - began


def _quietly(met: Callable[[], object]) -> bool:
    try:
        return bool(met())
    except Exception:  # noqa: BLE001 - a server that is not back yet
        return False


def _breathe(town: Town) -> None:
    """A moment; ended early when a process dies."""
    with suppress(subprocess.TimeoutExpired, StopIteration):
        next(iter(town.running.values())).popen.wait(0.25)


def calm(town: Town, nemesis: Nemesis) -> list[tuple[str, float]]:
    """Everything heals. Returns how long it took until it was at rest: by itself, and once time had passed."""
    nemesis.stop()
    wait(town, lambda: mischief.heal(town) and town.all_answer(), 60, "servers are back")
    wait(town, lambda: mischief.same_time(town), 30, "one time")
    heard = wait(town, lambda: verdict.unrest_without_cause(town) == 0, REST_WITHIN, "money is heard of")
    mischief.pass_time(town, PAY_WITHIN + LATEST_MONEY)
    mischief.same_time(town)
    rested = wait(town, lambda: not verdict.unrest(town), REST_WITHIN, "rest")
    mischief.pass_time(town, 120)
    mischief.same_time(town)
    rested += wait(town, lambda: not verdict.unrest(town), REST_WITHIN, "rest")
    return [("all money known and settled", heard), ("everything at rest, once its time was over", rested)]


def run(database: str, orders: int, seed: int, every: float, plant: str = "", logs: str = "") -> int:
    """One storm. Prints the table, and returns the number of violations. `logs`: a folder to keep everything in."""
    with nullcontext(logs) if logs else tempfile.TemporaryDirectory(prefix="settled-chaos-") as folder:
        Path(folder).mkdir(exist_ok=True)
        town = Town(Path(folder), database, PLANTS.get(plant, ()))
        try:
            town.start()
            Control(town).faults(**{**FAULTS, "seed": seed})
            note(f"{orders} orders on {database}, seed {seed}")
            buyers = town.let_buyers_in(orders, seed)
            nemesis = Nemesis(town, seed, every, lambda what: note(f"  {what}"), buyers)
            seconds = storm(town, nemesis, buyers)
            assert buyers.popen.returncode == 0, buyers.text[-4000:]
            note("everything heals")
            converged = calm(town, nemesis)
            broken = verdict.violations(town)
            report(town, nemesis, seconds, converged, broken)
            return sum(len(rows) for rows in broken.values())
        finally:
            town.close()


def report(
    town: Town,
    nemesis: Nemesis,
    seconds: float,
    converged: list[tuple[str, float]],
    broken: dict[str, list[verdict.Row]],
) -> None:
    counts, there = town.counts(), town.faults_used()
    counts.pop("only latecomers left", None)
    placed = counts.get("orders placed", 0)
    database = "PostgreSQL" if town.database else "SQLite"
    chapters: tuple[tuple[str, list[tuple[object, ...]]], ...] = (
        ("Orders", [*sorted(verdict.outcome(town).items())]),
        ("Buyers", [*sorted(counts.items())]),
        ("Faults of the acquirer", [*sorted(there.items())]),
        ("Mischief", [*sorted(nemesis.done.items()), ("processes started again", town.restarts)]),
        ("Pace", [("orders a second", placed / seconds), ("seconds of storm", seconds)]),
        ("Seconds from healing to rest", [*converged]),
        ("Violations", [(says, len(rows)) for says, rows in broken.items()]),
    )
    for title, lines in chapters:
        table(f"{title}, {database}", lines or [("none", 0)])
    for says, rows in broken.items():
        for row in rows[:30]:
            note(f"BROKEN {says}: {row}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--orders", type=int, default=0, help="10000, or 250 in the short form")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--every", type=float, default=0.0, help="seconds between two pieces of mischief")
    parser.add_argument("--short", action="store_true", help="about a minute")
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="plant a mistake, which has to be found")
    parser.add_argument("--logs", default="", help="an empty folder in which logs and databases are kept")
    given = parser.parse_args()
    orders, every = SHORT if given.short else (10_000, LONG_EVERY)
    found = run(given.database, given.orders or orders, given.seed, given.every or every, given.plant, given.logs)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
