"""The states of orders and payments as pictures and tables, from the tables that the code obeys."""

from __future__ import annotations

from dataclasses import dataclass

from docs.make.svg import Box, Drawing, bounds
from docs.make.text import GENERATED, table
from mock_acquirer import states as acquirer_states
from shop.orders import states as order_states
from shop.payments import states as payment_states

WIDTH, HEIGHT, GAP = 190, 44, 32


@dataclass(frozen=True)
class Group:
    """States that moves may share. `says` is its heading."""

    name: str
    says: str
    states: frozenset[str]


@dataclass(frozen=True)
class Edge:
    """One arrow: between two states or groups, with the reason that is written on it."""

    source: str
    target: str
    label: str
    correction: bool = False


@dataclass(frozen=True)
class Chart:
    """A state machine with the place of each state (middle of its box) and what the groups are."""

    title: str
    size: tuple[int, int]
    places: dict[str, tuple[int, int]]
    groups: tuple[Group, ...]
    looks: dict[str, str]
    notes: dict[str, str]
    tall: dict[str, int]


ORDERS = Chart(
    "The states of an order",
    (1310, 620),
    {
        order_states.PENDING: (145, 150),
        order_states.FAILED: (145, 480),
        order_states.WAITING_PAYMENT: (412, 315),
        order_states.PAID: (785, 215),
        order_states.EXPIRED: (785, 440),
        order_states.CANCELLED: (785, 510),
        order_states.PARTIALLY_REFUNDED: (1120, 155),
        order_states.REFUNDED: (1120, 290),
    },
    (
        Group("PAYABLE", "may still be paid: stock is held", order_states.PAYABLE),
        Group("UNPAID_END", "no money: stock is free again", order_states.UNPAID_END),
    ),
    {"PAID": "good", "PARTIALLY_REFUNDED": "good", "EXPIRED": "end", "CANCELLED": "end", "REFUNDED": "end"},
    {},
    {order_states.PAID: 210},
)
PAYMENTS = Chart(
    "The states of a payment",
    (1080, 520),
    {
        payment_states.CREATED: (150, 150),
        payment_states.AUTHORIZED: (570, 150),
        payment_states.OPEN: (360, 255),
        payment_states.UNKNOWN: (360, 400),
        payment_states.CAPTURED: (940, 150),
        payment_states.FAILED: (940, 310),
        payment_states.CANCELLED: (940, 375),
        payment_states.EXPIRED: (940, 440),
    },
    (
        Group("STILL_OPEN", "may still bring money: at most one for each order", payment_states.STILL_OPEN),
        Group("ENDED", "ended without money", payment_states.ENDED_WITHOUT_MONEY),
    ),
    {"CAPTURED": "good", "FAILED": "end", "CANCELLED": "end", "EXPIRED": "end"},
    {
        payment_states.CREATED: "written, not yet asked",
        payment_states.UNKNOWN: "asked, no answer",
        payment_states.OPEN: "the buyer may pay",
        payment_states.AUTHORIZED: "promised, not taken",
        payment_states.CAPTURED: "money was taken",
    },
    {},
)


def orders() -> str:
    """docs/pictures/order-states.svg"""
    edges = {
        Edge(source, move.target, move.because, move.correction)
        for move in order_states.MOVES
        for source in move.sources
    }
    return _draw(ORDERS, order_states.STATES, edges, "Dashed blue: corrections of what was believed before.")


def payments() -> str:
    """docs/pictures/payment-states.svg"""
    edges = {Edge(source, target, "") for source, targets in payment_states.MOVES.items() for target in targets}
    return _draw(PAYMENTS, payment_states.STATES, edges, "An arrow from or to a frame stands for every state in it.")


def page() -> str:
    """The text of docs/states.md."""
    moves = [
        (", ".join(s for s in order_states.STATES if s in m.sources), m.target, f"`{m.because}`", m.says)
        + ("correction" if m.correction else "",)
        for m in order_states.MOVES
    ]
    steps = [
        (state, ", ".join(s for s in payment_states.STATES if s in payment_states.MOVES[state]) or "nothing")
        for state in payment_states.STATES
    ]
    parts = [
        GENERATED,
        "# States",
        "Both tables are data: `shop/orders/states.py` and `shop/payments/states.py`. `shop/orders/move.py` refuses\n"
        "what the first one does not know; what a report may do to a payment is judged by the second one.",
        "## An order",
        "![The states of an order](pictures/order-states.svg)",
        table(("From", "To", "Because", "That is", ""), [("-", "PENDING", "placed", "stock is reserved", ""), *moves]),
        "Some rows wait for what comes next (store credit, refunds, staff): nothing asks for them yet.",
        "## A payment",
        "![The states of a payment](pictures/payment-states.svg)",
        table(("From", "To"), steps),
        "A report of the present state is a `duplicate`, one of a lower state is `stale`; both change nothing. A\n"
        "capture whose id is not booked yet is always booked, whatever the state.",
        "## A payment at the mock acquirer",
        table(
            ("From", "To"), [(state, ", ".join(to) or "nothing") for state, to in acquirer_states.TRANSITIONS.items()]
        ),
        "Out of `voided` and `expired` only faults lead: money that is taken after the end.",
    ]
    return "\n\n".join(parts) + "\n"


