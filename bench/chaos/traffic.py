"""Customer traffic: a process in which a few threads run many customers' visits and resume each after its pause.

`python -m bench.chaos.traffic PLAN FOLDER`: PLAN is JSON. Acknowledged results are appended to `promises.jsonl` in
FOLDER,
one flushed line each, and counts are in `traffic.json`, so that readers need nothing else from this process.
"""

from __future__ import annotations

import heapq
import itertools
import json
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.chaos.behaviours import run_visit
from bench.chaos.browser import Answer, Browser, Pool
from bench.chaos.customers import Pauses, Visit

THREADS = 16
"""Threads that run visits. Some are always blocked by a call that times out, or by a killed server."""
CONCURRENT = 80
"""Maximum number of visits in progress, short pauses included, late payers not."""
SOON = 10.0
"""Seconds; a visit with a longer pause comes late on purpose."""
ORDERS_PER_BROWSER = 5
"""The number of unpaid orders that the shop allows a visitor: it runs with its default limits."""
ALL_STARTED, ONLY_LATE_PAYERS = "all have started", "only late payers are left"
"""Keys in the counts: no new customers arrive; only late payers are left."""


class Traffic:
    """Visits in progress, ordered by the time at which they resume. Also their `Context`."""

    def __init__(self, plan: dict[str, object], folder: Path) -> None:
        self.shop, self.acquirer, self.control = str(plan["shop"]), str(plan["acquirer"]), str(plan["control"])
        self.orders, self.seed = int(str(plan["orders"])), int(str(plan["seed"]))
        self.pay_within = float(str(plan["pay_within"]))
        self.goods = [str(sku) for sku in plan["goods"]]  # type: ignore[attr-defined]
        self._closes = time.monotonic() + float(str(plan["seconds"]))
        self.counts: Counter[str] = Counter()
        self._promises = (folder / "promises.jsonl").open("a")
        self._counts = folder / "traffic.json"
        self._waiting: list[tuple[float, int, Pauses]] = []
        self._numbers = iter(range(1, self.orders + 1))
        self._sequence = itertools.count()
        self.skip_waits = False
        self._under_way = 0
        self._all_started = False
        self._lock = threading.Condition()
        self.pool = Pool()
        self._browsers: list[Browser] = []
        self._pairs = ThreadPoolExecutor(2 * THREADS)

    # --- context of the visits ---

    def browser(self, currency: str, customer: bool) -> Browser:
        """An unused browser, so that not every order begins with a new cart; signed in for a `customer`."""
        with self._lock:
            same = [one for one in self._browsers if bool(one.account) == customer]
            found = next((one for one in same if one.currency == currency), same[0] if same else None)
            if found is None:
                return Browser(self.pool)
            self._browsers.remove(found)
            return found

    def release(self, browser: Browser) -> None:
        """Make the browser available to other visits."""
        browser.orders += 1
        if browser.orders < ORDERS_PER_BROWSER:
            with self._lock:
                self._browsers.append(browser)

    def promise(self, kind: str, **what: object) -> None:
        with self._lock:
            self._promises.write(json.dumps({"kind": kind, **what}) + "\n")
            self._promises.flush()

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def concurrently(self, *calls: Callable[[], Answer | None]) -> list[Answer | None]:
        if len(calls) == 1:
            return [calls[0]()]
        return list(self._pairs.map(lambda call: call(), calls))

    # --- scheduling ---

    def run(self) -> None:
        """Run until every visit has ended."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(0.5)
            self._skip_waits()
            self.write_counts()

    def write_counts(self) -> None:
        """Write the counts to the file."""
        with self._lock:
            long = sum(at > time.monotonic() + SOON for at, _, _ in self._waiting)
            only_long = self._all_started and not self._under_way and long == len(self._waiting)
            counts = json.dumps({**self.counts, ALL_STARTED: int(self._all_started), ONLY_LATE_PAYERS: int(only_long)})
        draft = self._counts.with_suffix(".new")
        draft.write_text(counts)
        draft.replace(self._counts)

    def _skip_waits(self) -> None:
        """Resume all late payers now, after the clock was advanced."""
        if self.skip_waits:
            self.skip_waits = False
            with self._lock:
                self._waiting = [(min(at, time.monotonic()), ticket, visit) for at, ticket, visit in self._waiting]
                heapq.heapify(self._waiting)
                self._lock.notify_all()

    def _work(self) -> None:
        while (visit := self._next()) is not None:
            try:
                pause = next(visit, None)
            except Exception as error:  # noqa: BLE001 - logged, and the run fails for it
                self.promise("broken", error=f"{type(error).__name__}: {error}")
                pause = None
            with self._lock:
                self._under_way -= 1
                if pause is not None:
                    self._schedule(visit, pause)
                self._lock.notify()

    def _schedule(self, visit: Pauses, pause: float) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + pause, next(self._sequence), visit))

    def _next(self) -> Pauses | None:
        """The next visit to resume, else a new one, else wait. None when all have ended."""
        with self._lock:
            while True:
                now = time.monotonic()
                if self._waiting and self._waiting[0][0] <= now:
                    self._under_way += 1
                    return heapq.heappop(self._waiting)[2]
                soon = sum(at < now + SOON for at, _, _ in self._waiting)
                if soon + self._under_way < CONCURRENT and not self._all_started:
                    number = next(self._numbers, None)
                    if number is not None and now < self._closes:
                        self._under_way += 1
                        return self._new(number)
                    self._all_started = True
                if not self._waiting and not self._under_way:
                    self._lock.notify_all()
                    return None
                self._lock.wait(min(0.5, self._waiting[0][0] - now) if self._waiting else 0.5)

    def _new(self, number: int) -> Pauses:
        def steps() -> Pauses:
            visit = Visit(self, number, self.seed)
            yield from run_visit(visit)
            self.release(visit.browser)
            self.count("customers done")

        return steps()


def product_slugs(page: str) -> list[str]:
    """Slugs of the products on a catalogue page."""
    return re.findall(r'<h2><a href="/products/([^"]+)"', page)


def main() -> None:
    traffic = Traffic(json.loads(sys.argv[1]), Path(sys.argv[2]))
    signal.signal(signal.SIGUSR1, lambda *_: setattr(traffic, "skip_waits", True))
    traffic.run()
    traffic.write_counts()


if __name__ == "__main__":
    main()
