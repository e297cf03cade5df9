"""Mentions in the text of a note: `@ada` for ada@example.com, or the whole address for a name that two have. Pure.

A name that is not known is refused: the writer would believe that a colleague will read the note.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from shop.core.errors import BadInput

MOST = 10
"""Colleagues whom a note can mention."""
LISTED = 20
"""Names that a refusal lists."""
_NAME = re.compile(r"(?:^|(?<=[\s(\[{\"'“,;:/]))@([\w+-](?:[\w.+-]*[\w+-])?(?:@[\w-]+(?:\.[\w-]+)*)?)")


@dataclass(frozen=True)
class Colleague:
    """An account of staff. `reads_orders` is true if it may open the order that the note is about."""

    id: int
    email: str
    reads_orders: bool

    @property
    def name(self) -> str:
        """The part of the address before the @."""
        return self.email.partition("@")[0]


def names(text: str) -> list[str]:
    """The mentioned names or addresses, in lower case, once each."""
    return list(dict.fromkeys(name.lower() for name in _NAME.findall(text)))


def found(text: str, staff: Sequence[Colleague]) -> list[Colleague]:
    """The colleagues whom a text mentions. Raises BadInput: `unknown_mention`, `several_of_name`, `cannot_read`, and
    `too_many_mentions`.
    """
    mentioned = dict.fromkeys(_of_name(name, staff) for name in names(text))
    if len(mentioned) > MOST:
        raise BadInput("too_many_mentions", f"A note can mention {MOST} people.")
    return list(mentioned)


def known(staff: Sequence[Colleague]) -> str:
    """The names that can be mentioned, as text; LISTED of them at most."""
    listed = list(islice(_spelled(staff), LISTED + 1))
    return ", ".join(listed[:LISTED]) + (", …" if len(listed) > LISTED else "")


def _of_name(name: str, staff: Sequence[Colleague]) -> Colleague:
    matching = [one for one in staff if name in (one.email, one.name)]
    if not matching:
        rest = f"Names are {known(staff)}. Write a space after @ where you mean no person."
        raise BadInput("unknown_mention", f"There is no member of staff @{name[:80]}. {rest}")
    if len(matching) > 1:
        addresses = ", ".join(f"@{one.email}" for one in matching)
        raise BadInput("several_of_name", f"Several people have the name @{name}. Write one of {addresses}.")
    if not matching[0].reads_orders:
        raise BadInput("cannot_read", f"@{name} may not read orders, so the note would not reach this person.")
    return matching[0]


def _spelled(staff: Sequence[Colleague]) -> Iterator[str]:
    names_of = [one.name for one in staff]
    having = Counter(names_of)
    for one, name in zip(staff, names_of, strict=True):
        if one.reads_orders:
            yield f"@{name if having[name] == 1 else one.email}"
