"""Recovery at the end of a generated history, and the conditions during it and at its end."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shop.checkout.order_status import load_status
from shop.core.actor import Actor
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.integrity import invariants
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.orders.states import OrderState
from shop.payments.providers.types import DisputeState
from shop.payments.records import states
from shop.payments.refunds import requests
from tests.chaos.fast_databases import parsed
from tests.chaos.world import CODES, CREDIT, CUSTOMERS, World
from tests.fakes import Remote
from tests.shop_fixtures import UNITS

if TYPE_CHECKING:
    from tests.chaos.history import History

_ANN, _LEE = Actor.staff(13), Actor.staff(14)
ALWAYS = ("2 ", "3 ", "4 one", "6 ")
"""Conditions that hold at any time; the others allow the shop some time."""
AT_REST = order_states.ENDED
_PAGES = {
    OrderState.PAID: {"paid", "twice"},
    OrderState.PARTIALLY_REFUNDED: {"partly_refunded"},
    OrderState.REFUNDED: {"refunded"},
    OrderState.EXPIRED: {"expired", "late"},
    OrderState.CANCELLED: {"cancelled", "late"},
}
MANY = 1000
_OPEN = ", ".join(f"'{s}'" for s in sorted(states.STILL_OPEN))
_LOOKED_AT = f"state IN ({_OPEN}) AND COALESCE(action ->> 'kind', '') <> 'store_code'"
"""Payments with possible captures soon. Store codes are polled slowly."""
_ALWAYS_NOTHING = {
    "an open payment that nobody will ask about": f"""
        SELECT id FROM payments WHERE state IN ({_OPEN}) AND next_check_at IS NULL
    """,
    "money refunded beyond what came": "SELECT id FROM captures WHERE refunded_amount > amount",
    "revived by money that was late": """
        SELECT o.number FROM orders o JOIN order_events e ON e.order_id = o.id AND e.because = 'paid_in_time_seen_late'
        JOIN captures c ON c.payment_id = o.paid_by AND c.allocation = 'pays_order'
        WHERE c.captured_at > o.pay_by OR c.captured_at > o.cancel_requested_at
    """,
}
_NEXT_DUE = """
    SELECT MIN(at) AS at FROM (
        SELECT MIN(next_check_at) AS at FROM payments UNION ALL SELECT MIN(next_check_at) FROM refunds
        UNION ALL SELECT MIN(due_at) FROM webhook_events UNION ALL SELECT MIN(due_at) FROM outbox
        UNION ALL SELECT MIN(due_at) FROM sagas UNION ALL SELECT MIN(due_at) FROM watch_list
        UNION ALL SELECT MIN(pay_by) FROM orders
                  WHERE state IN ('PENDING', 'WAITING_PAYMENT', 'FAILED') AND review_since IS NULL) AS due
