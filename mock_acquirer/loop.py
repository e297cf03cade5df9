"""Background loop: expires sessions, captures late money, sends due deliveries. Two loops may run: claims are
conditional UPDATEs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from flask import Flask

from mock_acquirer import clock, courier, deliveries, disputes, engine, moves, refunds
from mock_acquirer.db import db, release
from mock_acquirer.errors import conflict
from mock_acquirer.handover import HandOver
from mock_acquirer.models import Dispute, Refund

PAUSE = 0.5
DRAIN_LEASE = 60.0
LONGEST_WAIT = 8.0


def tick(app: Flask) -> int:
    """Perform everything that is due in all runs. Returns the number of items done."""
    hand_over: HandOver = app.extensions["acquirer.courier"]
    with app.app_context():
        done = move_payments()
        fresh, lost = deliveries.unhanded()
        release()
        if lost:
            hand_over.distrust()
        if fresh and hand_over.to_queue(fresh):
            deliveries.mark_handed(fresh)
            fresh = []
        return done + len(
            courier.deliver(fresh + lost, threads=app.config["ACQUIRER_THREADS"]) if fresh or lost else []
        )


def move_payments(run: str | None = None) -> int:
    """Expire due sessions, make late captures, then advance refunds and disputes."""
    done = 0
    for over in engine.due_payments(run)[0]:
        done += engine.expire_if_due(over)
    for late in engine.due_payments(run)[1]:
        done += engine.capture_late(late)
    for refund in moves.due_parts(Refund, run):
        done += refunds.step(refund)
    for dispute in moves.due_parts(Dispute, run):
        done += disputes.step(dispute)
    return done


def _upcoming(run: str) -> list[datetime]:
    """The time of the run's next automatic step, by kind."""
    moments = (
        engine.next_due(run),
        deliveries.next_due(run),
        *(moves.next_part(part, run) for part in (Refund, Dispute)),
    )
    return [moment for moment in moments if moment is not None]


def forever(app: Flask, stop: threading.Event) -> None:
    """Tick until `stop`; a new delivery wakes it at once. A failing tick is logged and does not end it."""
    wake: threading.Event = app.extensions["acquirer.courier"].wake
    while not stop.is_set():
        try:
            busy = tick(app)
        except Exception:  # noqa: BLE001 - the loop outlives a database that is away
            app.logger.exception("delivery loop failed")
            busy = 0
        if not busy:
            wake.wait(PAUSE)
        wake.clear()


def start_thread(app: Flask) -> threading.Event:
    """Run the loop beside the serving threads. Setting the returned event ends it."""
    stop = threading.Event()
    threading.Thread(target=forever, args=(app, stop), name="acquirer-loop", daemon=True).start()
    return stop


def advance(run: str, to: datetime, turn_shop: Callable[[datetime], None]) -> dict[str, int]:
    """Advance the run's clock to `to`, performing everything that falls due at its own time and in order.

    `turn_shop(moment)` is called before each step. Returns how many deliveries were accepted, and how many attempts
    were made. Refuses (409) while another advance of this run is under way.
    """
    if not clock.claim_drain(run, DRAIN_LEASE):
        raise conflict("clock_is_turning", "Another call is advancing this run's clock now.")
    outcomes: list[str] = []
    try:
        _wait_for_senders(run)
        while True:
            outcomes += _work_off(run)
            step = min([to, *(moment for moment in _upcoming(run) if moment > clock.now(run))])
            release()
            turn_shop(step)
            clock.move_to(run, step)
            clock.keep_drain(run, DRAIN_LEASE)
            if step >= to:
                break
        outcomes += _work_off(run)
    finally:
        clock.end_drain(run)
    return {"delivered": outcomes.count("delivered"), "attempts": len(outcomes)}


def _work_off(run: str) -> list[str]:
    """Perform everything that is due at this moment, in order."""
    outcomes: list[str] = []
    while True:
        moved = move_payments(run)
        due = deliveries.due_ids(run)
        sent = courier.deliver(due, run=run) if due else []
        outcomes += sent
        clock.keep_drain(run, DRAIN_LEASE)
        if not sent and not moved:
            return outcomes


def _wait_for_senders(run: str) -> None:
    """Wait for deliveries claimed before this advance, so that the order is kept."""
    until = time.monotonic() + LONGEST_WAIT
    while deliveries.in_flight(run) and time.monotonic() < until:
        db.session.rollback()
        time.sleep(0.01)
