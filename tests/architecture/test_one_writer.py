"""Single writers: one file writes an order's state, and one file decides that a capture pays an order."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from tools.docs.code import Source, imports, sources

MOVE, EVENTS = "shop/orders/move.py", "shop/orders/events.py"
PLACING = "shop/checkout/placing/write.py"
READS_ORDERS = (
    "shop/api/payments.py",
    "shop/checkout/placing/load.py",
    "shop/order_search/listed.py",
    "shop/payments/order_money/load.py",
    "shop/payments/records/locking.py",
    "shop/payments/updates/load.py",
)
REVIEW = "shop/payments/order_money/write.py"
"""Writes the review of an order and its deadline."""
CANCELLING = "shop/checkout/ending/write.py"
CLAIMING = "shop/orders/claim.py"
"""Writes the owner of an order."""
ADDRESSING = "shop/orders/address.py"
"""Writes the delivery address."""
FULFILLING = "shop/fulfilment/write.py"
"""Writes the state of the fulfilment."""
DECIDE, WRITE = "shop/payments/updates/decide.py", "shop/payments/updates/write.py"
IN_MEMORY = "shop/web/dev_sample_orders.py"
"""Makes samples of orders that no session knows."""
COPIES = "shop/explain/order_rows.py"
"""Makes copies of rows that are shown; no session knows them."""
STATES_OF_PAYMENTS = {}
"""(file, variable) where `.state = …` is a payment's and not an order's."""
_RAW = re.compile(r"\b(update|insert\s+into|delete\s+from)\s+(orders|captures|payments)\b", re.I)


def second_writers(files: Iterable[Source]) -> list[str]:
    """Places besides `move` that could write an order's state, or besides `decide` that could mark it as paid."""
    return [f"{file.path}:{line} {what}" for file in files for line, what in _findings(file)]


def _findings(file: Source) -> Iterator[tuple[int, str]]:
    for node in file.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from _assigned(file, node)
        elif isinstance(node, ast.Call):
            yield from _called(file, node)
        elif isinstance(node, ast.Dict) and file.path != DECIDE:
            yield from _named(file, node)
        elif isinstance(node, ast.ImportFrom) and node.module == "shop.orders.events":
            if "ORDERS" in {alias.name for alias in node.names}:
                yield node.lineno, "takes the table of orders"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "events.ORDERS":
            if file.path not in (MOVE, CANCELLING, CLAIMING, ADDRESSING, FULFILLING):
                yield node.lineno, "takes the table of orders"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _RAW.search(node.value):
            yield node.lineno, "writes with raw SQL"


def _named(file: Source, values: ast.Dict) -> Iterator[tuple[int, str]]:
    """Values by column: only `decide` writes the paying capture, and placing writes only the state PENDING."""
    for key, value in zip(values.keys, values.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else None
        if name == "paid_by":
            yield values.lineno, "writes paid_by"
        if name == "state" and file.path == PLACING and ast.unparse(value) != "OrderState.PENDING":
            yield values.lineno, "places an order that is not pending"


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
    if (
        name == "values"
        and "state" in keywords
        and file.path in (EVENTS, CANCELLING, CLAIMING, ADDRESSING, REVIEW, FULFILLING)
    ):
        yield call.lineno, "writes a state"
    if name == "table" and model == "Order" and file.path not in (EVENTS, PLACING, REVIEW, *READS_ORDERS):
        yield call.lineno, "takes the table of orders"
    if name in ("insert", "update", "delete") and file.path in READS_ORDERS and model in ("_ORDERS", "Order"):
        yield call.lineno, "writes orders"
    if name == "insert" and (model == "Order" or (model in ("Capture", "_CAPTURES") and file.path != WRITE)):
        yield call.lineno, f"inserts into {model}"
    if name == "Capture" and file.path != COPIES:
        yield call.lineno, "makes a Capture"
    if name == "Order":
        yield call.lineno, "makes an Order"
    if "paid_by" in keywords and file.path != DECIDE:
        yield call.lineno, "writes paid_by"
    if name == "setattr":
        yield call.lineno, "sets an attribute by name, which hides what is written"


def test_only_move_writes_the_state_of_an_order_and_only_decide_makes_it_paid() -> None:
    assert second_writers(file for file in sources("shop") if file.path != IN_MEMORY) == []


def test_copies_of_rows_are_not_stored() -> None:
    [copies] = [file for file in sources("shop") if file.path == COPIES]
    called = {ast.unparse(node.func) for node in copies.nodes if isinstance(node, ast.Call)}
    assert "Capture" in called
    assert not [name for name in called if name.endswith((".add", ".add_all", ".merge"))]


def test_samples_of_orders_cannot_be_stored() -> None:
    [samples] = [file for file in sources("shop") if file.path == IN_MEMORY]
    assert not [used for used in imports(samples, ()) if used.startswith(("shop.core.db", "sqlalchemy"))]


@pytest.mark.parametrize(
    "text",
    [
        "order.state = OrderState.PAID",
        "before, order.state = order.state, 'PAID'",
        "hearing.order.state = 'PAID'",
        "db.session.execute(update(Order).where(Order.id == 1).values(state='PAID'))",
        "db.session.execute(sa.update(models.Order).values(**change))",
        "db.session.execute(text('UPDATE orders SET state = :s'))",
        "db.session.add(Order(state=OrderState.PAID))",
        "insert(Order).values(state='PENDING')",
        "_ORDERS = table(Order)",
        "from shop.orders.events import ORDERS",
        "db.session.execute(events.ORDERS.update(), {'state': 'PAID'})",
        "setattr(order, field, value)",
        "order.paid_by = payment.id",
        "move(1, 'PAID', 'captured', actor='x', values={'paid_by': 'P1'})",
        "db.session.add(Capture(amount=1))",
        "insert(Capture).values(amount=1)",
        "insert(_CAPTURES).values(amount=1)",
        "db.session.execute(text(f'insert into captures values ({x})'))",
    ],
)
def test_a_second_writer_is_seen(text: str) -> None:
    assert second_writers([Source.example("shop.web.orders", text)])


def test_placing_an_order_may_only_make_pending_ones() -> None:
    placing = "shop.checkout.placing.write"
    assert second_writers([Source.example(placing, "table(Order).insert(), {'state': OrderState.PENDING}")]) == []
    assert second_writers([Source.example(placing, "table(Order).insert(), {'state': OrderState.PAID}")])
    assert second_writers([Source.example(placing, "Order(state=OrderState.PENDING)")])


def test_the_request_to_cancel_writes_no_state() -> None:
    cancelling = "shop.checkout.ending.write"
    assert second_writers([Source.example(cancelling, "update(events.ORDERS).values(cancel_requested_at=at)")]) == []
    assert second_writers([Source.example(cancelling, "update(events.ORDERS).values(state='CANCELLED')")])


def test_claiming_an_order_writes_no_state() -> None:
    claiming = "shop.orders.claim"
    assert second_writers([Source.example(claiming, "update(events.ORDERS).values(user_id=1)")]) == []
    assert second_writers([Source.example(claiming, "update(events.ORDERS).values(state='PAID')")])


def test_a_review_writes_no_state_of_the_order() -> None:
    review = "shop.payments.order_money.write"
    assert second_writers([Source.example(review, "update(_ORDERS).values(review_since=at, pay_by=until)")]) == []
    assert second_writers([Source.example(review, "update(_ORDERS).values(state='PAID')")])
    assert second_writers([Source.example("shop.payments.order_money.load", "update(_ORDERS).values(pay_by=at)")])
