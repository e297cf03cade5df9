"""How a life heals, and what must hold in the middle of it and at its end."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shop.checkout.standing import standing
from shop.core.db import db
from shop.core.errors import Refusal
from shop.core.money import Money
from shop.orders import states as order_states
from shop.orders.models import Order
from shop.payments import disputes, refunds, states
from shop.reports import invariants
from tests.chaos.world import CREDIT, CUSTOMERS, World, told
from tests.fakes import Remote
from tests.shop_fixtures import UNITS

if TYPE_CHECKING:
    from tests.chaos.life import Life

ALWAYS = ("2 ", "3 ", "4 one", "6 ")
"""What must hold in the middle of things; the others give the shop some time."""
AT_REST = order_states.ENDED
_PAGES = {
    order_states.PAID: {"paid", "twice"},
    order_states.PARTIALLY_REFUNDED: {"partly_refunded"},
    order_states.REFUNDED: {"refunded"},
    order_states.EXPIRED: {"expired", "late"},
    order_states.CANCELLED: {"cancelled", "late"},
}
_OPEN = ", ".join(f"'{s}'" for s in sorted(states.STILL_OPEN))
_LOOKED_AT = f"state IN ({_OPEN}) AND COALESCE(action ->> 'kind', '') <> 'store_code'"
"""Payments that may bring money soon. At a counter nobody waits for our answer."""
_ALWAYS_NOTHING = {
    "an open payment that nobody will ask about": f"""
        SELECT id FROM payments WHERE state IN ({_OPEN}) AND next_check_at IS NULL
    """,
    "money refunded beyond what came": "SELECT id FROM captures WHERE refunded_amount > amount",
    "revived by money that was late": """
        SELECT o.number FROM orders o JOIN order_events e ON e.order_id = o.id AND e.because = 'paid_in_time_seen_late'
        JOIN captures c ON c.payment_id = o.paid_by AND c.standing = 'paid'
        WHERE c.captured_at > MIN(o.pay_by, COALESCE(o.cancel_requested_at, o.pay_by))
    """,
}
_NEXT_DUE = """
    SELECT MIN(at) AS at FROM (
        SELECT MIN(next_check_at) AS at FROM payments UNION ALL SELECT MIN(next_check_at) FROM refunds
        UNION ALL SELECT MIN(due_at) FROM inbox UNION ALL SELECT MIN(due_at) FROM outbox
        UNION ALL SELECT MIN(due_at) FROM sagas UNION ALL SELECT MIN(due_at) FROM watch_list
        UNION ALL SELECT MIN(pay_by) FROM orders
                  WHERE state IN ('PENDING', 'WAITING_PAYMENT', 'FAILED') AND review_since IS NULL)
