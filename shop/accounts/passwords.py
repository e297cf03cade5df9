"""Password hashing (argon2id) outside the web server's event loop.

One hash takes about 30 ms and 19 MiB. Under gevent that would stop every other request of the process, so two real
threads do the work. When too many callers wait, further ones are refused, to bound memory.
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
from shop.core.sentences import sentence

T = TypeVar("T")
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_THREADS = 2
_QUEUE_LIMIT = 32  # callers that may wait at once, per process
_queue = threading.BoundedSemaphore(_QUEUE_LIMIT)


def make(password: str) -> str:
    """The hash to store for `password`. Raises Away when too many callers wait."""
    return _in_thread(_hasher.hash, _normal(password))


def matches(stored: str | None, password: str) -> bool:
    """True if `password` matches the hash `stored`. Takes the same time for an account that does not exist (None).

    Raises Away when too many callers wait.
    """
    spare = _spare()
    return _in_thread(_verify, stored or spare, _normal(password)) and stored is not None


def is_outdated(stored: str) -> bool:
    """True if `stored` was made with parameters other than the current ones."""
    return _hasher.check_needs_rehash(stored)


@cache
def _spare() -> str:
    """The hash that is checked for an account that does not exist."""
    return _in_thread(_hasher.hash, os.urandom(16).hex())


def _normal(password: str) -> str:
    """Unicode normal form (NFKC), so that different keyboards give the same password."""
    return unicodedata.normalize("NFKC", password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


def _in_thread(work: Callable[..., T], *args: Any) -> T:
    if not _queue.acquire(blocking=False):
        raise Away("busy", sentence("Sign-in is busy at the moment. Please try again in a few seconds."), retry_after=3)
    try:
        if gevent.monkey.is_module_patched("threading"):
            result: T = _gevent_pool(os.getpid()).apply(work, args)
            return result
        return _thread_pool(os.getpid()).submit(work, *args).result()
    finally:
        _queue.release()


@cache
def _gevent_pool(_pid: int) -> gevent.threadpool.ThreadPool:
    return gevent.threadpool.ThreadPool(_THREADS)


@cache
def _thread_pool(_pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
