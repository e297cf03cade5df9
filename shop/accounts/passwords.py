"""Password hashes (argon2id), made and checked outside of the web server's event loop.

One hash takes some 30 ms and 19 MiB. Under gevent that would stop every other request of the process, so the work goes
to two real threads; whoever comes when too many are in line is told to come back, because a flood of sign-ins must not
become a flood of memory.
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import gevent.monkey
import gevent.threadpool
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from shop.core.errors import Away

T = TypeVar("T")
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_THREADS = 2
_IN_LINE = 32  # callers that may be in line at once, per process
_line = threading.BoundedSemaphore(_IN_LINE)


def make(password: str) -> str:
    """The hash to store for `password`. Raises Away when too many are in line."""
    return _elsewhere(_hasher.hash, _normal(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether `password` is the one behind `stored`; takes as long for an account that does not exist (None).

    Raises Away when too many are in line.
    """
    spare = _spare()
    return _elsewhere(_verify, stored or spare, _normal(password)) and stored is not None


def is_outdated(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@cache
def _spare() -> str:
    """The hash that is checked where there is no account."""
    return _elsewhere(_hasher.hash, os.urandom(16).hex())


def _normal(password: str) -> str:
    """One spelling for what looks the same, whichever keyboard typed it."""
    return unicodedata.normalize("NFKC", password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


def _elsewhere(work: Callable[..., T], *args: Any) -> T:
    if not _line.acquire(blocking=False):
        raise Away("busy", "Many people are signing in just now. Please try again in a few seconds.", retry_after=3)
    try:
        if gevent.monkey.is_module_patched("threading"):
            return _gevent_pool(os.getpid()).apply(work, args)
        return _thread_pool(os.getpid()).submit(work, *args).result()
    finally:
        _line.release()


@cache
def _gevent_pool(_pid: int) -> gevent.threadpool.ThreadPool:
    return gevent.threadpool.ThreadPool(_THREADS)


@cache
def _thread_pool(_pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
