"""The demo as `bin/run` starts it, on free ports and in its own folder, with processes that can be stopped."""

from __future__ import annotations

import os
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from flask import Flask

from shop import create_app
from tests.parts.processes import ROOT, Process, Processes, free_port, http_status
from tests.parts.redis_server import RedisServer
from tests.parts.waiting import until

TOKEN = "sim_e2e"
PROCFILES = (ROOT / "Procfile", ROOT / "deploy" / "Procfile.demo")


def commands(procfile: Path) -> dict[str, list[str]]:
    """The commands of a Procfile by process name."""
    lines = (line.partition(":") for line in procfile.read_text().splitlines() if ":" in line)
    return {name.strip(): shlex.split(command) for name, _, command in lines}


class Demo:
    """Shop, worker, clock, acquirer and Redis. `shop` and `acquirer` are the addresses that a browser uses."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.redis = RedisServer()
        self.processes = Processes(folder)
        self.running: dict[str, Process] = {}
        self._shell: Flask | None = None
        port, acquirer_port = free_port(), free_port()
        self.shop, self.acquirer = f"http://localhost:{port}", f"http://localhost:{acquirer_port}"
        self.environ = {**_settings(folder, port, acquirer_port), "REDIS_URL": self.redis.url, **settings}
        Path(self.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir()

    def start(self) -> None:
        """Migrate, seed, and run every process of the Procfiles. Returns when shop and acquirer answer."""
        found = [commands(path) for path in PROCFILES]
        releases = [self._run(f"release-{number}", each.pop("release")) for number, each in enumerate(found)]
        for release in releases:
            assert release.wait(within=60) == 0, release.text
        for each in found:
            for name, command in each.items():
                self.running[name] = self._run(name, command)
        self._wait("web", f"{self.shop}/readyz")
        self._wait("acquirer", f"{self.acquirer}/healthz")

    def stop(self, name: str, number: int = signal.SIGKILL) -> None:
        """End one process, by default with SIGKILL, and wait for its end."""
        process = self.running[name]
        process.signal(number)
        process.wait()
        process.kill()  # its forks
        if name == "web":
            until(lambda: http_status(f"{self.shop}/healthz") == 0, what="the shop's port to be free")

    def start_again(self, name: str) -> None:
        """Restart a stopped process; returns when it answers, if it is a server."""
        self.running[name] = self._run(name, {k: v for path in PROCFILES for k, v in commands(path).items()}[name])
        for server, url in (("web", f"{self.shop}/readyz"), ("acquirer", f"{self.acquirer}/healthz")):
            if name == server:
                self._wait(name, url)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to one process and its forks; SIGSTOP and SIGCONT make them hang and continue."""
        os.killpg(self.running[name].pid, number)

    def hold(self, name: str) -> None:
        """Stop one process (SIGSTOP) at a moment at which it does not lock the shop's SQLite database."""
        while True:
            self.signal(name, signal.SIGSTOP)
            with suppress(sqlite3.OperationalError), self._connect() as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
                return
            self.signal(name, signal.SIGCONT)

    def flask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the shop, in this process, where the shop is already loaded."""
        if self._shell is None:
            self._shell = create_app(self.environ)
        done = self._shell.test_cli_runner().invoke(args=arguments)
        wrong = "" if isinstance(done.exception, SystemExit | None) else repr(done.exception)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr + wrong)

    def execute(self, statement: str, *values: object) -> None:
        """Change the shop's database directly, where no page can."""
        with self._connect() as connection:
            connection.execute(statement, values)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "shop.db", timeout=2)

    def close(self) -> None:
        """End all processes."""
        for name, process in self.running.items():
            if process.alive():
                self.signal(name, signal.SIGCONT)
        self.processes.end()
        self.redis.close()

    def _run(self, name: str, command: list[str]) -> Process:
        return self.processes(command, self.environ, log=name)

    def _wait(self, name: str, url: str) -> None:
        self.running[name].wait_for_url(url, within=30)


def _settings(folder: Path, port: int, acquirer_port: int) -> Mapping[str, str]:
    """Settings as `bin/run` decides them, independent of a demo on this machine."""
    shop, acquirer = f"http://localhost:{port}", f"http://localhost:{acquirer_port}"
    return {
        "SETTLED_RUN": str(folder),
        "SETTLED_ENV": "development",
        "BIND_ADDRESS": "127.0.0.1",
        "PORT": str(port),
        "SHOP_URL": shop,
        "SECRET_KEY": "only for browser tests " * 2,
        "DATABASE_URL": f"sqlite:///{folder / 'shop.db'}",
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "ACQUIRER_PORT": str(acquirer_port),
        "ACQUIRER_URL": f"http://127.0.0.1:{acquirer_port}",
        "ACQUIRER_PUBLIC_URL": acquirer,
        "ACQUIRER_DATABASE_URL": f"sqlite:///{folder / 'acquirer.db'}",
        "ACQUIRER_CONTROL_TOKEN": TOKEN,
        "CONTROL_TOKEN": TOKEN,
        **{f"{name}_MOCKED": "on" for name in ("KPAY", "PAYPAY", "STRIPE", "TPAY")},
        "ACQUIRER_WEBHOOK_TARGETS": f"{shop},http://127.0.0.1:{port}",
        "ACQUIRER_KPAY_WEBHOOK_URL": f"{shop}/webhooks/kpay",
        "ACQUIRER_PAYPAY_WEBHOOK_URL": f"{shop}/webhooks/paypay",
        "ACQUIRER_STRIPE_WEBHOOK_URL": f"{shop}/webhooks/stripe",
        "SHOP_CLOCK_URL": f"{shop}/dev/clock",
        # Clients without a browser send their own address, so that many customers are not limited as one.
        "PROXY_HOPS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
    }
