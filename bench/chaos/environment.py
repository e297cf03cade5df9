"""Test environment: every process of the Procfiles, restarted when it dies as a platform does."""

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

from bench.chaos.mail_checks import Period
from bench.chaos.mail_server import MailServer
from bench.chaos.staff import ONLY_REVIEWS
from bench.chaos.traffic import product_slugs
from e2e.customers import HttpCustomer
from e2e.demo import PROCFILES, TOKEN, Demo, commands
from tests.parts.postgres import PostgresServer
from tests.parts.processes import Process

PAY_WITHIN = 240
SETTINGS = {
    "PAY_WITHIN": str(PAY_WITHIN),
    # As in production, but faster: calls time out after one second.
    "READ_TIMEOUT": "1",
    "ACQUIRER_TIMEOUT_HOLD": "2",
    "SEED_STOCK": "60",
    "REFUND_NEEDS_TWO": "TWD=100000,JPY=5000,USD=3000",
    "LOG_FORMAT": "json",
    "ALERT_MAIL_TO": "ops@example.com",
}
EXTRA = {"acquirer_worker": ["flask", "--app", "mock_acquirer", "worker"]}
"""A worker for the acquirer's webhooks alone, as the acquirer would run; the Procfile's worker sends them too."""
MANAGER = "manager@example.com"
PRICING = (
    ("set-tax", "US", "Sales tax", "8.875", "--added"),
    ("set-tax", "JP", "Consumption tax", "10"),
    ("set-code", "FEW", "--percent", "35", "--limit", "25", "--often"),
    ("set-code", "RICH", "--amount", "TWD=100", "--amount", "JPY=300", "--amount", "USD=4", "--budget", "TWD=2000",
     "--often"),
)  # fmt: skip
"""Prices beside those of the demo: two taxes, a code with few uses and one with a budget."""
GRACE = 0.5
"""Seconds until the platform restarts a dead process."""


