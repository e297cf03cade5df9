"""Run the commands of the Procfile in parallel with honcho: one log with prefixes, and all end together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import honcho.manager
from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Message

SOON = 0.3
PATIENCE = 12.0
"""Seconds until processes that do not end are killed; gunicorn gives open requests ten."""
honcho.manager.KILL_WAIT = PATIENCE


def release(procfile: Path) -> str:
    """The command that must finish before the others start."""
    return str(parse_procfile(procfile.read_text()).processes["release"])


def commands(*procfiles: Path) -> dict[str, str]:
    """The long-running commands of the given Procfiles by name."""
    found = {name: text for path in procfiles for name, text in parse_procfile(path.read_text()).processes.items()}
    return {name: text for name, text in found.items() if name != "release"}


class Demo(Manager):
    """honcho's manager, made safe to interrupt at any moment, and able to say which process ended first."""

    def __init__(
        self,
        processes: Mapping[str, str],
        environment: Mapping[str, str],
        folder: Path,
        when_started: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.culprit: tuple[str, int] | None = None
        self._when_started = when_started
        self._interruptions = 0
        for name, command in processes.items():
            # exec: without a shell in between, signals reach the process itself
            self.add_process(name, f"exec {command}", env=dict(environment), cwd=str(folder))

    def terminate(self) -> None:
        """Ask all processes to end and kill the rest after PATIENCE; a second interrupt kills at once."""
        if self._terminating:
            if self._interruptions > 1:
                self.kill()
            return
        ended = [(name, known["returncode"]) for name, known in self._processes.items() if "returncode" in known]
        if ended and not self._interruptions:
            self.culprit = ended[0]
        super().terminate()
        self._later(PATIENCE, self.kill)

    def _start(self) -> None:
        super()._start()
        self._later(0, self._when_started)  # start the thread only now: honcho forks, and threads do not survive a fork

    def _killall(self, force: bool = False) -> None:
        if not self._all_started():  # interrupted while starting: processes without a known pid get it in a moment
            self._later(SOON, lambda: Manager._killall(self, force) if self._all_started() else self._killall(force))
            return
        super()._killall(force)

    def _system_print(self, data: str) -> None:
        """Print through the queue: honcho calls this inside signal handlers, which may interrupt a print."""
        self._interruptions += data.endswith(" received\n")
        if "sending SIGTERM" not in data and " started (pid" not in data:
            self.events.put(Message(type="line", data=data, time=self._clock.now(), name="system", colour=None))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
