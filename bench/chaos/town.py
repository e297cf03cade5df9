"""The place: every process of the Procfiles, and a platform that starts again what has died."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, text

from bench.chaos.crowd import goods_on
from bench.chaos.staff import ONLY_REVIEWS
from e2e.buyers import Buyer
from e2e.demo import PROCFILES, TOKEN, Demo, commands
from tests.parts.postgres import PostgresServer
from tests.parts.processes import Process

PAY_WITHIN = 240
SETTINGS = {
    "PAY_WITHIN": str(PAY_WITHIN),
    # As in production, only sooner: what times out, times out in a second.
    "READ_TIMEOUT": "1",
    "ACQUIRER_TIMEOUT_HOLD": "2",
    "SEED_STOCK": "60",
    "REFUND_NEEDS_TWO": "100000",
    "LOG_FORMAT": "json",
}
EXTRA = {"acquirer_worker": ["flask", "--app", "mock_acquirer", "worker"]}
"""The Procfile's worker brings the acquirer's webhooks too; this one does nothing else, as the acquirer's own would."""
GRACE = 0.5
"""Seconds that the platform takes to notice that something has died."""


class Town(Demo):
    """The demo on SQLite or PostgreSQL. `missing` names processes that are never started."""

    def __init__(self, folder: Path, database: str, missing: tuple[str, ...] = ()) -> None:
        self.database = PostgresServer() if database == "postgresql" else None
        settings = dict(SETTINGS)
        if self.database:
            settings |= {"DATABASE_URL": self.database.url(self.database.create()), "WEB_CONCURRENCY": "2"}
            _tidy_up(settings["DATABASE_URL"])
        super().__init__(folder, **settings)
        self.missing = missing
        self.restarts = 0
        self._died: dict[str, float] = {}
        self.commands = {name: line for path in PROCFILES for name, line in commands(path).items()} | EXTRA
        self._engine = create_engine(self.environ["DATABASE_URL"], pool_pre_ping=True)

    # --- as a platform ---

    def start(self) -> None:
        super().start()
        self.run("acquirer_worker")
        for name in self.missing:
            self.running.pop(name).kill()

    def run(self, name: str, as_name: str = "") -> Process:
        """Start a process of the Procfile, without waiting for it."""
        self.running[as_name or name] = self._run(as_name or name, self.commands[name])
        return self.running[as_name or name]

    def look_after(self) -> None:
        """Start again what has died."""
        for name, process in list(self.running.items()):
            if process.alive():
                continue
            died = self._died.setdefault(name, time.monotonic())
            if time.monotonic() - died >= GRACE:
                del self._died[name]
                self.restarts += 1
                self.run(name)

    def forget(self, name: str) -> None:
        """End a process for good, politely."""
        process = self.running.pop(name, None)
        if process:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)

    def kill(self, name: str) -> None:
        """kill -9 of a process and what it forked, as when a container goes."""
        process = self.running.get(name)
        if process:
            process.kill()

    def children(self, name: str) -> list[int]:
        """The process ids that a running process has forked."""
        process = self.running.get(name)
        if process is None:
            return []
        with suppress(OSError):
            path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            return [int(pid) for pid in path.read_text().split()]
        return []

    def all_answer(self) -> bool:
        """Whether the servers are there and the platform has nothing to start."""
        try:
            answers = [httpx.get(url, timeout=2, trust_env=False) for url in (f"{self.shop}/healthz", self._ready())]
        except httpx.HTTPError:
            return False
        return all(answer.is_success for answer in answers) and all(p.alive() for p in self.running.values())

    def _ready(self) -> str:
        return f"{self.acquirer}/healthz"

    def close(self) -> None:
        self._engine.dispose()
        super().close()
        if self.database:
            self.database.close()

    # --- buyers ---

    def let_buyers_in(self, orders: int, seconds: float, seed: int) -> Process:
        """Start the buyers' process: so many come, but nobody after so many seconds."""
        buyer = Buyer(self)
        skus = [sku for slug in goods_on(buyer.page("/")) if (sku := _sku(buyer.page(f"/products/{slug}")))]
        plan = {"shop": self.shop, "acquirer": self.acquirer, "orders": orders, "seed": seed, "goods": skus}
        plan |= {"seconds": seconds, "pay_within": PAY_WITHIN, "control": TOKEN}
        command = [sys.executable, "-m", "bench.chaos.crowd", json.dumps(plan), str(self.folder)]
        return self.processes(command, {"PYTHONPATH": os.pathsep.join(sys.path)}, log="crowd")

    def let_staff_in(self, seed: int) -> None:
        """Start the process of the shop's people; the platform looks after it as after the others."""
        command = [sys.executable, "-m", "bench.chaos.staff", json.dumps({"seed": seed}), str(self.folder)]
        self.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        self.commands["staff"] = command
        self.run("staff")

    def nothing_new(self) -> None:
        """Staff decides what is on the desk, and begins nothing any more."""
        (self.folder / ONLY_REVIEWS).touch()

    def counts(self) -> dict[str, int]:
        """What the buyers have counted so far."""
        path = self.folder / "crowd.json"
        found: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def promises(self) -> list[dict[str, Any]]:
        """What buyers and staff were promised, and who of them could not go on."""
        return [one for name in ("promises", "staff") for one in self._told(name) if one["kind"] != "staff"]

    def staff(self) -> Counter[str]:
        """What the shop's people did."""
        return Counter(one["what"] for one in self._told("staff") if one["kind"] == "staff")

    def _told(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    # --- the shop's and the acquirer's books ---

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """What the shop's database says."""
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def change(self, sql: str) -> None:
        """Change the shop's database as a migration does."""
        with self._engine.begin() as connection:
            connection.execute(text(sql))

    def at_the_acquirer(self, sql: str) -> list[dict[str, Any]]:
        """What the acquirer's database says."""
        with closing(sqlite3.connect(f"file:{self.folder / 'acquirer.db'}?mode=ro", uri=True, timeout=10)) as there:
            there.row_factory = sqlite3.Row
            return [dict(row) for row in there.execute(sql)]

    def faults_used(self) -> dict[str, int]:
        """How often each fault of the acquirer fired."""
        found = self.at_the_acquirer("SELECT fault, count(*) AS uses FROM fault_uses GROUP BY fault ORDER BY fault")
        return {row["fault"]: row["uses"] for row in found}

    def counted(self, counter: str) -> int:
        """What all processes of the shop together have counted since they were first started."""
        page = httpx.get(f"{self.shop}/metrics", timeout=10, trust_env=False).raise_for_status().text
        families = text_string_to_metric_families(page)
        return int(sum(one.value for family in families if family.name == counter for one in family.samples))

    def there(self) -> dict[str, Any]:
        """The acquirer's totals."""
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(f"{self.acquirer}/_sim/totals", headers=bearer, timeout=60, trust_env=False)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


def _tidy_up(url: str) -> None:
    """Let PostgreSQL look after its tables, as it does wherever nobody has told it not to; short tests need no such
    thing, and a long run becomes slower and slower without it.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in ("autovacuum = on", "autovacuum_naptime = '10s'"):
            connection.execute(text(f"ALTER SYSTEM SET {setting}"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


def _sku(page: str) -> str:
    """What a product page puts into the cart; empty when it is sold out."""
    _, _, after = page.partition('name="sku" value="')
    return after.partition('"')[0]
