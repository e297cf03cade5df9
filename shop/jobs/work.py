"""Doing later work: in a worker, in the clock, or at once. Each item stands for itself; one that fails stops no
other.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, current_app

from shop.core import logs, metrics
from shop.core.db import db
from shop.jobs.schedule import BY_KIND, WORK, Work

log = logs.get()
PARALLEL = 8


def batch(kind: str, ids: list[Any]) -> int:
    """Do some items of one kind, several at a time, and return how many went well. This is what RQ workers call."""
    return _all(BY_KIND[kind], ids, parallel=PARALLEL)


def sweep(rounds: int = 5) -> dict[str, int]:
    """Do everything that is due, now, in this process, again while doing it makes more due; returns how many of each
    kind.
    """
    done: dict[str, int] = {}
    for _ in range(rounds):
        found = 0
        for work in WORK:
            ids = work.due()
            found += len(ids)
            done[work.kind] = done.get(work.kind, 0) + _all(work, ids, parallel=PARALLEL if work.shared else 1)
        if not found:
            break
    return done


def _all(work: Work, ids: Iterable[Any], parallel: int) -> int:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    ids = list(ids)
    if work.take and ids:
        ids = work.take(ids)
    if parallel == 1 or len(ids) < 2:
        return sum(_one(app, work, item) for item in ids)
    with ThreadPoolExecutor(min(parallel, len(ids)), thread_name_prefix=work.kind) as pool:
        return sum(pool.map(lambda item: _one(app, work, item), ids))


def _one(app: Flask, work: Work, item: Any) -> bool:
    with app.app_context():
        logs.unbind()
        try:
            work.do(item)
        except Exception as error:  # noqa: BLE001 - the row stays due; the next sweep finds it again
            db.session.rollback()
            metrics.JOBS.labels(work.kind, "failed").inc()
            log.error("work.failed", kind=work.kind, item=str(item), error=f"{type(error).__name__}: {error}")
            return False
        metrics.JOBS.labels(work.kind, "done").inc()
        return True
