"""Somebody who breaks things: a table of what can be broken, and a seeded order in which it is."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from bench.chaos.town import Town
from e2e.control import Control
from e2e.demo import TOKEN

Undo = Callable[[], None]

FAULTS = {
    "seed": 7,
    "api": [
        {"op": "*", "do": "500", "when": "after_commit", "chance": 0.07},
        {"op": "*", "do": "500", "chance": 0.06},
        {"op": "*", "do": "timeout_after_commit", "chance": 0.03},
        {"op": "*", "do": "timeout_before_commit", "chance": 0.01},
        {"op": "*", "do": "lag", "for": "PT0.6S", "chance": 0.03},
    ],
    "hook": [
        {"match": "*", "drop": 1_000_000, "chance": 0.3},
        {"match": "*", "duplicate": 2, "parallel": True, "chance": 0.2},
        {"match": "*", "delay": "PT4S", "chance": 0.1},
        {"match": "*", "sign": "wrong_key", "chance": 0.03},
    ],
}
"""The acquirer's: a third of the webhooks lost, a fifth doubled, some late or forged; a fifth of all calls go wrong."""


@dataclass(frozen=True)
class Mischief:
    """`do` breaks something; what it returns mends it again `seconds` later."""

    says: str
    do: Callable[[Town], Undo | None]
    seconds: float = 0.0
    only_on: str = ""


def _kill(name: str) -> Callable[[Town], None]:
    return lambda town: town.kill(name)


def _web_worker(town: Town) -> None:
    for pid in town.children("web")[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _hang(name: str) -> Callable[[Town], Undo | None]:
    def hang(town: Town) -> Undo | None:
        process = town.running.get(name)
        if process is None or not process.alive():
            return None
        os.killpg(process.pid, signal.SIGSTOP)

        def go_on() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)

        return go_on

    return hang


def _two_clocks(town: Town) -> Undo:
    town.run("clock", as_name="second_clock")
    return lambda: town.forget("second_clock")


def _redis_stopped(town: Town) -> Undo:
    town.redis.stop()
    return town.redis.start


def _redis_killed(town: Town) -> Undo:
    town.redis.kill()
    return town.redis.start


def _redis_hung(town: Town) -> Undo:
    town.redis.pause()
    return town.redis.resume


def _redis_emptied(town: Town) -> None:
    town.redis.empty()


def _postgres_restarted(town: Town) -> Undo | None:
    if town.database is None:
        return None
    town.database.stop("immediate")
    return town.database.start


def _sqlite_locked(town: Town) -> Undo:
    """Somebody else writes, for longer than anybody waits."""
    other = sqlite3.connect(town.folder / "shop.db", timeout=5, isolation_level=None)
    with suppress(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
    return other.close


def _rolling_restart(town: Town) -> None:
    """The next version's migration runs while the old processes serve; then they are replaced, one after the other."""
    column = f"later_{time.monotonic_ns()}"
    for table in ("orders", "payments"):
        town.change(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")
    if "web" in town.running:
        town.running["web"].signal(signal.SIGHUP)
    for name in ("worker", "clock", "acquirer_worker"):
        if name in town.running:
            town.running[name].signal(signal.SIGTERM)


TABLE = (
    Mischief("web worker killed", _web_worker),
    Mischief("web killed, master and all", _kill("web")),
    Mischief("worker killed", _kill("worker")),
    Mischief("clock killed", _kill("clock")),
    Mischief("acquirer's worker killed", _kill("acquirer_worker")),
    Mischief("acquirer killed", _kill("acquirer")),
    Mischief("staff killed", _kill("staff")),
    Mischief("clock hung for 2.5 s", _hang("clock"), 2.5),
    Mischief("worker hung for 3 s", _hang("worker"), 3),
    Mischief("web hung for 2 s, then all at once", _hang("web"), 2),
    Mischief("acquirer hung for 3 s", _hang("acquirer"), 3),
    Mischief("two clocks at once", _two_clocks, 6),
    Mischief("Redis stopped for 3 s", _redis_stopped, 3),
    Mischief("Redis killed", _redis_killed, 0.5),
    Mischief("Redis hung for 2 s", _redis_hung, 2),
    Mischief("Redis emptied", _redis_emptied),
    Mischief("PostgreSQL restarted, immediate", _postgres_restarted, 0.3, "postgresql"),
    Mischief("PostgreSQL away for 3 s", _postgres_restarted, 3, "postgresql"),
    Mischief("SQLite locked for 6 s", _sqlite_locked, 6, "sqlite"),
    Mischief("rolling restart while the schema grows", _rolling_restart),
)


def pass_time(town: Town, seconds: int) -> None:
    """Turn both worlds' clocks. Where the shop was down meanwhile, its clock follows when it is back."""
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(timeout=600, trust_env=False, headers=bearer) as client, suppress(httpx.HTTPError):
        client.post(f"{town.acquirer}/_sim/clock/advance", json={"by": f"PT{seconds}S"})


def same_time(town: Town) -> bool:
    """Bring the shop's clock to where the acquirer's is. False when one of them does not answer."""
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(timeout=10, trust_env=False, headers=bearer) as client:
            now = client.get(f"{town.acquirer}/_sim/clock").raise_for_status().json()["now"]
            return client.post(f"{town.shop}/dev/clock", json={"to": now}).status_code in (200, 409)
    except httpx.HTTPError:
        return False


@dataclass
class Nemesis:
    """Breaks something every `every` seconds, more or less, and mends it in time. `log` is (second, what)."""

    town: Town
    seed: int
    every: float
    say: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        kind = "postgresql" if self.town.database else "sqlite"
        self._deck = [one for one in TABLE if one.only_on in ("", kind)]
        self._dice = random.Random(self.seed)
        self._order = self._shuffled()
        self._mending: list[tuple[float, int, str, Undo]] = []
        self._tickets = itertools.count()
        self._next = time.monotonic() + self.every

    def _shuffled(self) -> Iterator[Mischief]:
        while True:
            yield from self._dice.sample(self._deck, len(self._deck))

    def act(self) -> None:
        """What is due now: mend, break."""
        self._mend(time.monotonic())
        if time.monotonic() >= self._next:
            self.break_something(next(self._order))
            self._next = time.monotonic() + self.every * self._dice.uniform(0.6, 1.4)

    def break_something(self, mischief: Mischief) -> None:
        self.say(mischief.says)
        self.done[mischief.says] += 1
        try:
            undo = mischief.do(self.town)
        except Exception as error:  # noqa: BLE001 - a database that is away refuses a migration too
            self.say(f"could not be done now: {type(error).__name__}")
            self.done[mischief.says] -= 1
            return
        if undo:
            at = time.monotonic() + mischief.seconds
            heapq.heappush(self._mending, (at, next(self._tickets), mischief.says, undo))

    def _mend(self, until: float) -> None:
        while self._mending and self._mending[0][0] <= until:
            heapq.heappop(self._mending)[3]()

    def stop(self) -> None:
        """Mend everything, and be no trouble any more."""
        self._mend(float("inf"))
        self.town.redis.start()
        if self.town.database:
            self.town.database.start()
        self.town.forget("second_clock")


def heal(town: Town) -> bool:
    """No fault any more. False when the acquirer does not answer yet."""
    try:
        Control(town).faults()
    except (httpx.HTTPError, AssertionError):
        return False
    return True
