"""One file writes an order's status, and one file decides that money arrived."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from docs.make.code import Source, sources

MOVE, EVENTS = "shop/orders/move.py", "shop/orders/events.py"
PLACING = "shop/checkout/saga.py"
SETTLE = "shop/payments/settle.py"
STATES_OF_PAYMENTS = {
    (SETTLE, "payment"),
    ("shop/payments/refunds.py", "refund"),
    ("shop/payments/disputes.py", "dispute"),
}
"""(file, variable) where `.state = …` is a payment's, a refund's or a dispute's and not an order's."""
_RAW = re.compile(r"\b(update|insert\s+into|delete\s+from)\s+(orders|captures|payments)\b", re.I)


def second_writers(files: Iterable[Source]) -> list[str]:
    """Places besides `move` that could write an order's status, or besides `settle` that could say that it is paid."""
    return [f"{file.path}:{line} {what}" for file in files for line, what in _findings(file)]


def _findings(file: Source) -> Iterator[tuple[int, str]]:
    for node in file.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from _assigned(file, node)
        elif isinstance(node, ast.Call):
            yield from _called(file, node)
        elif isinstance(node, ast.Dict) and file.path != SETTLE:
            if any(isinstance(key, ast.Constant) and key.value == "paid_by" for key in node.keys):
                yield node.lineno, "writes paid_by"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _RAW.search(node.value):
            yield node.lineno, "writes with raw SQL"


def _assigned(file: Source, target: ast.Attribute) -> Iterator[tuple[int, str]]:
    owner = target.value.id if isinstance(target.value, ast.Name) else ""
    if target.attr == "state" and (file.path, owner) not in STATES_OF_PAYMENTS:
        yield target.lineno, "assigns a state"
    if target.attr == "paid_by":
        yield target.lineno, "assigns paid_by"


def _called(file: Source, call: ast.Call) -> Iterator[tuple[int, str]]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if call.args else None
    model = first.id if isinstance(first, ast.Name) else first.attr if isinstance(first, ast.Attribute) else ""
    keywords = {keyword.arg for keyword in call.keywords}
    if name == "update" and model == "Order" and file.path not in (MOVE, EVENTS):
        yield call.lineno, "updates orders"
    if name == "values" and "state" in keywords and file.path == EVENTS:
        yield call.lineno, "writes a state"
    if name == "insert" and (model == "Order" or (model == "Capture" and file.path != SETTLE)):
        yield call.lineno, f"inserts into {model}"
    if name == "Capture" and file.path != SETTLE:
        yield call.lineno, "makes a Capture"
    if name == "Order" and not (file.path == PLACING and _starts_pending(call)):
        yield call.lineno, "makes an Order"
    if "paid_by" in keywords and file.path != SETTLE:
        yield call.lineno, "writes paid_by"
    if name == "setattr":
        yield call.lineno, "sets an attribute by name, which hides what is written"


def _starts_pending(call: ast.Call) -> bool:
    return any(keyword.arg == "state" and ast.unparse(keyword.value) == "states.PENDING" for keyword in call.keywords)


def test_only_move_writes_the_status_of_an_order_and_only_settle_says_that_it_is_paid() -> None:
    assert second_writers(sources("shop")) == []


@pytest.mark.parametrize(
    "text",
    [
        "order.state = states.PAID",
        "before, order.state = order.state, 'PAID'",
        "hearing.order.state = 'PAID'",
        "db.session.execute(update(Order).where(Order.id == 1).values(state='PAID'))",
        "db.session.execute(sa.update(models.Order).values(**change))",
        "db.session.execute(text('UPDATE orders SET state = :s'))",
        "db.session.add(Order(state=states.PAID))",
        "insert(Order).values(state='PENDING')",
        "setattr(order, field, value)",
        "order.paid_by = payment.id",
        "move(1, 'PAID', 'captured', actor='x', values={'paid_by': 'P1'})",
        "db.session.add(Capture(amount=1))",
        "insert(Capture).values(amount=1)",
        "db.session.execute(text(f'insert into captures values ({x})'))",
    ],
)
def test_a_second_writer_is_seen(text: str) -> None:
    assert second_writers([Source.planted("shop.web.orders", text)])


def test_placing_an_order_may_only_make_pending_ones() -> None:
    placing = "shop.checkout.saga"
    assert second_writers([Source.planted(placing, "Order(state=states.PENDING)")]) == []
    assert second_writers([Source.planted(placing, "Order(state=states.PAID)")])
