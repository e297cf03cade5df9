"""Cooperative waiting under gevent: for computations in a thread, and for psycopg without a switch to the hub when its
socket is ready.

psycopg waits cooperatively without our help: when gevent has patched `select`, it uses `wait_poll` in place of its C
code. But gevent's `poll` switches to the hub even when the socket is ready, which it nearly always is for writing, so
every statement runs all other greenlets first. Three queries and a pipeline of nine statements cost 350 µs of CPU
with this replacement and 710 µs without, and among four busy greenlets they took several times as long (psycopg
3.3.9, gevent 26). psycopg documents no hook for it; `PSYCOPG_WAIT_FUNC` chooses among its own functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

import gevent
import gevent.monkey
from psycopg import waiting

T = TypeVar("T")
_READ, _WRITE = 1, 2
"""Event bits of psycopg and gevent; `_POLLED` maps them to those of poll(2)."""
_POLLED = {_READ: 0x001, _WRITE: 0x004, _READ | _WRITE: 0x005}  # POLLIN, POLLOUT


def in_thread(compute: Callable[[], T]) -> T:
    """Call a function that computes without Python's lock; the other greenlets of this process run meanwhile.

    It must not use the database session, the request or the app, which belong to the greenlet that waits. Without
    gevent it is called directly.
    """
    if not gevent.monkey.is_module_patched("threading"):
        return compute()
    return cast("T", gevent.get_hub().threadpool.apply(compute))


def install() -> None:
    """Replace psycopg's wait in this process if gevent has patched it. Safe to repeat."""
    if gevent.monkey.is_module_patched("select") and waiting.wait is not _wait:
        _original.append(waiting.wait)
        waiting.wait = _wait  # type: ignore[assignment]


_original: list[Callable[..., Any]] = []
_poll = gevent.monkey.get_original("select", "poll")


def _wait(steps: Generator[Any, Any, Any], fileno: int, interval: float = 0.0, timeout: float | None = None) -> Any:
    if timeout is not None:
        return _original[-1](steps, fileno, interval=interval, timeout=timeout)
    try:
        wanted = int(next(steps))
        poll = _poll()
        while True:
            poll.register(fileno, _POLLED[wanted])
            while not (found := poll.poll(0)):
                _wait_until_ready(fileno, wanted)
            wanted = int(steps.send(_ready(found[0][1], wanted)))
    except StopIteration as end:
        return end.value


def _ready(events: int, wanted: int) -> int:
    """The events that are ready. A closed socket counts as ready: the driver then reports the error."""
    return (events & 0x001) | (events & 0x004) >> 1 or wanted


def _wait_until_ready(fileno: int, wanted: int) -> None:
    """Run other greenlets until the socket is ready for one of the wanted events."""
    hub = gevent.get_hub()
    watcher = hub.loop.io(fileno, wanted)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()
