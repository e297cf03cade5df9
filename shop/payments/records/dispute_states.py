"""The states of a dispute and every legal transition between them, as data."""

from __future__ import annotations

from shop.payments.providers.types import DisputeState

TRANSITIONS: dict[DisputeState, frozenset[DisputeState]] = {
    DisputeState.OPEN: frozenset({DisputeState.WON, DisputeState.LOST}),
    DisputeState.WON: frozenset(),
    DisputeState.LOST: frozenset(),
}
