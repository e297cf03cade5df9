"""`python -m bench.chaos --database sqlite|postgresql --orders 10000 --seed 7`; `--short` takes a minute."""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.chaos import mischief, verdict
from bench.chaos.crowd import ALL_CAME, ONLY_LATECOMERS
from bench.chaos.mischief import FAULTS, Nemesis
from bench.chaos.town import PAY_WITHIN, Town
from bench.tools import note, table
from e2e.control import Control
from tests.parts.processes import Process

SHORT = (300, 40.0, 2.2)
LONG = (10_000, 3600.0, 10.0)
"""Orders at most, seconds in which buyers come, seconds between two pieces of mischief."""
REST_WITHIN, PLANTED_WITHIN = 240.0, 10.0
"""Seconds that everything has to come to rest once it is well. A planted mistake is not waited for so long."""
LATEST_MONEY = 15 * 60
"""Seconds after which the acquirer's last late money has come, and nothing is too young to be compared; and orders have
ended whose wrong money went back, for their buyers get ten minutes to pay after all.
"""
LAST_WORD = 160 * 60
"""Seconds after which the acquirer has told again what was lost four times on its way."""
TELL_EVERY = 10.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Plant:
    """A mistake that the bench has to find: processes that are never started, changes to the books at the end."""

    missing: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


TAMPERING = (
    "UPDATE captures SET amount = amount + 1 WHERE id = (SELECT MIN(id) FROM captures)",
    "UPDATE orders SET token = 'another' WHERE id = (SELECT MIN(id) FROM orders)",
)
PLANTS = {
    "": Plant(),
    "no-clock": Plant(("clock",)),
    "tampering": Plant(changes=TAMPERING),
    "both": Plant(("clock",), TAMPERING),
}


def storm(town: Town, nemesis: Nemesis, buyers: Process) -> float:
    """Until nobody new comes. Returns the seconds."""
    began = told = time.monotonic()
    before = 0
    while buyers.alive() and not town.counts().get(ALL_CAME):
        with suppress(subprocess.TimeoutExpired):
            buyers.popen.wait(0.1)
        town.look_after()
        nemesis.act()
        since = time.monotonic() - told
        if since > TELL_EVERY:
            told = time.monotonic()
            placed = town.counts().get("orders placed", 0)
            broken, rate, overall = sum(nemesis.done.values()), (placed - before) / since, placed / (told - began)
            note(f"{placed} orders, {rate:.1f} a second now, {overall:.1f} so far; {broken} times broken")
            before = placed
    return time.monotonic() - began


def wait(town: Town, met: Callable[[], object], within: float, what: str) -> float:
    """Seconds until `met`, the platform at work; after `within` it goes on, and the verdict will tell."""
    began = told = time.monotonic()
    while not _quietly(met):
        town.look_after()
        if time.monotonic() - began > within:
            note(f"{what}: not within {within:.0f} s")
            break
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            note(f"until {what}: {told - began:.0f} s so far; {_left(town)}")
        _breathe(town)
    return time.monotonic() - began


def _left(town: Town) -> str:
    try:
        return ", ".join(f"{count} {name}" for name, count in verdict.unrest(town).items()) + " not at rest"
    except Exception as error:  # noqa: BLE001 - a database that is not back yet
        return type(error).__name__


def _quietly(met: Callable[[], object]) -> bool:
    try:
        return bool(met())
    except Exception:  # noqa: BLE001 - a server that is not back yet
        return False


def _breathe(town: Town) -> None:
    """A moment; ended early when a process dies."""
    with suppress(subprocess.TimeoutExpired, StopIteration):
        next(iter(town.running.values())).popen.wait(0.25)


