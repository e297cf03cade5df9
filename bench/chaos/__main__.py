"""`python -m bench.chaos --database sqlite|postgresql --orders 10000 --seed 7`; `--short` takes a minute."""

from __future__ import annotations

import argparse
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.chaos import checks, faults
from bench.chaos.environment import PAY_WITHIN, Environment
from bench.chaos.faults import ACQUIRER_FAULTS, FAULTS, MAIL_FAULTS, FaultInjector
from bench.chaos.traffic import ALL_STARTED, ONLY_LATE_PAYERS
from bench.tools import note, table
from e2e.control import Control
from tests.parts.processes import Process

SHORT = (200, 25.0, 1.6)
LONG = (10_000, 3600.0, 10.0)
"""Maximum number of orders, seconds in which customers arrive, mean seconds between two faults."""
MAIL_EVERY = 2.5
"""Mean time between two faults of the mail server, as a multiple of that of the others. Most of them last longer."""
FINAL_WITHIN, SEEDED_BUG_WITHIN = 240.0, 10.0
"""Limit in seconds for reaching a final state after recovery; shorter with a seeded bug, which is never waited out."""
LATE_CAPTURES = 15 * 60
"""Seconds after which the acquirer's last late capture has arrived, every payment is old enough to be compared, and
orders
whose wrong amount was refunded have expired (their customers get ten more minutes to pay).
"""
LAST_RETRY = 160 * 60
"""Seconds after which the acquirer has retried webhooks whose first four attempts were lost."""
PROGRESS_EVERY = 10.0
"""Seconds between two progress lines."""


@dataclass(frozen=True)
class SeededBug:
    """A bug that the checks have to find: processes that are never started, rows changed at the end."""

    missing: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


TAMPERED_ROWS = (
    "UPDATE captures SET amount = amount + 1 WHERE id = (SELECT MIN(id) FROM captures)",
    "UPDATE orders SET token = 'another' WHERE id = (SELECT MIN(id) FROM orders)",
    "UPDATE mails SET message_id = '<another@localhost>' WHERE id = (SELECT MIN(id) FROM mails WHERE state = 'SENT')",
)
SEEDED_BUGS = {
    "": SeededBug(),
    "no-clock": SeededBug(("clock",)),
    "tampered-rows": SeededBug(changes=TAMPERED_ROWS),
    "both": SeededBug(("clock",), TAMPERED_ROWS),
}


def run_traffic(env: Environment, injectors: Sequence[FaultInjector], customers: Process) -> float:
    """Run until no new customers arrive. Returns the duration in seconds."""
    began = reported = time.monotonic()
    before = 0
    while customers.alive() and not env.counts().get(ALL_STARTED):
        with suppress(subprocess.TimeoutExpired):
            customers.popen.wait(0.1)
        env.restart_dead()
        for injector in injectors:
            injector.act()
        since = time.monotonic() - reported
        if since > PROGRESS_EVERY:
            reported = time.monotonic()
            placed = env.counts().get("orders placed", 0)
            broken = sum(sum(injector.done.values()) for injector in injectors)
            rate, overall = (placed - before) / since, placed / (reported - began)
            note(f"{placed} orders, {rate:.1f} a second now, {overall:.1f} so far; {broken} faults injected")
            before = placed
    return time.monotonic() - began


def wait(env: Environment, met: Callable[[], object], within: float, what: str) -> float:
    """Wait until `met` while dead processes are restarted; returns the seconds. Continues after `within`: the checks
    will fail.
    """
    began = reported = time.monotonic()
    while not _quietly(met):
        env.restart_dead()
        if time.monotonic() - began > within:
            note(f"{what}: not within {within:.0f} s")
            break
        if time.monotonic() - reported > PROGRESS_EVERY:
            reported = time.monotonic()
            note(f"waiting until {what}: {reported - began:.0f} s so far; {_left(env)}")
        _pause(env)
    return time.monotonic() - began


def _left(env: Environment) -> str:
    try:
        return ", ".join(f"{count} {name}" for name, count in checks.unfinished(env).items()) + " not final"
    except Exception as error:  # noqa: BLE001 - a database that is not back yet
        return type(error).__name__


def _quietly(met: Callable[[], object]) -> bool:
    try:
        return bool(met())
    except Exception:  # noqa: BLE001 - a server that is not back yet
        return False


def _pause(env: Environment) -> None:
    """Wait briefly; shorter when a process dies."""
    with suppress(subprocess.TimeoutExpired, StopIteration):
        next(iter(env.running.values())).popen.wait(0.25)