class Environment(Demo):
    """The demo on SQLite or PostgreSQL, which delivers its mail to `mail_server`. `missing` names processes that are
    never started.
    """

    def __init__(self, folder: Path, database: str, seed: int, missing: tuple[str, ...] = ()) -> None:
        self.database = PostgresServer() if database == "postgresql" else None
        self.mail_server = MailServer(seed)
        settings = SETTINGS | {"MAIL_URL": f"smtp://127.0.0.1:{self.mail_server.port}/?timeout=3"}
        if self.database:
            settings |= {"DATABASE_URL": self.database.url(self.database.create()), "WEB_CONCURRENCY": "2"}
            _enable_autovacuum(settings["DATABASE_URL"])
        super().__init__(folder, **settings)
        self.missing = missing
        self.restarts = 0
        self.periods: list[Period] = []
        """Periods in which the shop may have been unable to record a delivery, or a lease may have ended early."""
        self._died: dict[str, float] = {}
        self.commands = {name: line for path in PROCFILES for name, line in commands(path).items()} | EXTRA
        self._engine = create_engine(self.environ["DATABASE_URL"], pool_pre_ping=True)

    # --- platform ---

    def start(self) -> None:
        super().start()
        self._command(
            "users",
            "create",
            MANAGER,
            "--role",
            "merchandiser",
            "--role",
            "finance",
            "--password",
            "sells lanterns by the dozen",
        )
        for arguments in PRICING:
            self._command("pricing", *arguments, "--by", MANAGER)
        self.run("acquirer_worker")
        for name in self.missing:
            self.running.pop(name).kill()

    def _command(self, *arguments: str) -> None:
        done = self.flask(*arguments)
        if done.returncode:
            raise RuntimeError(f"flask {' '.join(arguments)}: {done.stderr}")

    def run(self, name: str, as_name: str = "") -> Process:
        """Start a process of the Procfile, without waiting for it."""
        self.running[as_name or name] = self._run(as_name or name, self.commands[name])
        return self.running[as_name or name]

    def restart_dead(self) -> None:
        """Restart dead processes."""
        for name, process in list(self.running.items()):
            if process.alive():
                continue
            died = self._died.setdefault(name, time.monotonic())
            if time.monotonic() - died >= GRACE:
                del self._died[name]
                self.restarts += 1
                self.run(name)

    def terminate(self, name: str) -> None:
        """End a process for good, with SIGTERM."""
        process = self.running.pop(name, None)
        if process:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)

    def kill(self, name: str) -> None:
        """kill -9 a process and its forks, as when a container is removed."""
        process = self.running.get(name)
        if process:
            process.kill()

    def unrecorded(self, name: str, seconds: float) -> None:
        """Note that from now on, for `seconds`, the shop may be unable to record a delivery."""
        self.periods.append(Period(name, time.monotonic(), time.monotonic() + seconds))

    def children(self, name: str) -> list[int]:
        """Process ids forked by a running process."""
        process = self.running.get(name)
        if process is None:
            return []
        with suppress(OSError):
            path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            return [int(pid) for pid in path.read_text().split()]
        return []

    def all_answer(self) -> bool:
        """True when the servers answer and every process runs."""
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
        self.mail_server.end()
        if self.database:
            self.database.close()

    # --- customers and staff ---

    def start_traffic(self, orders: int, seconds: float, seed: int) -> Process:
        """Start the customer traffic: at most this many orders, none begun after so many seconds."""
        http_customer = HttpCustomer(self)
        skus = [
            sku
            for slug in product_slugs(http_customer.page("/"))
            if (sku := _sku(http_customer.page(f"/products/{slug}")))
        ]
        plan = {"shop": self.shop, "acquirer": self.acquirer, "orders": orders, "seed": seed, "goods": skus}
        plan |= {"seconds": seconds, "pay_within": PAY_WITHIN, "control": TOKEN}
        command = [sys.executable, "-m", "bench.chaos.traffic", json.dumps(plan), str(self.folder)]
        return self.processes(command, {"PYTHONPATH": os.pathsep.join(sys.path)}, log="traffic")

    def start_staff(self, seed: int) -> None:
        """Start the staff process; it is restarted like the others."""
        command = [sys.executable, "-m", "bench.chaos.staff", json.dumps({"seed": seed}), str(self.folder)]
        self.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        self.commands["staff"] = command
        self.run("staff")

    def stop_new_refunds(self) -> None:
        """Tell the staff process to review open cases but make no new refunds."""
        (self.folder / ONLY_REVIEWS).touch()

    def counts(self) -> dict[str, int]:
        """Counts of the customer traffic so far."""
        path = self.folder / "traffic.json"
        found: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def promises(self) -> list[dict[str, Any]]:
        """Results acknowledged to customers and staff, and their unexpected errors."""
        return [one for name in ("promises", "staff") for one in self._log_lines(name) if one["kind"] != "staff"]

    def staff(self) -> Counter[str]:
        """Counts of staff actions."""
        return Counter(one["what"] for one in self._log_lines("staff") if one["kind"] == "staff")

    def _log_lines(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    # --- databases of shop and acquirer ---

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the shop's database."""
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def change(self, sql: str) -> None:
        """Change the shop's database as a migration does."""
        with self._engine.begin() as connection:
            connection.execute(text(sql))

    def acquirer_rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of the acquirer's database."""
        with closing(sqlite3.connect(f"file:{self.folder / 'acquirer.db'}?mode=ro", uri=True, timeout=10)) as there:
            there.row_factory = sqlite3.Row
            return [dict(row) for row in there.execute(sql)]

    def faults_used(self) -> dict[str, int]:
        """Uses of each of the acquirer's faults."""
        found = self.acquirer_rows("SELECT fault, count(*) AS uses FROM fault_uses GROUP BY fault ORDER BY fault")
        return {row["fault"]: row["uses"] for row in found}

    def metric(self, counter: str) -> int:
        """A counter of all processes of the shop since their first start."""
        page = httpx.get(f"{self.shop}/metrics", timeout=10, trust_env=False).raise_for_status().text
        families = text_string_to_metric_families(page)
        return int(sum(one.value for family in families if family.name == counter for one in family.samples))

    def there(self) -> dict[str, Any]:
        """The acquirer's totals."""
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        answer = httpx.get(f"{self.acquirer}/_sim/totals", headers=bearer, timeout=60, trust_env=False)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


def _enable_autovacuum(url: str) -> None:
    """Switch autovacuum on, PostgreSQL's default; the tests' server has it off, and a long run would become slower and
    slower.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in ("autovacuum = on", "autovacuum_naptime = '10s'"):
            connection.execute(text(f"ALTER SYSTEM SET {setting}"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


def _sku(page: str) -> str:
    """The SKU in a product page's form; empty when it is sold out."""
    _, _, after = page.partition('name="sku" value="')
    return after.partition('"')[0]
