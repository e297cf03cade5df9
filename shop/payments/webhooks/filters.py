"""Filters of the webhook inbox, and their text form as parameters of an address. Pure.

Values of one filter are alternatives, and all filters have to hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from shop.core import filter_values
from shop.payments.providers.types import Outcome

NAMES = ("provider", "outcome", "state", "payment", "event", "from", "to")
"""Names of the parameters."""
OF_STORED = (
    *(Outcome.APPLIED, Outcome.DUPLICATE, Outcome.STALE, Outcome.ILLEGAL, Outcome.HINT),
    *(Outcome.MISMATCH, Outcome.ORPHAN, Outcome.FOREIGN),
)
"""Outcomes of webhooks that were stored."""
OF_REFUSED = (Outcome.BAD_SIGNATURE, Outcome.MALFORMED, Outcome.KEY_REUSED)
"""Outcomes of webhooks that were refused."""


class State(StrEnum):
    """State of a webhook in the inbox: applied or given up, due later, due later after an error, or turned away."""

    DONE = "done"
    WAITING = "waiting"
    FAILING = "failing"
    REFUSED = "refused"


@dataclass(frozen=True)
class Filters:
    """Conditions on webhooks; an empty one does not count. Days are in the shop's zone, both included."""

    providers: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    states: tuple[State, ...] = ()
    payments: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    first_day: date | None = None
    last_day: date | None = None

    @property
    def stored_outcomes(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if one in OF_STORED)

    @property
    def refused_outcomes(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if one in OF_REFUSED)

    @property
    def include_stored(self) -> bool:
        """False if no stored webhook can match."""
        return self.states != (State.REFUSED,) and (not self.outcomes or bool(self.stored_outcomes))

    @property
    def include_refused(self) -> bool:
        """False if no refused webhook can match. Their bodies are not trusted, so they have no payment and no event."""
        in_state = not self.states or State.REFUSED in self.states
        return in_state and not self.payments and not self.events and (not self.outcomes or bool(self.refused_outcomes))


def parse(parameters: Mapping[str, Iterable[str]], providers: Collection[str]) -> Filters:
    """Filters from the parameters of an address; empty values do not count. `providers` are the known ones.

    Raises BadInput `unknown_filter` and `bad_filter`; the message lists what is known.
    """
    values = filter_values.given(parameters, NAMES)
    first_day, last_day = filter_values.days(values)
    return Filters(
        providers=filter_values.known("provider", values["provider"], sorted(providers)),
        outcomes=filter_values.members("outcome", values["outcome"], (*OF_STORED, *OF_REFUSED)),
        states=filter_values.members("state", values["state"], State),
        payments=filter_values.ids("payment", values["payment"]),
        events=filter_values.ids("event", values["event"]),
        first_day=first_day,
        last_day=last_day,
    )


def pairs(filters: Filters) -> list[tuple[str, str]]:
    """The parameters of an address with these filters, in the order of NAMES."""
    values = {
        "provider": filters.providers,
        "outcome": filters.outcomes,
        "state": filters.states,
        "payment": filters.payments,
        "event": filters.events,
        "from": filters.first_day,
        "to": filters.last_day,
    }
    return filter_values.pairs(values)
