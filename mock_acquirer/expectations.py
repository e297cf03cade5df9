"""Expectations instead of sleeps: wait until an event is delivered as described, or report what happened instead."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mock_acquirer import deliveries
from mock_acquirer.db import db
from mock_acquirer.errors import invalid
from mock_acquirer.events import one_of_events
from mock_acquirer.models import Delivery, Payment
from mock_acquirer.times import parse_duration
from mock_acquirer.validation import sentence

WITHIN = "PT2S"
"""Default duration of the wait."""
PAUSE = 0.02


@dataclass(frozen=True)
class Expectation:
    """`delivered` is an event type, `tries` counts attempts of all copies, `ack_under_ms` bounds the accepted one."""

    delivered: str
    tries: int | None
    ack_under_ms: int | None
    within: timedelta

    @classmethod
    def read(cls, given: dict[str, Any], events: tuple[str, ...]) -> Expectation:
        """Read from a body that `schemas` has validated. Refuses (422) an event that is not in `events`."""
        try:
            delivered = one_of_events(events)(given["delivered"])
        except ValueError as wrong:
            raise invalid("delivered", sentence("delivered", wrong)) from wrong
        within = parse_duration(given.get("within", WITHIN))
        return cls(delivered, given.get("tries"), given.get("ack_under_ms"), within)

    def wait(self, payment: Payment) -> tuple[bool, dict[str, Any]]:
        """(met, what happened), polled until `within` (wall time) has passed."""
        until = time.monotonic() + self.within.total_seconds()
        while True:
            db.session.expire_all()
            made = [one for one in deliveries.of(payment) if one.event.type == self.delivered]
            unmet = self._unmet(made)
            happened = {"met": not unmet, "unmet": unmet, "deliveries": [summary(one) for one in made]}
            if not unmet or time.monotonic() >= until:
                return not unmet, happened
            db.session.rollback()
            time.sleep(PAUSE)

    def _unmet(self, made: list[Delivery]) -> list[str]:
        """Sentences about unmet conditions."""
        attempts = [attempt for delivery in made for attempt in delivery.attempts]
        accepted = [attempt for attempt in attempts if attempt.outcome == "delivered"]
        if not made:
            return [f"No {self.delivered} was made."]
        unmet = []
        if not accepted:
            unmet.append(f"{self.delivered} was not accepted; {len(attempts)} attempts were made.")
        if self.tries is not None and len(attempts) != self.tries:
            unmet.append(f"{self.delivered} took {len(attempts)} attempts, not {self.tries}.")
        bound = float("inf") if self.ack_under_ms is None else self.ack_under_ms
        slow = [one.milliseconds for one in accepted if one.milliseconds >= bound]
        if slow:
            unmet.append(f"It was acknowledged after {min(slow)} ms, not under {self.ack_under_ms} ms.")
        return unmet


def summary(delivery: Delivery) -> dict[str, Any]:
    """A delivery in a few words."""
    return {
        "id": delivery.id,
        "state": delivery.state,
        "tries": len(delivery.attempts),
        "outcomes": [attempt.outcome for attempt in delivery.attempts],
    }