"""
_FIRST = (0, 31, 31, 31)
_QUICKLY = (*_FIRST, 90000, 61, 61, 300000, 61, 61, 90000, 61, 90000, 61)
_AT_LEISURE = (*_FIRST, 61, 601, 1801, 61, 3601, 90000, 61, 300000, 61, 90000, 61, 90000, 61)
_SET_BACK = (0, 601, *_AT_LEISURE[1:])
"""Seconds between two looks while everything heals, at least. A clock that was set back has to come back first."""


def in_the_middle(world: World) -> None:
    """What holds after every step."""
    assert not world.troubles, world.troubles
    broken = [f for f in invariants.check(ask_acquirer=False) if f.name.startswith(ALWAYS) and not f.holds]
    assert not broken, broken
    for what, sql in _ALWAYS_NOTHING.items():
        found = world.rows(sql)
        assert not found, (what, found)


# --- healing ---------------------------------------------------------------------------------------------------------


def heal(life: Life) -> None:
    """The acquirer is there again and honest, who slept wakes up, the clock does its work, people and banks decide."""
    world, acquirer = life.world, life.acquirer
    acquirer.away = False
    for number, name in enumerate(life.disputes):
        if life.disputes[name].state == disputes.OPEN:
            end = disputes.WON if number % 2 else disputes.LOST
            life.disputes[name] = replace(life.disputes[name], state=end)
    for planned in acquirer.does.values():
        planned[:] = [fault for fault in planned if fault == "lose_answer"]  # those heal by themselves
    world.sweep()
    while world.asleep:
        world.wake(world.asleep[-1])
    for _ in range(4):
        for name, (_, _, state) in list(acquirer.refunds.items()):
            if state == "PENDING":
                acquirer.refund_becomes(name, "DONE")
        _until_quiet(life)
        if not (_tell_what_nobody_asks(life) | _people_decide(life)):
            return
    raise AssertionError("it does not come to rest")


def _until_quiet(life: Life) -> None:
    """Look at what is due until nothing is. Every question that is still to be asked finds what there is to find; 90
    seconds after all is well, what an open payment has brought is known.
    """
    world = life.world
    asked_about = set(_unheard(life, "next_check_at IS NOT NULL") + _refunds_unheard(life, "next_check_at IS NOT NULL"))
    gaps = _SET_BACK if life.set_back else _AT_LEISURE if life.at_leisure else _QUICKLY
    for number, gap in enumerate(gaps):
        due = world.rows(_NEXT_DUE)[0]["at"]
        if due is None:
            break
        world.turn(max((told(due) - world.now).total_seconds(), gap))
        world.sweep()
        if number == (4 if life.set_back else 3):
            assert not (late := _unheard(life, _LOOKED_AT)), ("nobody has asked", late)
    assert world.rows(_NEXT_DUE)[0]["at"] is None, "there is no end to what is due"
    unheard = {*_unheard(life, "TRUE"), *_refunds_unheard(life, "TRUE")}
    assert not (lost := asked_about & unheard), ("asked, and not heard", lost)


def _unheard(life: Life, condition: str) -> list[str]:
    """Payments that took money there of which we do not know, as far as `condition` holds for them here."""
    known = {row["capture_id"] for row in life.world.rows("SELECT capture_id FROM captures")}
    rows = life.world.rows(f"SELECT id FROM payments WHERE {condition}")
    there = ((row["id"], life.acquirer.payments.get(row["id"])) for row in rows)
    return [name for name, remote in there if remote and {c.id for c in remote.captures} - known]


def _refunds_unheard(life: Life, condition: str) -> list[str]:
    """Refunds that are something else there than here, as far as `condition` holds for them here."""
    here = life.world.rows(f"SELECT id, state FROM refunds WHERE {condition}")
    there = life.acquirer.refunds
    return [row["id"] for row in here if row["id"] in there and there[row["id"]][2] != row["state"]]


def _tell_what_nobody_asks(life: Life) -> bool:
    """What happened after the last question has to be told; whether there was any."""
    letters = [life._about(life.acquirer.payments[name]) for name in _unheard(life, "next_check_at IS NULL")]
    letters += [life._about_refund(name) for name in _refunds_unheard(life, "TRUE")]
    rows = life.world.rows("SELECT dispute_id AS id, kind, state FROM disputes")
    heard = {(row["id"], row["kind"], row["state"]) for row in rows}
    disputes = life.disputes.values()
    letters += [life._about_dispute(d.id) for d in disputes if (d.id, d.kind, d.state) not in heard]
    for letter in letters:
        life._send(letter, "now")
    return bool(letters)


def _people_decide(life: Life) -> bool:
    """Somebody else approves what waits for that, and what is under review goes back; whether there was any."""
    waiting = life.world.rows("SELECT id FROM refunds WHERE needs_two AND approved_by IS NULL AND state = 'REQUESTED'")
    for refund in waiting:
        try:
            refunds.approve(refund["id"], "ann")
        except Refusal:  # a bank has the money
            refunds.decline(refund["id"], "ann")
    left = life.world.rows(
        """
        SELECT c.id, c.amount - c.refunded_amount AS amount, c.currency FROM captures c
        JOIN payments p ON p.id = c.payment_id JOIN orders o ON o.id = p.order_id
        WHERE c.standing <> 'paid' AND c.refunded_amount < c.amount AND o.review_since IS NOT NULL
        """
    )
    for one in left:
        with suppress(Refusal):
            refunds.request(one["id"], Money(one["amount"], one["currency"]), reason="", by="lee")
    return bool(waiting or left)


# --- at rest ---------------------------------------------------------------------------------------------------------


def at_rest(life: Life) -> None:
    """Everything has healed: everything must hold."""
    world = life.world
    broken = [f for f in invariants.check(ask_acquirer=False) if not f.holds]
    assert not broken, "\n".join(f"{f.name}: {f.says}: {f.rows}" for f in broken)
    in_the_middle(world)
    unfinished = [o for o in world.rows("SELECT number, state, review_since FROM orders") if o["state"] not in AT_REST]
    assert not unfinished, unfinished
    assert not world.rows(f"SELECT id, state FROM payments WHERE state IN ({_OPEN})")
    assert not _left_open(life)
    assert not world.rows("SELECT number FROM orders WHERE review_since IS NOT NULL")
    assert not life.acquirer.over_asked, "the acquirer was asked for more than it had taken"
    _the_acquirer_has_the_same_money(life)
    _the_ledger_has_the_same_money(life)
    _everything_was_told(life)
    _pages_say_what_is()
    _stock_is_where_it_belongs(world)
    _credit_is_where_it_belongs(life)


def _left_open(life: Life) -> list[Remote]:
    """Sessions there that their buyers could still pay at.

    One of which the acquirer said that it knew nothing of, after its time was over, nobody can close; elsewhere it ends
    by itself at that time, and what is paid at it all the same goes back.
    """
    gone = {row["id"] for row in life.world.rows("SELECT id FROM payments WHERE state = 'EXPIRED'")}
    there = [r for r in life.acquirer.payments.values() if r.state in states.STILL_OPEN and r.purpose]
    return [r for r in there if r.reference not in life.acquirer.denied & gone]


def _the_acquirer_has_the_same_money(life: Life) -> None:
    """Every capture there is booked here, once; every refund there is one of ours; nothing else is."""
    there = {c.id: (r.reference, c.money) for r in life.acquirer.payments.values() for c in r.captures}
    rows = life.world.rows("SELECT capture_id, payment_id, amount, currency FROM captures")
    here = {row["capture_id"]: (row["payment_id"], Money(row["amount"], row["currency"])) for row in rows}
    assert here == there
    assert len(rows) == len(here)
    sent: Counter[tuple[str, str]] = Counter()
    for capture, money, state in life.acquirer.refunds.values():
        sent[capture, money.currency] += money.amount * (state == "DONE")
    booked: Counter[tuple[str, str]] = Counter()
    for row in life.world.rows(
        """
        SELECT c.capture_id, r.currency, r.amount FROM refunds r JOIN captures c ON c.id = r.capture_id
        WHERE r.state = 'DONE' AND r.destination = 'provider'
        """
    ):
        booked[row["capture_id"], row["currency"]] += row["amount"]
    assert +sent == +booked


def _the_ledger_has_the_same_money(life: Life) -> None:
    """For each order: what the acquirer has had of it, or has still, is what we say that it owed us."""
    ours: defaultdict[tuple[int | None, str], int] = defaultdict(int)
    for row in life.world.rows(
        """
        SELECT j.order_id, e.currency, e.amount FROM ledger_entries e JOIN journals j ON j.key = e.journal_key
        WHERE e.account LIKE 'receivable:%' AND j.key NOT LIKE 'settled:%'
        """
    ):
        ours[row["order_id"], row["currency"]] += row["amount"]
    orders = {row["id"]: row["order_id"] for row in life.world.rows("SELECT id, order_id FROM payments")}
    theirs: defaultdict[tuple[int | None, str], int] = defaultdict(int)
    captures: dict[str, Any] = {}
    for remote in life.acquirer.payments.values():
        for capture in remote.captures:
            captures[capture.id] = orders.get(remote.reference)
            theirs[orders.get(remote.reference), capture.money.currency] += capture.money.amount
    for capture_id, money, state in life.acquirer.refunds.values():
        theirs[captures[capture_id], money.currency] -= money.amount * (state == "DONE")
    for capture_id, money in life.taken_back():
        theirs[captures[capture_id], money.currency] -= money.amount
    assert {k: v for k, v in ours.items() if v} == {k: v for k, v in theirs.items() if v}


def _everything_was_told(life: Life) -> None:
    """Every event of every order, at least once."""
    told = {(row["subject"], row["payload"]["seq"]) for row in life.world.told if "seq" in row["payload"]}
    written = life.world.rows("SELECT o.number, e.seq FROM order_events e JOIN orders o ON o.id = e.order_id")
    assert {(row["number"], row["seq"]) for row in written} <= told


def _pages_say_what_is() -> None:
    """Every buyer reads how the order has ended, and that this is the end."""
    for order in db.session.scalars(db.select(Order)).all():
        read = standing(order)
        assert read.final, (order.number, order.state)
        assert read.key in _PAGES[order.state], (order.number, order.state, read.key)
    db.session.rollback()


def _stock_is_where_it_belongs(world: World) -> None:
    """Nothing is reserved any more, and what is gone from the shelf was paid for."""
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


def _credit_is_where_it_belongs(life: Life) -> None:
    """What was given, less what paid for orders, plus what came back: nothing else changes a customer's credit."""
    for customer in CUSTOMERS:
        given = life.given[customer] + (CREDIT if customer == 1 else 0)
        (used,) = life.world.rows(
            "SELECT COALESCE(SUM(credit_amount), 0) AS n FROM orders WHERE user_id = :user AND paid_by IS NOT NULL",
            user=customer,
        )
        came_back: Counter[str] = Counter()
        for row in life.world.rows(
            """
            SELECT r.currency, r.amount FROM refunds r JOIN orders o ON o.id = r.order_id
            WHERE r.destination = 'store_credit' AND r.state = 'DONE' AND o.user_id = :user
            """,
            user=customer,
        ):
            came_back[row["currency"]] += row["amount"]
        found = life.world.rows(
            "SELECT currency, balance, held FROM store_credits WHERE user_id = :user", user=customer
        )
        assert not sum(row["held"] for row in found)
        balances = Counter({row["currency"]: row["balance"] for row in found})
        assert +balances == +(came_back + Counter({"TWD": given - used["n"]})), (customer, balances)
