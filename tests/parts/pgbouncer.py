"""A real PgBouncer in transaction mode in front of a test's PostgreSQL, if installed (Debian: pgbouncer)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.parts.postgres import PostgresServer
from tests.parts.processes import Processes, free_port
from tests.parts.waiting import until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
SETTINGS = """
[databases]
* = host={server} user=postgres
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
query_wait_timeout = 20
logfile = {folder}/log
admin_users = postgres
"""


class PgBouncer:
    """PgBouncer on a unix socket, with `size` connections to each database."""

    def __init__(self, server: PostgresServer, start: Processes, size: int = 8) -> None:
        assert PROGRAM
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="settled-pb-")), free_port()
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(SETTINGS.format(server=server.folder, folder=self.folder, port=self.port, size=size))
        command = [PROGRAM, str(settings)]
        if os.getuid() == 0:  # it refuses to run as root
            owner = server.folder.stat().st_uid
            for path in (self.folder, settings):
                os.chown(path, owner, -1)
            command = ["setpriv", f"--reuid={owner}", "--clear-groups", *command]
        self.process = start(command, log="pgbouncer")
        until(self._answers, within=10, what="PgBouncer to answer")

    def url(self, database: str) -> str:
        """SQLAlchemy's address of a database of the server, through the pooler."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}&port={self.port}"

    def close(self) -> None:
        """Remove its folder; the process ends with the test."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self.process.alive(), self.process.text
        try:
            psycopg.connect(f"host={self.folder} port={self.port} user=postgres dbname=pgbouncer").close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture
def pgbouncer(postgres: PostgresServer, process: Processes) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode in front of the session's PostgreSQL."""
    if PROGRAM is None:
        pytest.skip("this machine has no pgbouncer (Debian: apt-get install pgbouncer)")
    pooler = PgBouncer(postgres, process)
    yield pooler
    process.end()
    pooler.close()
