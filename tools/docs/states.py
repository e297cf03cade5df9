"""docs/states.md: the states of orders and payments as diagrams and tables, from the state tables."""

from __future__ import annotations

from collections.abc import Iterable

from mock_acquirer import states as acquirer_states
from shop.fulfilment.decide import SHIPPABLE
from shop.orders import states as order_states
from shop.orders.fulfilment_states import FulfilmentState
from shop.payments.records import states as payment_states
from tools.docs.text import GENERATED, table

_FULFILMENT = {
    FulfilmentState.TO_PACK: "some are left to pack, and none are in packages",
    FulfilmentState.PARTLY_PACKED: "some are packed, some are left, none have been shipped",
    FulfilmentState.PACKED: "all are packed, none have been shipped",
    FulfilmentState.PARTLY_SHIPPED: "some have been shipped, some are packed or left",
    FulfilmentState.SHIPPED: "all have been shipped",
    FulfilmentState.NOTHING_TO_SHIP: "all were withdrawn by staff",
}


def page() -> str:
    """Return the text of docs/states.md."""
    transitions = [
        (_listed(order_states.STATES, m.sources), m.target, f"`{m.because}`", m.description)
        + ("correction" if m.correction else "",)
        for m in order_states.TRANSITIONS
    ]
    steps = [
        (state, _listed(payment_states.STATES, payment_states.TRANSITIONS[state]) or "nothing")
        for state in payment_states.STATES
    ]
    parts = [
        GENERATED,
        "# States",
        "`shop/orders/states.py` has the states of orders, `shop/payments/records/states.py` those of payments. A\n"
        "transition of an order that its table does not list is refused. The other table decides what an update\n"
        "changes.",
        "## An order",
        _diagram((source, m.target, m.because) for m in order_states.TRANSITIONS for source in m.sources),
        table(
            ("From", "To", "Because", "Meaning", ""),
            [("-", "PENDING", "placed", "stock is reserved", ""), *transitions],
        ),
        "## The fulfilment of an order",
        "The state follows from the places of the units (`shop/fulfilment/decide.py`). An order is packed and shipped\n"
        f"while its money is {' or '.join(sorted(SHIPPABLE))}.",
        table(("State", "Units"), [(state, _FULFILMENT[state]) for state in FulfilmentState]),
        "## A payment",
        _diagram((source, to, "") for source, targets in payment_states.TRANSITIONS.items() for to in targets),
        table(("From", "To"), steps),
        "An update that reports the present state is a `duplicate`, one that reports an earlier state is `stale`;\n"
        "both change nothing. A capture whose id is not booked yet is always booked, whatever the state.",
        "## A payment at the mock acquirer",
        table(
            ("From", "To"), [(state, ", ".join(to) or "nothing") for state, to in acquirer_states.TRANSITIONS.items()]
        ),
        "Only faults lead out of `voided` and `expired`: a capture after the end of the session.",
    ]
    return "\n\n".join(parts) + "\n"


def _listed(order: Iterable[str], chosen: Iterable[str]) -> str:
    kept = set(chosen)
    return ", ".join(state for state in order if state in kept)


def _diagram(edges: Iterable[tuple[str, str, str]]) -> str:
    """A Mermaid state diagram; transitions between the same states share an arrow."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for source, target, because in sorted(edges):
        reasons.setdefault((source, target), []).append(because)
    lines = [
        f"  {source} --> {target}" + (f" : {', '.join(labels)}" if any(labels) else "")
        for (source, target), labels in reasons.items()
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])
