"""Real parts for tests: Redis, PostgreSQL, Chromium and processes; begun and ended here, in temporary folders.

A `conftest.py` takes them with `pytest_plugins = [*PARTS]`.
"""

PARTS = (
    "tests.parts.processes",  # the others import it: pytest wants to see it first
    "tests.parts.authorities",
    "tests.parts.chromium",
    "tests.parts.postgres",
    "tests.parts.redis_server",
    "tests.parts.sharing",
)
