"""Fault injection into processes, Redis and databases: a table of faults, and a seeded order in which they are
injected.
"""

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
from functools import partial

import httpx

from bench.chaos.environment import Environment
from e2e.control import Control
from e2e.demo import TOKEN

Undo = Callable[[], object]

ACQUIRER_FAULTS = {
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
"""Faults armed at the acquirer: a third of the webhooks lost, a fifth duplicated, some late or forged; a fifth of all
calls fail.
"""


@dataclass(frozen=True)
class Fault:
    """`inject` starts the fault; it returns a function that reverts it `seconds` later. While a fault `stops_writes`,
    the shop may be unable to record what it has done.
    """

    name: str
    inject: Callable[[Environment], Undo | None]
    seconds: float = 0.0
    only_on: str = ""
    stops_writes: bool = False


def _kill(name: str) -> Callable[[Environment], None]:
    return lambda env: env.kill(name)


def _web_worker(env: Environment) -> None:
    for pid in env.children("web")[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _hang(name: str) -> Callable[[Environment], Undo | None]:
    def hang(env: Environment) -> Undo | None:
        process = env.running.get(name)
        if process is None or not process.alive():
            return None
        os.killpg(process.pid, signal.SIGSTOP)

        def go_on() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)

        return go_on

    return hang


def _two_clocks(env: Environment) -> Undo:
    env.run("clock", as_name="second_clock")
    return lambda: env.terminate("second_clock")


def _redis_stopped(env: Environment) -> Undo:
    env.redis.stop()
    return env.redis.start


def _redis_killed(env: Environment) -> Undo:
    env.redis.kill()
    return env.redis.start


def _redis_hung(env: Environment) -> Undo:
    env.redis.pause()
    return env.redis.resume


def _redis_emptied(env: Environment) -> None:
    env.redis.empty()


def _postgres_restarted(env: Environment) -> Undo | None:
    if env.database is None:
        return None
    env.database.stop("immediate")
    return env.database.start


def _sqlite_locked(env: Environment) -> Undo:
    """Hold SQLite's write lock for longer than any writer waits."""
    other = sqlite3.connect(env.folder / "shop.db", timeout=5, isolation_level=None)
    with suppress(sqlite3.OperationalError):
        other.execute("BEGIN IMMEDIATE")
    return other.close


def _rolling_restart(env: Environment) -> None:
    """Run the next version's migration while the old processes serve; then replace them, one after the other."""
    column = f"later_{time.monotonic_ns()}"
    for table in ("orders", "payments"):
        env.change(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")
    if "web" in env.running:
        env.running["web"].signal(signal.SIGHUP)
    for name in ("worker", "clock", "acquirer_worker"):
        if name in env.running:
            env.running[name].signal(signal.SIGTERM)


def _mail_server(name: str, value: object) -> Callable[[Environment], Undo]:
    """Switch a fault of the mail server on by setting its attribute `name`."""

    def inject(env: Environment) -> Undo:
        healthy = getattr(env.mail_server, name)
        setattr(env.mail_server, name, value)
        return partial(setattr, env.mail_server, name, healthy)

    return inject


def _mail_server_closed(env: Environment) -> Undo:
    env.mail_server.close()
    return env.mail_server.open


FAULTS = (
    Fault("web worker killed", _web_worker),
    Fault("web killed, master and all", _kill("web")),
    Fault("worker killed", _kill("worker")),
    Fault("clock killed", _kill("clock")),
    Fault("acquirer's worker killed", _kill("acquirer_worker")),
    Fault("acquirer killed", _kill("acquirer")),
    Fault("staff killed", _kill("staff")),
    Fault("clock hung for 2.5 s", _hang("clock"), 2.5),
    Fault("worker hung for 3 s", _hang("worker"), 3),
    Fault("web hung for 2 s, then all at once", _hang("web"), 2),
    Fault("acquirer hung for 3 s", _hang("acquirer"), 3),
    Fault("two clocks at once", _two_clocks, 6),
    Fault("Redis stopped for 3 s", _redis_stopped, 3),
    Fault("Redis killed", _redis_killed, 0.5),
    Fault("Redis hung for 2 s", _redis_hung, 2),
    Fault("Redis emptied", _redis_emptied),
    Fault("PostgreSQL restarted, immediate", _postgres_restarted, 0.3, "postgresql", stops_writes=True),
    Fault("PostgreSQL away for 3 s", _postgres_restarted, 3, "postgresql", stops_writes=True),
    Fault("SQLite locked for 6 s", _sqlite_locked, 6, "sqlite", stops_writes=True),
    Fault("rolling restart while the schema grows", _rolling_restart, stops_writes=True),
)
MAIL_FAULTS = (
    Fault("mail server refuses connections for 4 s", _mail_server_closed, 4),
    Fault("mail server refuses recipients for now, for 3 s", _mail_server("refuses_recipients", True), 3),
    Fault("mail server refuses messages for now, for 3 s", _mail_server("refuses_messages", True), 3),
    Fault("mail server takes 2.2 s for a message, for 8 s", _mail_server("lag", 2.2), 8),
    Fault("mail server breaks accepted connections for 4 s", _mail_server("breaks", True), 4),
    Fault("mail server hung for 5 s", lambda env: env.mail_server.freeze(), 5),
)
"""Faults of the mail server, which also refuses some customers for ever. They have a schedule of their own: they hinder
no other fault.
"""


def advance_clocks(env: Environment, seconds: int) -> None:
    """Advance the acquirer's clock, which advances the shop's. If the shop is down, `sync_clocks` makes up for it
    later.
    """
    env.unrecorded("leases ended by an advance of the clock", 0)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(timeout=600, trust_env=False, headers=bearer) as client, suppress(httpx.HTTPError):
        client.post(f"{env.acquirer}/_sim/clock/advance", json={"by": f"PT{seconds}S"})


def sync_clocks(env: Environment) -> bool:
    """Advance the shop's clock to the acquirer's time. False when one of them does not answer."""
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(timeout=10, trust_env=False, headers=bearer) as client:
            now = client.get(f"{env.acquirer}/_sim/clock").raise_for_status().json()["now"]
            return client.post(f"{env.shop}/dev/clock", json={"to": now}).status_code in (200, 409)
    except httpx.HTTPError:
        return False


@dataclass
class FaultInjector:
    """Injects one of `faults` about every `every` seconds and reverts it in time."""

    env: Environment
    faults: tuple[Fault, ...]
    seed: int
    every: float
    say: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        kind = "postgresql" if self.env.database else "sqlite"
        self._applicable = [one for one in self.faults if one.only_on in ("", kind)]
        self._rng = random.Random(self.seed)
        self._order = self._shuffled()
        self._reverting: list[tuple[float, int, str, Undo]] = []
        self._sequence = itertools.count()
        self._next = time.monotonic() + self.every

    def _shuffled(self) -> Iterator[Fault]:
        while True:
            yield from self._rng.sample(self._applicable, len(self._applicable))

    def act(self) -> None:
        """Revert and inject what is due now."""
        self._revert(time.monotonic())
        if time.monotonic() >= self._next:
            self.inject(next(self._order))
            self._next = time.monotonic() + self.every * self._rng.uniform(0.6, 1.4)

    def inject(self, fault: Fault) -> None:
        self.say(fault.name)
        self.done[fault.name] += 1
        try:
            undo = fault.inject(self.env)
        except Exception as error:  # noqa: BLE001 - a database that is away refuses a migration too
            self.say(f"could not be injected now: {type(error).__name__}")
            self.done[fault.name] -= 1
            return
        if fault.stops_writes:
            self.env.unrecorded(fault.name, fault.seconds)
        if undo:
            at = time.monotonic() + fault.seconds
            heapq.heappush(self._reverting, (at, next(self._sequence), fault.name, undo))

    def _revert(self, until: float) -> None:
        while self._reverting and self._reverting[0][0] <= until:
            heapq.heappop(self._reverting)[3]()

    def stop(self) -> None:
        """Revert all faults and inject no more."""
        self._revert(float("inf"))
        self.env.mail_server.heal()
        self.env.redis.start()
        if self.env.database:
            self.env.database.start()
        self.env.terminate("second_clock")


def disarm_acquirer(env: Environment) -> bool:
    """Disarm the acquirer's faults. False when it does not answer yet."""
    try:
        Control(env).faults()
    except (httpx.HTTPError, AssertionError):
        return False
    return True
