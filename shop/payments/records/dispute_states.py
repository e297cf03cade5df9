"""The states of a dispute and every legal transition between them, as data."""

from __future__ import annotations

from collections.abc import Mapping

from shop.core import event_types
from shop.payments.providers.types import DisputeState

TRANSITIONS: dict[DisputeState, frozenset[DisputeState]] = {
    DisputeState.OPEN: frozenset({DisputeState.WON, DisputeState.LOST}),
    DisputeState.WON: frozenset(),
    DisputeState.LOST: frozenset(),
}
EVENTS: Mapping[DisputeState, type[event_types.DisputeChanged]] = {
    DisputeState.OPEN: event_types.DisputeOpen,
    DisputeState.WON: event_types.DisputeWon,
    DisputeState.LOST: event_types.DisputeLost,
}
