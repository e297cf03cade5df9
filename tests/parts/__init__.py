"""Real services for tests: Redis, PostgreSQL, Chromium and processes, started and ended here, in temporary folders.

A `conftest.py` uses them with `pytest_plugins = [*PARTS]`.
"""

PARTS = (
    "tests.parts.processes",  # imported by the others: pytest must rewrite it first
    "tests.parts.authorities",
    "tests.parts.chromium",
    "tests.parts.postgres",
    "tests.parts.pgbouncer",
    "tests.parts.redis_server",
    "tests.parts.selection",
    "tests.parts.sharing",
)
