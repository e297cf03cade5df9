"""Table of due work. A new kind of work is a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shop.alerts import chat, conditions, notifications, watcher
from shop.catalogue import entry_repair, search_entries
from shop.checkout import end_order, saga
from shop.core import audit_seals, outbox
from shop.documents import missing as documents
from shop.integrity import checks
from shop.jobs import effects, invariants, retention, sqlite_statistics
from shop.mail import deliver
from shop.merchandising import imports
from shop.order_search import exports
from shop.outgoing_webhooks import deliver as outgoing_webhooks
from shop.outgoing_webhooks import lanes
from shop.payments.polling import poll
from shop.payments.refunds import send
from shop.payments.settlement import daily_fetch
from shop.payments.webhooks import inbox
from shop.statistics import rollup


@dataclass(frozen=True)
class Work:
    """`due()` lists ids; `do(id)` does one and is idempotent. `shared` work is handed to RQ workers in batches.

    `claim(ids)`, where present, claims some in one transaction; only the ids that it returns are done. `seconds` is the
    longest that a job of a worker may take, less than `worker._STUCK`.

    `is_slow` marks shared work that may take seconds, or that waits for a host that is no acquirer's API. The clock,
    which does shared work that no worker takes, does it in a thread of its own (`shop.jobs.slow_work`).

    `only_emits` marks work that can make nothing due but events in the outbox and work of its own kind.
    """

    kind: str
    due: Callable[[], list[Any]]
    do: Callable[[Any], Any]
    shared: bool = False
    claim: Callable[[list[Any]], list[Any]] | None = None
    seconds: int = 60
    is_slow: bool = False
    only_emits: bool = False


def _relay(_batch: int) -> None:
    outbox.relay(effects.follow, effects.follow_alone)


WORK: tuple[Work, ...] = (
    Work("inbox", inbox.due, inbox.apply),
    Work("saga", saga.due, saga.resume),
    Work("poll", poll.due_payments, poll.query_claimed, shared=True, claim=poll.claim),
    Work("refund", send.due, send.do, shared=True),
    Work("closing", end_order.due, end_order.end_due, shared=True),
    Work("outbox", lambda: list(range(min(5, -(-outbox.waiting() // 200)))), _relay),
    Work("summary", notifications.due, notifications.summarise_due),
    Work("mail", deliver.due, deliver.do, shared=True, is_slow=True, only_emits=True),
    Work("chat", chat.due, chat.do, shared=True, is_slow=True, only_emits=True),
    Work("outgoing_webhooks", outgoing_webhooks.due, lanes.do, shared=True, is_slow=True),
    Work("export", exports.due, exports.do, shared=True, is_slow=True),
    Work("import", imports.due, imports.do, shared=True, is_slow=True),
    Work("settlement", daily_fetch.due, daily_fetch.fetch_due, shared=True, seconds=120, is_slow=True),
    Work("integrity", checks.due, checks.continue_due, shared=True, seconds=120, is_slow=True),
    Work("statistics", rollup.due, rollup.add_due),
    Work("documents", documents.due, documents.do),
    Work("search", entry_repair.due, search_entries.write_one, only_emits=True),
    Work("watch", watcher.due, watcher.check_due, only_emits=True),
    Work("conditions", conditions.due, conditions.check_due, only_emits=True),
    Work("invariants", invariants.due, invariants.check_due, only_emits=True),
    Work("audit", audit_seals.due, audit_seals.seal_due, only_emits=True),
    Work("retention", retention.due, retention.step, only_emits=True),
    Work("planner", sqlite_statistics.due, sqlite_statistics.collect, only_emits=True),
)
BY_KIND = {work.kind: work for work in WORK}
EVERY = 1.0
"""Seconds between two passes of the clock."""
BATCH = 20
HELP_AFTER = 10.0
"""Seconds after which the clock does shared work itself that no worker has done."""
