"""Benchmark of the acquirer alone: API calls a second, webhooks delivered a second, memory. SQLite, one process of 16
threads.

The receiver is a bare asyncio server in its own process that answers 204 to every request; client, acquirer and
receiver
share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from bench.tools import each, note, table
from tests.parts.processes import ROOT, free_port

HANDS = 16
API, SIM = {"Authorization": "Bearer kp_test_demo"}, {"Authorization": "Bearer sim_demo"}
LOCAL = threading.local()


def receive(port: int, got: Synchronized[int]) -> None:
    """Answer 204 to every request and count."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                got.value += 1
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def forever() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
            await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def acquirer(folder: str, hooks: int) -> Iterator[tuple[int, int]]:
    """Start an acquirer in gunicorn: (port, process id)."""
    port = free_port()
    settings = {
        "ACQUIRER_DATABASE_URL": f"sqlite:///{folder}/acquirer.db",
        "SETTLED_ENV": "development",
        "ACQUIRER_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ACQUIRER_WEBHOOK_TARGETS": f"http://127.0.0.1:{hooks}",
        "ACQUIRER_KPAY_WEBHOOK_URL": f"http://127.0.0.1:{hooks}/hooks",
        "ACQUIRER_LOG_LEVEL": "ERROR",
        "ACQUIRER_RATE_LIMIT": "",
        "REDIS_URL": "",
        "SHOP_CLOCK_URL": "",
    }
    environment = os.environ | settings
    flask = [sys.executable, "-m", "flask", "--app", "mock_acquirer", "db", "upgrade"]
    subprocess.run(flask, cwd=ROOT, env=environment, check=True, capture_output=True)
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "-k",
        "gthread",
        "--threads",
        str(HANDS),
        "--no-control-socket",
        "--keep-alive",
        "75",
    ]
    command = [*gunicorn, "-b", f"127.0.0.1:{port}", "--log-level", "error", "mock_acquirer:create_app()"]
    started = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with suppress(OSError):
                call(port, "GET", "/healthz", {})
                break
            time.sleep(0.05)
        workers = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        yield port, int(workers[0])
    finally:
        started.terminate()
        started.wait(10)


def call(port: int, method: str, path: str, headers: dict[str, str], body: Any = None) -> Any:
    """One call on this thread's connection."""
    connection = getattr(LOCAL, "connection", None)
    if connection is None:
        connection = LOCAL.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        LOCAL.connection = None
        raise
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
    return json.loads(text)


def rate(count: int, do: Callable[[int], Any]) -> tuple[float, list[Any]]:
    """(calls a second, responses)."""
    began = time.monotonic()
    found = each(range(count), do, HANDS)
    return count / (time.monotonic() - began), found


def megabytes(process: int) -> float:
    """Resident memory of the process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def measure(port: int, worker: int, count: int, got: Synchronized[int]) -> list[tuple[object, ...]]:
    """The rows of the table."""
    fields = {"amount": 120000, "currency": "TWD", "return_url": "http://shop.test/back"}
    before = megabytes(worker)
    opens, payments = rate(
        count, lambda one: call(port, "POST", "/kpay/v1/payments", API, fields | {"reference": f"B{one}"})
    )
    note(f"{count} payments are open")
    queries, _ = rate(count, lambda one: call(port, "GET", f"/kpay/v1/payments/{payments[one]['id']}", API))
    half = count // 2
    began = time.monotonic()
    each(range(half), lambda one: call(port, "POST", f"/_sim/payments/B{one}/approve", SIM), HANDS)
    while got.value < half:
        time.sleep(0.002)
    delivered = half / (time.monotonic() - began)
    note(f"{half} payments are approved and their webhooks delivered")
    call(port, "PUT", "/_sim/faults", SIM, {"hook": {"delay": "PT10M"}})
    each(range(half, count), lambda one: call(port, "POST", f"/_sim/payments/B{one}/approve", SIM), HANDS)
    began = time.monotonic()
    call(port, "POST", "/_sim/clock/advance", SIM, {"by": "PT11M"})
    turned = (count - half) / (time.monotonic() - began)
    if got.value != count:
        raise RuntimeError(f"{got.value} of {count} webhooks arrived")
    return [
        ("", "a second"),
        ("payments opened", opens),
        ("queries", queries),
        ("payments approved, webhooks delivered and acknowledged", delivered),
        ("webhooks delivered in order while the clock is turned", turned),
        ("", "MB"),
        ("resident memory of the process, at first", before),
        (f"after {count} payments", megabytes(worker)),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    count = parser.parse_args().count
    context = get_context("spawn")
    got = context.Value("i", 0)
    hooks = free_port()
    receiver = context.Process(target=receive, args=(hooks, got), daemon=True)
    receiver.start()
    with tempfile.TemporaryDirectory(prefix="settled-bench-") as folder, acquirer(folder, hooks) as (port, worker):
        rows = measure(port, worker, count, got)
    receiver.terminate()
    table("The acquirer alone, SQLite, one process", rows)


if __name__ == "__main__":
    main()