def merged(edges: set[Edge], groups: tuple[Group, ...]) -> set[Edge]:
    """The same moves with fewer arrows: one from, or to, a group where all its members have it."""
    for group in groups:
        for edge in list(edges):
            same = {Edge(member, edge.target, edge.label, edge.correction) for member in group.states}
            if edge.target not in group.states and same <= edges:
                edges = edges - same | {Edge(group.name, edge.target, edge.label, edge.correction)}
    for group in groups:
        for edge in list(edges):
            same = {Edge(edge.source, member, edge.label, edge.correction) for member in group.states}
            if edge.source not in group.states and not edge.label and same <= edges:
                edges = edges - same | {Edge(edge.source, group.name, edge.label, edge.correction)}
    return edges


def _draw(chart: Chart, states: tuple[str, ...], edges: set[Edge], legend: str) -> str:
    if set(states) != set(chart.places):
        raise ValueError(f"{chart.title}: these have no place: {sorted(set(states) ^ set(chart.places))}")
    boxes = {}
    for name, (x, y) in chart.places.items():
        tall = chart.tall.get(name, HEIGHT)
        boxes[name] = Box(x - WIDTH / 2, y - tall / 2, WIDTH, tall)
    frames = {g.name: bounds(boxes[s] for s in g.states).around(22, top=26) for g in chart.groups}
    width, height = chart.size
    drawing = Drawing(width, height, chart.title, f"{chart.title}: {', '.join(states)}. {legend}")
    drawing.text(32, 44, chart.title, "title")
    drawing.text(32, height - 24, legend, "soft")
    for group in chart.groups:
        frame = frames[group.name]
        drawing.rect(frame, "group", 14)
        drawing.text(frame.x + 16, frame.y + 24, group.says, "soft")
    pairs: dict[frozenset[str], list[Edge]] = {}
    for edge in sorted(merged(edges, chart.groups), key=lambda e: (e.source, e.target, e.correction, e.label)):
        pairs.setdefault(frozenset((edge.source, edge.target)), []).append(edge)
    for between in pairs.values():
        _arrows(drawing, between, boxes | frames)
    for name, box in boxes.items():
        drawing.named_box(box, name, chart.looks.get(name, "box"), chart.notes.get(name, ""))
    return drawing.svg()


def _arrows(drawing: Drawing, edges: list[Edge], boxes: dict[str, Box]) -> None:
    """Everything between two boxes, side by side; moves that differ in nothing but their reason share an arrow."""
    shared: dict[tuple[str, str, bool], list[str]] = {}
    for edge in edges:
        shared.setdefault((edge.source, edge.target, edge.correction), []).append(edge.label)
    first = min(edges[0].source, edges[0].target)
    for place, ((source, target, correction), labels) in enumerate(shared.items()):
        shift = (place - (len(shared) - 1) / 2) * GAP
        ends = _parallel(boxes[first], boxes[target if source == first else source], shift)
        start, end = ends if source == first else ends[::-1]
        drawing.line((start, end), "arrow correction" if correction else "arrow")
        _label(drawing, start, end, labels, shift)


def _label(
    drawing: Drawing, start: tuple[float, float], end: tuple[float, float], labels: list[str], shift: float
) -> None:
    """The reasons: above a level arrow, beside an upright one or one of a pair, else across it."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y, css = start[0] + dx / 2, start[1] + dy / 2 + 4, "middle"
    if abs(dy) < 1:
        y -= 10
    elif shift or abs(dx) < 1:
        x += 10 if shift >= 0 else -10
        css = "start" if shift >= 0 else "end-of-line"
    for line, label in enumerate(labels):
        drawing.text(x, y + (line - (len(labels) - 1) / 2) * 15, label, f"label {css}")


def _parallel(one: Box, other: Box, shift: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two points on the borders of boxes: level or upright where they face each other, else near their corners."""
    low, high = max(one.y, other.y), min(one.y + one.height, other.y + other.height)
    left, right = max(one.x, other.x), min(one.x + one.width, other.x + other.width)
    if high - low > 20:
        y = _middle(low, high, one, other, vertical=True) + _squeeze(shift, high - low)
        return (_side(one, other), y), (_side(other, one), y)
    if right - left > 20:
        x = _middle(left, right, one, other, vertical=False) + _squeeze(shift, right - left)
        return (x, _edge(one, other)), (x, _edge(other, one))
    return _corner(one, other, shift), _corner(other, one, shift)


def _middle(low: float, high: float, one: Box, other: Box, *, vertical: bool) -> float:
    """The middle of the smaller box where that lies inside both, else of what they share."""
    smaller = min(one, other, key=lambda box: box.height if vertical else box.width)
    wished = smaller.center[1] if vertical else smaller.center[0]
    return wished if low < wished < high else (low + high) / 2


def _squeeze(shift: float, room: float) -> float:
    return max(-room / 2 + 8, min(room / 2 - 8, shift))


def _side(box: Box, other: Box) -> float:
    return box.x + box.width if other.x > box.x else box.x


def _edge(box: Box, other: Box) -> float:
    return box.y + box.height if other.y > box.y else box.y


def _corner(box: Box, other: Box, shift: float) -> tuple[float, float]:
    """A point on the side that faces the other box, two thirds of the way to its nearer corner."""
    x, y = box.center
    toward = 1 if other.center[0] > x else -1
    down = 1 if other.center[1] > y else -1
    return x + toward * box.width / 3 + shift * 0.6, y + down * box.height / 2
