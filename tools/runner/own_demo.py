"""A shop and an acquirer of their own: all processes on free ports, with data in a temporary folder that is removed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import environment
import httpx
import leftovers
from demo import commands, release
from embedded_redis import EmbeddedRedis
from places import ROOT, VENV_BIN
from say import Step, Trouble

PROCFILES = (ROOT / "Procfile", ROOT / "deploy" / "Procfile.demo")
PASSED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "USER")
"""Variables of the caller's environment that the processes get. Settings of another shop, such as a database or a mail
server, are not among them.
"""
READY_WITHIN = 180.0
END_WITHIN = 6.0
"""Seconds until processes that do not end are killed."""
LINES_OF_LOG = 12


class OwnDemo:
    """The running programs; a context that starts and ends them. `shop` and `acquirer` are their addresses."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="settled-demo-"))
        self._redis = EmbeddedRedis(self._folder)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        port, acquirer_port = _free_ports()
        ports = {"PORT": str(port), "ACQUIRER_PORT": str(acquirer_port)}
        settings = environment.decide(self._folder, ports, self._redis.socket)
        self.shop, self.acquirer = settings["SHOP_URL"], settings["ACQUIRER_PUBLIC_URL"]
        self.control_token, self.redis_url = settings["CONTROL_TOKEN"], settings["REDIS_URL"]
        self._environ = {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **settings,
            leftovers.MARK: str(self._folder),
            "PATH": f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
        }
        Path(settings["PROMETHEUS_MULTIPROC_DIR"]).mkdir()

    def __enter__(self) -> OwnDemo:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def check(self) -> None:
        """Raise Trouble with the end of its log if a process has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise Trouble(f"{name} ended (code {process.returncode}):\n{self._tail(name)}")

    def _start(self) -> None:
        step = Step("start shop and acquirer")
        self._redis.start()
        preparing = {f"prepare-{path.name}": self._run(f"prepare-{path.name}", release(path)) for path in PROCFILES}
        if failed := [name for name, process in preparing.items() if process.wait()]:
            raise Trouble(f"The databases could not be prepared:\n{self._tail(failed[0])}")
        for name, command in commands(*PROCFILES).items():
            self._running[name] = self._run(name, command)
        deadline = time.monotonic() + READY_WITHIN
        waiting = [f"{self.shop}/readyz", f"{self.acquirer}/healthz"]
        while waiting := [address for address in waiting if not _answers(address)]:
            self.check()
            if time.monotonic() > deadline:
                raise Trouble(f"There is no answer from {' and '.join(waiting)}.\n{self._tail('web')}")
            time.sleep(0.05)
        step.done(f"{self.shop} and {self.acquirer}")

    def _run(self, name: str, command: str) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, which Ctrl-C does not reach: `_end` ends it."""
        with self._log(name).open("wb") as log:
            return subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                env=self._environ,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self) -> None:
        """End all processes and remove the folder. An interrupt meanwhile is ignored: it would leave processes."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + END_WITHIN
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # its forks too
            process.wait()
        self._redis.stop()
        leftovers.end(self._folder, patience=1)
        for folder in {self._folder, self._redis.socket.parent}:
            shutil.rmtree(folder, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _tail(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()[-LINES_OF_LOG:]
        return "\n".join(f"  {line}" for line in lines)


def _free_ports() -> tuple[int, int]:
    """Two TCP ports that no program uses."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
