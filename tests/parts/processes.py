"""Real processes for tests: started with a log file, awaited by a response or a log line, ended with the test."""

from __future__ import annotations

import ctypes
import os
import random
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.parts.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
VENV_BIN = Path(sys.executable).parent
NOWHERE = "http://localhost:9"
"""A port without a listener, so that a demo on this machine receives nothing from tests."""


def free_port() -> int:
    """A free TCP port. Outgoing connections get higher ones, so none of them takes it before its server does."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def end_with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn`: the process gets signal `number` when this one dies, even by kill -9. Linux only."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl  # looked up here: no library can be loaded between fork and exec
    return lambda: prctl(1, number)


class Process:
    """A running process. `log` is its output, `pid` its process id."""

    def __init__(self, command: Sequence[str], log: Path, environ: Mapping[str, str], folder: Path) -> None:
        self.command = list(command)
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.command,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - tests fork from one thread
            )

    @property
    def pid(self) -> int:
        """The process id; also that of its process group."""
        return self.popen.pid

    @property
    def text(self) -> str:
        """Its output so far, errors included."""
        return self.log.read_text(errors="replace")

    def alive(self) -> bool:
        """True while it runs."""
        return self.popen.poll() is None

    def wait_for_line(self, pattern: str, within: float = 15.0) -> re.Match[str]:
        """Wait for the first output line that matches `pattern`. Raises AssertionError with its log after `within`
        seconds.
        """
        return self._wait(lambda: re.search(pattern, self.text, re.MULTILINE), f"a line like {pattern!r}", within)

    def wait_for_url(self, url: str, status: int = 200, within: float = 15.0) -> None:
        """Wait until `url` answers with `status`. Raises AssertionError with the log when it does not."""
        self._wait(lambda: http_status(url) == status, f"{status} from {url}", within)

    def wait(self, within: float = 15.0) -> int:
        """Wait for its exit code, negative for a signal. Raises AssertionError with its log when it does not end in
        time.
        """
        try:
            return self.popen.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self._name()} did not end within {within} s:\n{self.text[-4000:]}") from None

    def signal(self, number: int) -> None:
        """Send a signal to the process alone."""
        self.popen.send_signal(number)

    def kill(self) -> None:
        """kill -9 the process and its group, and wait for its end."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def _wait(self, condition: Callable[[], object], what: str, within: float):  # type: ignore[no-untyped-def]
        def met() -> object:
            answer = condition()
            if not answer and not self.alive():
                raise AssertionError(f"{self._name()} ended with {self.popen.returncode}:\n{self.text[-4000:]}")
            return answer

        try:
            return until(met, within, what)
        except AssertionError as error:
            raise AssertionError(f"{self._name()}: {error}\n{self.text[-4000:]}") from None

    def _name(self) -> str:
        return " ".join(self.command)[:120]


class Processes:
    """Starts processes; `end` ends all of them. Commands by bare name are the project's installed ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Process] = []

    def __call__(
        self, command: Sequence[str], environ: Mapping[str, str] | None = None, folder: Path = ROOT, log: str = ""
    ) -> Process:
        """Start `command` with `environ` added to this process's, its output in a log file named `log`."""
        path = f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}"
        name = log or f"{Path(command[0]).name}-{len(self.started)}"
        full = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **(environ or {})}
        process = Process(command, self.folder / f"{name}.log", full, folder)
        self.started.append(process)
        return process

    def end(self) -> None:
        """End all running processes, newest first: SIGTERM, then SIGKILL."""
        for process in reversed(self.started):
            if process.alive():
                process.signal(signal.SIGTERM)
        for process in reversed(self.started):
            with suppress(AssertionError):
                process.wait(within=5)
            process.kill()


def http_status(url: str, timeout: float = 2.0) -> int:
    """The status of a GET of `url`; 0 without a response."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Processes]:
    """Starts processes that end with the test: `process(["flask", "--app", "wsgi", "clock"], {"DATABASE_URL": …})`."""
    processes = Processes(tmp_path)
    yield processes
    processes.end()


@pytest.fixture(scope="session")
def session_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """As `process`, for processes shared by a whole session."""
    processes = Processes(tmp_path_factory.mktemp("processes"))
    yield processes
    processes.end()
