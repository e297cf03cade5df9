"""Recovery by polling alone: every webhook is lost; time until 1,000 orders, paid at once, are PAID.

Two measurements: seconds since the customers approved, with the clock running; and seconds since the polls were due.
For the
second the clock process is stopped until all have approved and the acquirer has lost the webhooks' first retries too
(they keep it busy and slow; the next ones come five minutes later), and the shop's clock is then advanced by a minute.
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import time
from contextlib import closing

import httpx

from bench.tools import each, note, running, table, waiting_payments
from e2e.control import Control
from e2e.demo import TOKEN, Demo
from tests.parts.waiting import until

GOAL = 12.0  # seconds at 100 calls a second


class Orders:
    """Counts in the shop's database, read-only."""

    def __init__(self, demo: Demo) -> None:
        self._connection = sqlite3.connect(f"file:{demo.folder / 'shop.db'}?mode=ro", uri=True, timeout=10)

    def paid(self) -> int:
        found: int = self._connection.execute("SELECT count(*) FROM orders WHERE state = 'PAID'").fetchone()[0]
        return found


def approve_all(demo: Demo, payments: list[str]) -> float:
    """Approve all payments, as fast as the acquirer allows. Returns the seconds."""
    control = Control(demo)
    began = time.monotonic()
    each(payments, control.approve)
    return time.monotonic() - began


def first_repetitions_are_over(demo: Demo) -> bool:
    """True when the acquirer sends nothing within the next minute."""
    within_a_minute = (time.time_ns() // 1000 + 60_000_000,)  # microseconds, as the acquirer stores them
    soon = "SELECT count(*) FROM deliveries WHERE state = 'pending' AND due_at < ?"
    with closing(sqlite3.connect(f"file:{demo.folder / 'acquirer.db'}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(soon, within_a_minute).fetchone()[0] == 0


def reach(orders: Orders, count: int, began: float) -> list[tuple[str, float]]:
    """Seconds from `began` until half, 99 % and all of the orders are paid."""
    return [
        (name, until(lambda part=part: orders.paid() >= part and time.monotonic() - began, within=300))
        for name, part in (("half", count // 2), ("99 %", count * 99 // 100), ("all", count))
    ]


def measure(count: int, calls_per_second: int, *, held: bool) -> tuple[float, int, list[tuple[str, float]]]:
    """(seconds for approving, orders paid by then, seconds until half, 99 % and all are PAID)."""
    with running(CALLS_PER_SECOND=str(calls_per_second)) as demo:
        Control(demo).faults(hook={"drop": 1_000_000})
        note(f"{count} orders are placed")
        payments = [payment for _, payment in waiting_payments(demo, count)]
        orders = Orders(demo)
        if held:
            demo.hold("clock")
        note("all customers approve, every webhook is dropped")
        approving = approve_all(demo, payments)
        if held:
            until(lambda: first_repetitions_are_over(demo), within=60, what="the acquirer to be done with repeating")
        already = orders.paid()
        began = time.monotonic()
        if held:
            demo.signal("clock", signal.SIGCONT)
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            httpx.post(f"{demo.shop}/dev/clock", json={"by": "PT1M"}, headers=bearer).raise_for_status()
        note("asking")
        reached = reach(orders, count, began)
        checked = demo.flask("check")
        assert checked.returncode == 0, checked.stdout
        return approving, already, reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--calls-per-second", type=int, default=100)
    options = parser.parse_args()
    rows: list[tuple[object, ...]] = [("since", "approving took", "paid by then", "half", "99 %", "all", "of the goal")]
    for name, held in (("the questions were due", True), ("the last approval", False)):
        approving, already, reached = measure(options.orders, options.calls_per_second, held=held)
        seconds = [at for _, at in reached]
        rows.append((name, approving, already, *seconds, seconds[-1] / GOAL if held else ""))
    table(f"{options.orders} payments, no webhook, {options.calls_per_second} calls a second: seconds until PAID", rows)


if __name__ == "__main__":
    main()