"""
_FIRST = (0, 31, 31, 31)
_QUICKLY = (*_FIRST, 90000, 61, 61, 300000, 61, 61, 90000, 61, 90000, 61)
_AT_LEISURE = (*_FIRST, 61, 601, 1801, 61, 3601, 90000, 61, 300000, 61, 90000, 61, 90000, 61)
_SET_BACK = (0, 601, *_AT_LEISURE[1:])
"""Minimum seconds between two sweeps during recovery. A clock that was set back has to catch up first."""


def check_at_any_time(world: World) -> None:
    """Conditions after every step."""
    assert not world.troubles, world.troubles
    broken = [f for f in invariants.check(with_acquirers=False) if f.name.startswith(ALWAYS) and not f.holds]
    assert not broken, broken
    for what, sql in _ALWAYS_NOTHING.items():
        found = world.rows(sql)
        assert not found, (what, found)


# --- recovery
# ----------------------------------------------------------------------------------------------------------


def recover(history: History) -> None:
    """The acquirer works correctly again, suspended workers resume, the clock runs, staff and banks decide."""
    world, acquirer = history.world, history.acquirer
    acquirer.away = False
    for number, name in enumerate(history.disputes):
        if history.disputes[name].state == DisputeState.OPEN:
            end = DisputeState.WON if number % 2 else DisputeState.LOST
            history.disputes[name] = replace(history.disputes[name], state=end)
    for planned in acquirer.does.values():
        planned[:] = [fault for fault in planned if fault == "lose_answer"]  # these resolve automatically
    world.sweep()
    while world.asleep:
        world.wake(world.asleep[-1])
    for _ in range(4):
        for name, (_, _, state) in list(acquirer.refunds.items()):
            if state == "PENDING":
                acquirer.refund_becomes(name, "DONE")
        _until_nothing_is_due(history)
        if not (_send_webhooks_after_the_last_poll(history) | _staff_decide(history)):
            return
    raise AssertionError("it does not come to rest")


def _until_nothing_is_due(history: History) -> None:
    """Process due work until nothing is due. Every remaining poll then returns the final state; 90 seconds later the
    captures
    of open payments are known.
    """
    world = history.world
    requested = "next_check_at IS NOT NULL"
    polled = {
        *_captures(history, requested),
        *_results(history, requested),
        *_outside(history, requested),
    }
    gaps = _SET_BACK if history.set_back else _AT_LEISURE if history.at_leisure else _QUICKLY
    for number, gap in enumerate(gaps):
        due = world.rows(_NEXT_DUE)[0]["at"]
        if due is None:
            break
        world.turn(max((parsed(due) - world.now).total_seconds(), gap))
        world.sweep()
        if number == (4 if history.set_back else 3):
            assert not (late := _captures(history, _LOOKED_AT)), ("nobody has asked", late)
    assert world.rows(_NEXT_DUE)[0]["at"] is None, "there is no end to what is due"
    unknown = {
        *_captures(history, "TRUE"),
        *_results(history, "TRUE"),
        *_outside(history, "TRUE"),
    }
    assert not (lost := polled & unknown), ("asked, and not known", lost)


def _captures(history: History, condition: str) -> list[str]:
    """Payments captured at the acquirer and not in the shop, for which `condition` holds here."""
    known = {row["capture_id"] for row in history.world.rows("SELECT capture_id FROM captures")}
    rows = history.world.rows(f"SELECT id FROM payments WHERE {condition}")
    there = ((row["id"], history.acquirer.payments.get(row["id"])) for row in rows)
    return [name for name, remote in there if remote and {c.id for c in remote.captures} - known]


def _results(history: History, condition: str) -> list[str]:
    """Refunds with another state at the acquirer than in the shop, for which `condition` holds here."""
    here = history.world.rows(f"SELECT id, state FROM refunds WHERE {condition}")
    there = history.acquirer.refunds
    named = [(row["id"].rpartition(":")[2], row["state"]) for row in here]
    return [name for name, state in named if name in there and there[name][2] != state]


def _outside(history: History, condition: str) -> list[str]:
    """Refunds made at the acquirer and unknown to the shop, of payments for which `condition` holds here."""
    known = {row["id"].rpartition(":")[2] for row in history.world.rows("SELECT id FROM refunds")}
    ours = {row["id"] for row in history.world.rows(f"SELECT id FROM payments WHERE {condition}")}
    owners = {c.id: r.reference for r in history.acquirer.payments.values() for c in r.captures}
    return [
        name
        for name, (capture, _, state) in history.acquirer.refunds.items()
        if name.startswith("X") and name not in known and state != "REJECTED" and owners[capture] in ours
    ]


def _send_webhooks_after_the_last_poll(history: History) -> bool:
    """Send webhooks about changes after the last poll; returns whether there were any."""
    webhooks = [history._about(history.acquirer.payments[name]) for name in _captures(history, "next_check_at IS NULL")]
    webhooks += [history._about_refund(name) for name in _results(history, "TRUE") + _outside(history, "TRUE")]
    rows = history.world.rows("SELECT dispute_id AS id, kind, state FROM disputes")
    known = {(row["id"], row["kind"], row["state"]) for row in rows}
    disputes = history.disputes.values()
    webhooks += [history._about_dispute(d.id) for d in disputes if (d.id, d.kind, d.state) not in known]
    for letter in webhooks:
        history._send(letter, "now")
    return bool(webhooks)


def _staff_decide(history: History) -> bool:
    """Another person approves what waits for approval, and captures under review are refunded; returns whether there
    were any.
    """
    waiting = history.world.rows(
        "SELECT id FROM refunds WHERE needs_two AND approved_by IS NULL AND state = 'REQUESTED'"
    )
    for refund in waiting:
        try:
            requests.approve(refund["id"], _ANN)
        except Refusal:  # a bank has the money
            requests.decline(refund["id"], _ANN)
    left = history.world.rows(
        """
        SELECT c.id, c.amount - c.refunded_amount AS amount, c.currency FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE c.allocation <> 'pays_order' AND c.refunded_amount < c.amount AND o.review_since IS NOT NULL
        """
    )
    for one in left:
        with suppress(Refusal):
            requests.request(one["id"], Money(one["amount"], one["currency"]), reason="", by=_LEE)
    return bool(waiting or left)


# --- final state
# --------------------------------------------------------------------------------------------------------


def check_final_state(history: History) -> None:
    """Check every condition after recovery."""
    world = history.world
    broken = [f for f in invariants.check(with_acquirers=False) if not f.holds]
    assert not broken, "\n".join(f"{f.name}: {f.statement}: {f.rows}" for f in broken)
    check_at_any_time(world)
    unfinished = [o for o in world.rows("SELECT number, state, review_since FROM orders") if o["state"] not in AT_REST]
    assert not unfinished, unfinished
    assert not world.rows(f"SELECT id, state FROM payments WHERE state IN ({_OPEN})")
    assert not _open_sessions(history)
    assert not world.rows("SELECT number FROM orders WHERE review_since IS NOT NULL")
    assert not history.acquirer.excessive_refunds, "the acquirer was asked for more than it had taken"
    _the_acquirer_has_the_same_money(history)
    _the_ledger_has_the_same_money(history)
    _every_event_was_published(history)
    _pages_show_the_final_state()
    _stock_is_where_it_belongs(world)
    _credit_is_where_it_belongs(history)
    _codes_are_used_as_often_as_orders_say(world)
    _tax_is_owed_for_what_was_kept(world)


def _open_sessions(history: History) -> list[Remote]:
    """Sessions at the acquirer that customers could still pay.

    A session that the acquirer denied after its expiry cannot be closed by the shop; elsewhere it expires
    at that time, and a later capture is refunded.
    """
    gone = {row["id"] for row in history.world.rows("SELECT id FROM payments WHERE state = 'EXPIRED'")}
    there = [r for r in history.acquirer.payments.values() if r.state in states.STILL_OPEN and r.purpose]
    return [r for r in there if r.reference not in history.acquirer.denied & gone]


def _the_acquirer_has_the_same_money(history: History) -> None:
    """Every capture at the acquirer is booked once; every refund there is known; nothing else is booked."""
    there = {c.id: (r.reference, c.money) for r in history.acquirer.payments.values() for c in r.captures}
    rows = history.world.rows("SELECT capture_id, payment_id, amount, currency FROM captures")
    here = {row["capture_id"]: (row["payment_id"], Money(row["amount"], row["currency"])) for row in rows}
    assert here == there
    assert len(rows) == len(here)
    sent: Counter[tuple[str, str]] = Counter()
    for capture, money, state in history.acquirer.refunds.values():
        sent[capture, money.currency] += money.amount * (state == "DONE")
    booked: Counter[tuple[str, str]] = Counter()
    for row in history.world.rows(
        """
        SELECT c.capture_id, r.currency, r.amount FROM refunds r JOIN captures c ON c.id = r.capture_id
        WHERE r.state = 'DONE' AND r.destination = 'provider'
        """
    ):
        booked[row["capture_id"], row["currency"]] += row["amount"]
    assert +sent == +booked


def _the_ledger_has_the_same_money(history: History) -> None:
    """For each order, the money that the acquirer has had or still has equals the ledger's receivable."""
    ours: defaultdict[tuple[int | None, str], int] = defaultdict(int)
    for row in history.world.rows(
        """
        SELECT j.order_id, e.currency, e.amount FROM ledger_entries e JOIN journals j ON j.key = e.journal_key
        WHERE e.account LIKE 'receivable:%' AND j.key NOT LIKE 'settled:%'
        """
    ):
        ours[row["order_id"], row["currency"]] += row["amount"]
    orders = {row["id"]: row["order_id"] for row in history.world.rows("SELECT id, order_id FROM payments")}
    theirs: defaultdict[tuple[int | None, str], int] = defaultdict(int)
    captures: dict[str, Any] = {}
    for remote in history.acquirer.payments.values():
        for capture in remote.captures:
            captures[capture.id] = orders.get(remote.reference)
            theirs[orders.get(remote.reference), capture.money.currency] += capture.money.amount
    for capture_id, money, state in history.acquirer.refunds.values():
        theirs[captures[capture_id], money.currency] -= money.amount * (state == "DONE")
    for capture_id, money in history.charged_back_money():
        theirs[captures[capture_id], money.currency] -= money.amount
    assert {k: v for k, v in ours.items() if v} == {k: v for k, v in theirs.items() if v}


