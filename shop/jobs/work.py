"""Execution of due work: in a worker, in the clock, or in a command. A failing item does not stop the others."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, current_app

from shop.core import logs, metrics
from shop.core.db import db
from shop.core.errors import PassiveCopy
from shop.jobs.schedule import BY_KIND, WORK, Work

log = logs.get()
PARALLEL = 8


def batch(kind: str, ids: list[Any]) -> int:
    """Do some items of one kind, several at a time; returns the number of successes. RQ workers call it."""
    return _all(BY_KIND[kind], ids, parallel=PARALLEL)


def sweep(rounds: int = 5, *, without: Collection[str] = ()) -> dict[str, int]:
    """Do all due work now, in this process, and repeat while that makes more work due; returns the number of items by
    kind. After `rounds` repetitions only items that were not done before count. `without` names kinds to leave.
    """
    done: dict[str, int] = {}
    seen: set[tuple[str, Any]] = set()
    kinds = WORK
    for number in itertools.count(1):
        found: set[tuple[str, Any]] = set()
        for work in (one for one in kinds if one.kind not in without):
            ids = work.due()
            found |= {(work.kind, item) for item in ids}
            done[work.kind] = done.get(work.kind, 0) + _all(work, ids, parallel=PARALLEL if work.shared else 1)
        if not found or (number >= rounds and found <= seen):
            break
        seen |= found
        kinds = _due_after({kind for kind, _ in found})
    return done


def _due_after(done: set[str]) -> tuple[Work, ...]:
    """The work that may be due when all due work was done and it was of these kinds."""
    if all(BY_KIND[kind].only_emits for kind in done):
        return tuple(work for work in WORK if work.kind in {"outbox", *done})
    return WORK


def _all(work: Work, ids: Iterable[Any], parallel: int) -> int:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if app.config["SETTLED_PASSIVE"]:
        raise PassiveCopy
    ids = list(ids)
    if work.claim and ids:
        ids = work.claim(ids)
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
