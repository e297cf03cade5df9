"""PostgreSQL's driver under gevent: waits in the hub when there is something to wait for, and goes on when not.

psycopg's own wait asks gevent's `select.poll`, which goes through the hub even when the socket is ready. In a pipeline
it nearly always is, for writing: a settle then spends half of its time on waiting for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import gevent
import gevent.monkey
from psycopg import waiting

_READ, _WRITE = 1, 2
"""In psycopg's words, in gevent's, and, by `_POLLED`, in the kernel's."""
_POLLED = {_READ: 0x001, _WRITE: 0x004, _READ | _WRITE: 0x005}  # POLLIN, POLLOUT


def install() -> None:
    """From now on psycopg waits like this in this process, if gevent has patched it. Safe to repeat."""
    if gevent.monkey.is_module_patched("select") and waiting.wait is not _wait:
        _patient.append(waiting.wait)
        waiting.wait = _wait  # type: ignore[assignment]


_patient: list[Callable[..., Any]] = []
_poll = gevent.monkey.get_original("select", "poll")


def _wait(steps: Generator[Any, Any, Any], fileno: int, interval: float = 0.0, timeout: float | None = None) -> Any:
    if timeout is not None:
        return _patient[-1](steps, fileno, interval=interval, timeout=timeout)
    try:
        wanted = int(next(steps))
        poll = _poll()
        while True:
            poll.register(fileno, _POLLED[wanted])
            while not (found := poll.poll(0)):
                _rest(fileno, wanted)
            wanted = int(steps.send(_ready(found[0][1], wanted)))
    except StopIteration as end:
        return end.value


def _ready(events: int, wanted: int) -> int:
    """What may be done now. A socket that is gone counts as what was wanted: the driver then finds out."""
    return (events & 0x001) | (events & 0x004) >> 1 or wanted


def _rest(fileno: int, wanted: int) -> None:
    """Let the other greenlets go on until the socket is ready for any of what is wanted."""
    hub = gevent.get_hub()
    watcher = hub.loop.io(fileno, wanted)
    try:
        hub.wait(watcher)
    finally:
        watcher.close()