def _every_event_was_published(history: History) -> None:
    """Every event of every order was published at least once."""
    published = {(row["subject"], row["payload"]["seq"]) for row in history.world.published if "seq" in row["payload"]}
    written = history.world.rows("SELECT o.number, e.seq FROM order_events e JOIN orders o ON o.id = e.order_id")
    assert {(row["number"], row["seq"]) for row in written} <= published


def _pages_show_the_final_state() -> None:
    """Every order page shows the order's final state."""
    for order in db.session.scalars(db.select(Order)).all():
        read = load_status(order)
        assert read.final, (order.number, order.state)
        assert read.key in _PAGES[order.state], (order.number, order.state, read.key)
    db.session.rollback()


def _stock_is_where_it_belongs(world: World) -> None:
    """No stock is reserved, and missing stock was paid for."""
    for row in world.rows(
        """
        SELECT s.sku, s.on_hand, s.reserved,
               (SELECT COALESCE(SUM(m.quantity), 0) FROM stock_movements m WHERE m.sku = s.sku) AS came,
               (SELECT COALESCE(SUM(l.quantity), 0) FROM order_lines l JOIN orders o ON o.id = l.order_id
                WHERE l.sku = s.sku AND o.paid_by IS NOT NULL) AS sold
        FROM stock s
        """
    ):
        assert row["came"] >= 0 and (row["reserved"], row["on_hand"]) == (0, row["came"] - row["sold"]), (row, UNITS)


