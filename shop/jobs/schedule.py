"""What there is to do later, as a table. A new kind of later work is a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shop.alerts import lookouts, watch
from shop.checkout import closing, saga
from shop.core import outbox
from shop.jobs import effects, invariants
from shop.payments import inbox, poll, refund_sending


@dataclass(frozen=True)
class Work:
    """`due()` lists ids, `do(id)` does one and may be repeated. `shared` work is handed to RQ workers in batches.

    `take(ids)`, where there is one, claims some in one unit, and only those that it returns are done.
    """

    kind: str
    due: Callable[[], list[Any]]
    do: Callable[[Any], Any]
    shared: bool = False
    take: Callable[[list[Any]], list[Any]] | None = None


def _relay(_batch: int) -> None:
    outbox.relay(effects.follow)


WORK: tuple[Work, ...] = (
    Work("inbox", inbox.due, inbox.apply),
    Work("saga", saga.due, saga.resume),
    Work("poll", poll.due_payments, poll.ask_taken, shared=True, take=poll.take),
    Work("refund", refund_sending.due, refund_sending.do, shared=True),
    Work("closing", closing.due, closing.finish, shared=True),
    Work("outbox", lambda: list(range(min(5, -(-outbox.waiting() // 200)))), _relay),
    Work("watch", watch.due, watch.look),
    Work("lookout", lookouts.due, lookouts.look),
    Work("invariants", invariants.due, invariants.look),
)
BY_KIND = {work.kind: work for work in WORK}
EVERY = 1.0
"""Seconds between two looks of the clock at what is due."""
BATCH = 20
HELP_AFTER = 10.0
"""Seconds after which the clock does shared work itself that no worker has done."""