def recover(
    env: Environment, injectors: Sequence[FaultInjector], customers: Process, patience: float
) -> list[tuple[str, float]]:
    """Remove all faults and wait for final states. Returns the duration of each phase."""
    for injector in injectors:
        injector.stop()
    env.stop_new_refunds()
    recovered = wait(
        env,
        lambda: faults.disarm_acquirer(env) and env.all_answer() and faults.sync_clocks(env),
        60,
        "every server answers",
    )
    visited = wait(env, lambda: not customers.alive() or env.counts().get(ONLY_LATE_PAYERS), 90, "customers are done")
    settled = wait(env, lambda: checks.paid_but_unfinished(env) == 0, patience, "all captures are applied")
    faults.advance_clocks(env, PAY_WITHIN + 5)
    if customers.alive():
        customers.signal(signal.SIGUSR1)  # their orders have expired: skip the remaining waits
    wait(env, lambda: not customers.alive(), 60, "late payers are done")
    faults.advance_clocks(env, LATE_CAPTURES)
    faults.sync_clocks(env)
    finished = wait(env, lambda: not checks.unfinished(env), patience, "all states are final")
    faults.advance_clocks(env, LAST_RETRY)
    faults.sync_clocks(env)
    finished += wait(env, lambda: not checks.unfinished(env), patience, "all states are final")
    return [
        ("until every server answers", recovered),
        ("then until the last customer is done", visited),
        ("then until all captures are applied", settled),
        ("from the expiry of the last order until all states are final", finished),
    ]


def run(database: str, orders: int, within: float, seed: int, every: float, bug: str = "", logs: str = "") -> int:
    """Run once, print the tables and return the number of violations. `logs`: folder in which all files are kept."""
    with nullcontext(logs) if logs else tempfile.TemporaryDirectory(prefix="settled-chaos-") as folder:
        Path(folder).mkdir(exist_ok=True)
        env = Environment(Path(folder), database, seed, SEEDED_BUGS[bug].missing)
        try:
            env.start()
            Control(env).faults(**{**ACQUIRER_FAULTS, "seed": seed})
            note(f"{orders} orders on {database}, seed {seed}")
            env.start_staff(seed)
            customers = env.start_traffic(orders, within, seed)
            injectors = [
                FaultInjector(env, FAULTS, seed, every, _say),
                FaultInjector(env, MAIL_FAULTS, seed, MAIL_EVERY * every, _say),
            ]
            seconds = run_traffic(env, injectors, customers)
            note("all faults are removed")
            converged = recover(env, injectors, customers, SEEDED_BUG_WITHIN if bug else FINAL_WITHIN)
            assert customers.popen.returncode == 0, customers.text[-4000:]
            for change in SEEDED_BUGS[bug].changes:
                env.change(change)
            began = time.monotonic()
            broken = checks.violations(env)
            converged.append(("and for the checks", time.monotonic() - began))
            report(env, sum((injector.done for injector in injectors), Counter()), seconds, converged, broken)
            placed = env.counts().get("orders placed", 0)
        finally:
            env.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    table("Work of all processes", [("CPU seconds", cpu), ("CPU seconds an order", cpu / max(1, placed))])
    return sum(len(rows) for rows in broken.values())


def _say(what: str) -> None:
    note(f"  {what}")


def report(
    env: Environment,
    injected: Counter[str],
    seconds: float,
    converged: list[tuple[str, float]],
    broken: dict[str, list[checks.Row]],
) -> None:
    counts, there = env.counts(), env.faults_used()
    counts = {what: count for what, count in counts.items() if what not in (ALL_STARTED, ONLY_LATE_PAYERS)}
    placed = counts.get("orders placed", 0)
    database = "PostgreSQL" if env.database else "SQLite"
    sections: tuple[tuple[str, list[tuple[object, ...]]], ...] = (
        ("Orders", [*sorted(checks.order_states(env).items())]),
        ("Customers", [*sorted(counts.items())]),
        ("Staff", [*sorted(env.staff().items())]),
        ("Webhooks", [*checks.webhooks(env)]),
        ("Faults of the acquirer", [*sorted(there.items())]),
        ("Mail", [*checks.mail_figures(env)]),
        ("Injected faults", [*sorted(injected.items()), ("processes restarted", env.restarts)]),
        ("Pace", [("orders a second", placed / seconds), ("seconds of traffic", seconds)]),
        ("Seconds from recovery to final states", [*converged]),
        ("Violations", [(name, len(rows)) for name, rows in broken.items()]),
    )
    for title, lines in sections:
        table(f"{title}, {database}", lines or [("none", 0)])
    for name, rows in broken.items():
        for row in rows[:30]:
            note(f"VIOLATION {name}: {row}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--orders", type=int, default=0, help="at most this many: 10000, in the short form 200")
    parser.add_argument("--minutes", type=float, default=0.0, help="customers arrive for this long; default 60")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--every", type=float, default=0.0, help="mean seconds between two faults")
    parser.add_argument("--short", action="store_true", help="about a minute")
    parser.add_argument(
        "--seeded-bug", choices=sorted(SEEDED_BUGS), default="", help="a bug that the checks have to find"
    )
    parser.add_argument("--logs", default="", help="folder in which logs and databases are kept")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no process running
    orders, within, every = SHORT if given.short else LONG
    orders, within, every = given.orders or orders, given.minutes * 60 or within, given.every or every
    found = run(given.database, orders, within, given.seed, every, given.seeded_bug, given.logs)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