def _credit_is_where_it_belongs(history: History) -> None:
    """A customer's credit: granted, less used for orders, plus refunded; nothing else changes it."""
    for customer in CUSTOMERS:
        given = history.given[customer] + (CREDIT if customer == 1 else 0)
        (used,) = history.world.rows(
            "SELECT COALESCE(SUM(credit_amount), 0) AS n FROM orders WHERE user_id = :user AND paid_by IS NOT NULL",
            user=customer,
        )
        returned_credit: Counter[str] = Counter()
        for row in history.world.rows(
            """
            SELECT r.currency, r.amount FROM refunds r JOIN orders o ON o.id = r.order_id
            WHERE r.destination = 'store_credit' AND r.state = 'DONE' AND o.user_id = :user
            """,
            user=customer,
        ):
            returned_credit[row["currency"]] += row["amount"]
        found = history.world.rows(
            "SELECT currency, balance, held FROM store_credits WHERE user_id = :user", user=customer
        )
        assert not sum(row["held"] for row in found)
        balances = Counter({row["currency"]: row["balance"] for row in found})
        assert +balances == +(returned_credit + Counter({"TWD": given - used["n"]})), (customer, balances)


def _codes_are_used_as_often_as_orders_say(world: World) -> None:
    """Each code counts the orders that keep its discount, and no more than it may give."""
    kept = Counter[str]()
    given = Counter[str]()
    for row in world.rows(
        """
        SELECT l.name, l.unit_amount, o.state FROM order_lines l JOIN orders o ON o.id = l.order_id
        WHERE l.kind = 'discount'
        """
    ):
        if row["state"] not in order_states.UNPAID_END:
            kept[row["name"]] += 1
            given[row["name"]] -= row["unit_amount"]
    for code, stated in CODES.items():
        (row,) = world.rows("SELECT uses FROM discount_codes WHERE code = :code", code=code)
        (value,) = world.rows("SELECT spent FROM discount_values WHERE code = :code AND currency = 'TWD'", code=code)
        assert (row["uses"], value["spent"]) == (kept[code], given[code]), code
        assert kept[code] <= (stated.use_limit or MANY), code
        assert not stated.budgets or given[code] <= stated.budgets["TWD"].amount, code


def _tax_is_owed_for_what_was_kept(world: World) -> None:
    """The tax in the ledger is that of the paid orders in proportion to what was not refunded, to a dollar each."""
    (owed,) = world.rows("SELECT COALESCE(-SUM(amount), 0) AS n FROM ledger_entries WHERE account = 'tax_payable'")
    expected, orders = 0.0, 0
    for row in world.rows(
        """
        SELECT o.tax_amount AS tax, COALESCE(o.accepted_amount, o.total_amount) AS price,
               (SELECT COALESCE(SUM(r.amount), 0) FROM refunds r LEFT JOIN captures c ON c.id = r.capture_id
                WHERE r.order_id = o.id AND r.state = 'DONE'
                  AND COALESCE(c.allocation, 'pays_order') = 'pays_order') AS gone
        FROM orders o WHERE o.paid_by IS NOT NULL AND o.tax_amount <> 0
        """
    ):
        orders += 1
        expected += row["tax"] * (1 - min(int(row["gone"]), row["price"]) / row["price"])
    assert abs(int(owed["n"]) - expected) <= 100 * orders, (owed, expected)
