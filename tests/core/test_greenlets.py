"""Under gevent PostgreSQL is waited for without holding up other greenlets, and a lost connection is noticed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.parts.processes import ROOT

SCRIPT = """
from gevent import monkey; monkey.patch_all()
import os, time
import gevent, psycopg
from psycopg import waiting
from shop.core import greenlets
from sqlalchemy.engine import make_url

before = waiting.wait
greenlets.install(); greenlets.install()
assert waiting.wait is not before

def connect():
    url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False))

def rest():
    with connect() as connection:
        return connection.execute("SELECT 1 FROM pg_sleep(0.5)").fetchone()[0]

began = time.monotonic()
resting = [gevent.spawn(rest) for _ in range(6)]
gevent.joinall(resting, raise_error=True)
assert [one.value for one in resting] == [1] * 6
assert time.monotonic() - began < 2.5, "one after the other they would rest three seconds"

with connect() as connection, connection.pipeline(), connection.cursor() as cursor:
    cursor.execute("CREATE TEMPORARY TABLE many (body text)")
    for _ in range(50):
        cursor.executemany("INSERT INTO many VALUES (%s)", [("x" * 100_000,)] * 4)
    assert cursor.execute("SELECT count(*) FROM many").fetchone() == (200,)

doomed = connect()
pid = doomed.info.backend_pid
waits = gevent.spawn(lambda: doomed.execute("SELECT pg_sleep(30)"))
gevent.sleep(0.2)
with connect() as other:
    other.execute("SELECT pg_terminate_backend(%s)", (pid,))
try:
    waits.get(timeout=10)
except psycopg.OperationalError:
    print("all is well")
"""


@pytest.mark.full
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_greenlets_wait_for_postgresql_side_by_side_and_notice_when_it_goes(database_url: str) -> None:
    environ = {**os.environ, "DATABASE_URL": database_url}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.stdout == "all is well\n", done.stderr


BEFORE_PATCHING = """
import runpy, sys
runpy.run_path("deploy/gunicorn.py")
print(sorted({"gevent", "prometheus_client", "redis", "shop", "ssl", "threading"} & set(sys.modules)))
"""


def test_nothing_is_imported_that_gevent_would_patch_too_late() -> None:
    """A lock or a sleep from before the patch holds up all greenlets of the process."""
    done = subprocess.run([sys.executable, "-c", BEFORE_PATCHING], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr
