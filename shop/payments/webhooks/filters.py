"""Filters of the webhook inbox, and their text form as parameters of an address. Pure.

Values of one filter are alternatives, and all filters have to hold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from shop.core import filter_values, text
from shop.core.errors import BadInput
from shop.core.redacted import SECRET
from shop.payments.providers.types import Outcome

NAMES = ("provider", "outcome", "state", "payment", "event", "field", "from", "to")
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


_FIELD = re.compile(r"([\w-]{1,64}(?:\.[\w-]{1,64}){0,9})=(.{1,200})", re.ASCII)


@dataclass(frozen=True)
class Field:
    """A field of a JSON body and its value. `path` are names, and numbers of elements, such as ("captures", "0")."""

    path: tuple[str, ...]
    value: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}={self.value}"


@dataclass(frozen=True)
class Filters:
    """Conditions on webhooks; an empty one does not count. Days are in the shop's zone, both included."""

    providers: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    states: tuple[State, ...] = ()
    payments: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    field: Field | None = None
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
        """False if no refused webhook can match. Their bodies are not trusted: they have no payment, event or field."""
        in_state = not self.states or State.REFUSED in self.states
        has_content = self.payments or self.events or self.field
        return in_state and not has_content and (not self.outcomes or bool(self.refused_outcomes))


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
        field=_field(values["field"]),
        first_day=first_day,
        last_day=last_day,
    )


def _field(values: Sequence[str]) -> Field | None:
    """The field of a filter such as `data.object.id=pi_1`. Raises BadInput `bad_filter`."""
    if not values:
        return None
    found = _FIELD.fullmatch(values[0])
    if found is None or len(values) > 1 or text.is_unusable(found[2]):
        rest = "the names that lead to a field of a JSON body, with dots between them, and the value of the field"
        raise BadInput("bad_filter", f"The filter field takes one value, such as data.object.id=pi_1: {rest}.")
    if SECRET.search(found[1]):
        raise BadInput("bad_filter", "The filter field does not search for secrets and signatures.")
    return Field(tuple(found[1].split(".")), found[2])


def pairs(filters: Filters) -> list[tuple[str, str]]:
    """The parameters of an address with these filters, in the order of NAMES."""
    values = {
        "provider": filters.providers,
        "outcome": filters.outcomes,
        "state": filters.states,
        "payment": filters.payments,
        "event": filters.events,
        "field": (str(filters.field),) if filters.field else (),
        "from": filters.first_day,
        "to": filters.last_day,
    }
    return filter_values.pairs(values)