def calm(town: Town, nemesis: Nemesis, buyers: Process, patience: float) -> list[tuple[str, float]]:
    """Everything heals. Returns how long each part of coming to rest took."""
    nemesis.stop()
    town.nothing_new()
    back = wait(town, lambda: mischief.heal(town) and town.all_answer() and mischief.same_time(town), 60, "healing")
    at_home = wait(town, lambda: not buyers.alive() or town.counts().get(ONLY_LATECOMERS), 90, "buyers are done")
    heard = wait(town, lambda: verdict.unrest_without_cause(town) == 0, patience, "money is heard of")
    mischief.pass_time(town, PAY_WITHIN + 5)
    if buyers.alive():
        buyers.signal(signal.SIGUSR1)  # now it is too late for those who wanted to come too late
    wait(town, lambda: not buyers.alive(), 60, "latecomers are done")
    mischief.pass_time(town, LATEST_MONEY)
    mischief.same_time(town)
    rested = wait(town, lambda: not verdict.unrest(town), patience, "rest")
    mischief.pass_time(town, LAST_WORD)
    mischief.same_time(town)
    rested += wait(town, lambda: not verdict.unrest(town), patience, "rest")
    return [
        ("until every server answers", back),
        ("then until the last buyer is done", at_home),
        ("then until all money is known and settled", heard),
        ("from the end of the last order's time until all is at rest", rested),
    ]


def run(database: str, orders: int, within: float, seed: int, every: float, plant: str = "", logs: str = "") -> int:
    """One storm. Prints the table, and returns the number of violations. `logs`: a folder to keep everything in."""
    with nullcontext(logs) if logs else tempfile.TemporaryDirectory(prefix="settled-chaos-") as folder:
        Path(folder).mkdir(exist_ok=True)
        town = Town(Path(folder), database, PLANTS[plant].missing)
        try:
            town.start()
            Control(town).faults(**{**FAULTS, "seed": seed})
            note(f"{orders} orders on {database}, seed {seed}")
            town.let_staff_in(seed)
            buyers = town.let_buyers_in(orders, within, seed)
            nemesis = Nemesis(town, seed, every, lambda what: note(f"  {what}"))
            seconds = storm(town, nemesis, buyers)
            note("everything heals")
            converged = calm(town, nemesis, buyers, PLANTED_WITHIN if plant else REST_WITHIN)
            assert buyers.popen.returncode == 0, buyers.text[-4000:]
            for change in PLANTS[plant].changes:
                town.change(change)
            looked = time.monotonic()
            broken = verdict.violations(town)
            converged.append(("and for the verdict", time.monotonic() - looked))
            report(town, nemesis, seconds, converged, broken)
            placed = town.counts().get("orders placed", 0)
        finally:
            town.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    table("Work, of all processes together", [("CPU seconds", cpu), ("CPU seconds an order", cpu / max(1, placed))])
    return sum(len(rows) for rows in broken.values())


def report(
    town: Town,
    nemesis: Nemesis,
    seconds: float,
    converged: list[tuple[str, float]],
    broken: dict[str, list[verdict.Row]],
) -> None:
    counts, there = town.counts(), town.faults_used()
    counts = {what: count for what, count in counts.items() if what not in (ALL_CAME, ONLY_LATECOMERS)}
    placed = counts.get("orders placed", 0)
    database = "PostgreSQL" if town.database else "SQLite"
    chapters: tuple[tuple[str, list[tuple[object, ...]]], ...] = (
        ("Orders", [*sorted(verdict.outcome(town).items())]),
        ("Buyers", [*sorted(counts.items())]),
        ("Staff", [*sorted(town.staff().items())]),
        ("Webhooks", [*verdict.webhooks(town)]),
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
    parser.add_argument("--orders", type=int, default=0, help="how many at most: 10000, in the short form 300")
    parser.add_argument("--minutes", type=float, default=0.0, help="nobody new comes after this; without it, 60")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--every", type=float, default=0.0, help="seconds between two pieces of mischief")
    parser.add_argument("--short", action="store_true", help="about a minute")
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="plant a mistake, which has to be found")
    parser.add_argument("--logs", default="", help="an empty folder in which logs and databases are kept")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and leave nothing running
    orders, within, every = SHORT if given.short else LONG
    orders, within, every = given.orders or orders, given.minutes * 60 or within, given.every or every
    found = run(given.database, orders, within, given.seed, every, given.plant, given.logs)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
