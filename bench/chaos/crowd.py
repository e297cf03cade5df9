"""The buyers' own process: a few hands lead many buyers, each of whom is picked up again when they have thought enough.

`python -m bench.chaos.crowd PLAN FOLDER`: PLAN is JSON. Promises go to `promises.jsonl` in FOLDER, one line each and
flushed, counts to `crowd.json`, so that whoever reads them needs nothing else of this process.
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

from bench.chaos.browser import Answer, Browser, Lines
from bench.chaos.customers import Thinking, Visit
from bench.chaos.habits import live

HANDS = 16
"""Threads that lead buyers. Some of them always wait for a call that times out, or for a server that was killed."""
AT_ONCE = 80
"""Buyers that are under way at the same time, those that think included, latecomers not."""
SOON = 10.0
"""Seconds; who thinks longer than this comes late on purpose."""
ORDERS_OF_A_BROWSER = 25
ALL_CAME, ONLY_LATECOMERS = "all have come", "only latecomers are left"
"""Told with the counts: nobody new will come; nobody else is under way."""


class Crowd:
    """Buyers under way, in the order in which they go on. Also the `Streets` that they walk."""

    def __init__(self, plan: dict[str, object], folder: Path) -> None:
        self.shop, self.acquirer, self.control = str(plan["shop"]), str(plan["acquirer"]), str(plan["control"])
        self.orders, self.seed = int(str(plan["orders"])), int(str(plan["seed"]))
        self.pay_within = float(str(plan["pay_within"]))
        self.goods = [str(sku) for sku in plan["goods"]]  # type: ignore[attr-defined]
        self._closes = time.monotonic() + float(str(plan["seconds"]))
        self.counts: Counter[str] = Counter()
        self._promises = (folder / "promises.jsonl").open("a")
        self._counts = folder / "crowd.json"
        self._waiting: list[tuple[float, int, Thinking]] = []
        self._numbers = iter(range(1, self.orders + 1))
        self._tickets = itertools.count()
        self.hurry = False
        self._under_way = 0
        self._all_came = False
        self._lock = threading.Condition()
        self.lines = Lines()
        self._browsers: list[Browser] = []
        self._pairs = ThreadPoolExecutor(2 * HANDS)

    # --- streets ---

    def browser(self, currency: str, customer: bool) -> Browser:
        """One that nobody uses, so that not every order begins with a new cart; with an account for a `customer`."""
        with self._lock:
            same = [one for one in self._browsers if bool(one.account) == customer]
            found = next((one for one in same if one.currency == currency), same[0] if same else None)
            if found is None:
                return Browser(self.lines)
            self._browsers.remove(found)
            return found

    def give_back(self, browser: Browser) -> None:
        """Somebody else may use it."""
        browser.orders += 1
        if browser.orders < ORDERS_OF_A_BROWSER:
            with self._lock:
                self._browsers.append(browser)

    def promise(self, kind: str, **what: object) -> None:
        with self._lock:
            self._promises.write(json.dumps({"kind": kind, **what}) + "\n")
            self._promises.flush()

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def together(self, *things: Callable[[], Answer | None]) -> list[Answer | None]:
        if len(things) == 1:
            return [things[0]()]
        return list(self._pairs.map(lambda thing: thing(), things))

    # --- leading ---

    def run(self) -> None:
        """Until every buyer has gone home."""
        hands = [threading.Thread(target=self._lead, daemon=True) for _ in range(HANDS)]
        for hand in hands:
            hand.start()
        while any(hand.is_alive() for hand in hands):
            hands[0].join(0.5)
            self._hurry_up()
            self.tell()

    def tell(self) -> None:
        """Write down the counts."""
        with self._lock:
            long = sum(at > time.monotonic() + SOON for at, _, _ in self._waiting)
            only_long = self._all_came and not self._under_way and long == len(self._waiting)
            told = json.dumps({**self.counts, ALL_CAME: int(self._all_came), ONLY_LATECOMERS: int(only_long)})
        draft = self._counts.with_suffix(".new")
        draft.write_text(told)
        draft.replace(self._counts)

    def _hurry_up(self) -> None:
        """The clock was turned: whoever wanted to come back much later comes now."""
        if self.hurry:
            self.hurry = False
            with self._lock:
                self._waiting = [(min(at, time.monotonic()), ticket, buyer) for at, ticket, buyer in self._waiting]
                heapq.heapify(self._waiting)
                self._lock.notify_all()

    def _lead(self) -> None:
        while (buyer := self._next()) is not None:
            try:
                pause = next(buyer, None)
            except Exception as error:  # noqa: BLE001 - told, and the run fails for it
                self.promise("broken", error=f"{type(error).__name__}: {error}")
                pause = None
            with self._lock:
                self._under_way -= 1
                if pause is not None:
                    self._come_back(buyer, pause)
                self._lock.notify()

    def _come_back(self, buyer: Thinking, pause: float) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + pause, next(self._tickets), buyer))

    def _next(self) -> Thinking | None:
        """Whoever has thought enough, else somebody new, else wait. None when all have gone home."""
        with self._lock:
            while True:
                now = time.monotonic()
                if self._waiting and self._waiting[0][0] <= now:
                    self._under_way += 1
                    return heapq.heappop(self._waiting)[2]
                soon = sum(at < now + SOON for at, _, _ in self._waiting)
                if soon + self._under_way < AT_ONCE and not self._all_came:
                    number = next(self._numbers, None)
                    if number is not None and now < self._closes:
                        self._under_way += 1
                        return self._new(number)
                    self._all_came = True
                if not self._waiting and not self._under_way:
                    self._lock.notify_all()
                    return None
                self._lock.wait(min(0.5, self._waiting[0][0] - now) if self._waiting else 0.5)

    def _new(self, number: int) -> Thinking:
        def visit() -> Thinking:
            who = Visit(self, number, self.seed)
            yield from live(who)
            self.give_back(who.browser)
            self.count("buyers done")

        return visit()


def goods_on(page: str) -> list[str]:
    """Slugs of the products that a page of the catalogue shows."""
    return re.findall(r'<h2><a href="/products/([^"]+)"', page)


def main() -> None:
    crowd = Crowd(json.loads(sys.argv[1]), Path(sys.argv[2]))
    signal.signal(signal.SIGUSR1, lambda *_: setattr(crowd, "hurry", True))
    crowd.run()
    crowd.tell()


if __name__ == "__main__":
    main()
